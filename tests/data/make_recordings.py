"""Make the recordings of `tests/data/recordings` and their manifest again.

    python tests/data/make_recordings.py [FOLDER]

It needs `flite` (Debian's package of that name, with the voices rms, slt and awb) on the PATH,
and numpy, soundfile and pocketsphinx. Versions of flite differ in what they say and when: the
committed files are the truth, and tests read their words and times from `manifest.json` alone.

The times of words come from pocketsphinx, which is given the text and asked where it is.
`heard` is what the same engine makes of the whole recording when it is not told.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SCRIPTS", "Script", "main", "make_all"]

RATE = 16_000
LICENSE = (
    "Synthesized by flite (http://cmuflite.org). The text was written for these tests; text and"
    " sound are dedicated to the public domain (CC0 1.0)."
)


@dataclass(frozen=True, slots=True)
class Script:
    """What one voice says: at one go, or with `gap` seconds of silence between the parts."""

    file: str
    voice: str
    parts: tuple[str, ...]
    gap: float | None = None

    @property
    def text(self) -> str:
        return " ".join(self.parts)


SCRIPTS = (
    Script(
        "welcome.wav",
        "rms",
        (
            "Good morning, and welcome.",
            "Every word of this message was turned into text on your own computer.",
        ),
    ),
    Script(
        "report.wav",
        "awb",
        (
            "The committee will publish its final report in December,",
            "eight months later than planned, and three members have already resigned.",
        ),
    ),
    Script(
        "planet.wav",
        "slt",
        (
            "Scientists discovered water under the frozen surface of the planet,",
            "and they believe that simple forms of life may have existed there.",
        ),
    ),
    Script(
        "meeting.wav",
        "rms",
        (
            "Our meeting has been moved to Thursday afternoon,",
            "because the large room is being painted.",
            "Bring the report and a list of questions for the new director.",
        ),
    ),
    Script(
        "bridge.wav",
        "slt",
        ("Turn left at the second bridge, then follow the river for about a mile.",),
    ),
    Script("number.wav", "awb", ("Please leave your name and number.",)),
    Script(
        "letter.wav",
        "slt",
        ("She opened the old wooden box and found a letter from her grandfather.",),
    ),
    Script(
        "lesson.wav",
        "awb",
        (
            "Tomorrow's lesson begins at half past ten.",
            "Students should carry a pencil, one ruler, and some colored paper.",
        ),
    ),
    Script(
        "journey.flac",
        "rms",
        (
            "Last summer my sister and I walked across the island from south to north.",
            "The journey took five days, although the road is only sixty miles long.",
            "On Monday the sky was clear, and we could see the mountains far away.",
            "By evening our feet were tired, so everyone camped beside a stream.",
            "An old farmer gave us milk and told stories about his childhood.",
            "We slept in an empty church until the storm had passed.",
            "In another village a teacher invited us to visit her school.",
            "They asked many questions about the city and about airplanes.",
            "On Friday we smelled salt, and then we saw the ocean.",
            "Nobody knew why the lights went out in the middle of dinner.",
            "Afterward I wrote these words in a small green notebook.",
            "Next year we hope to go back with our parents.",
        ),
        gap=0.7,
    ),
)


def make_all(folder: Path) -> list[dict[str, Any]]:
    """Make every recording in `folder`, and the manifest; returns its rows."""
    import soundfile

    _check_wording()
    rows = []
    for script in SCRIPTS:
        samples = _spoken(script)
        soundfile.write(folder / script.file, samples, RATE, subtype="PCM_16")
        rows.append(_row(script, samples))
    text = json.dumps({"license": LICENSE, "recordings": rows}, indent=1, ensure_ascii=False)
    # One word a line is easier to compare than one number a line.
    text = re.sub(r"\[\n\s+(\"[^\n]*?\"),\n\s+([\d.]+),\n\s+([\d.]+)\n\s+\]", r"[\1, \2, \3]", text)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    return rows


def _row(script: Script, samples: NDArray[np.int16]) -> dict[str, Any]:
    text = script.text
    heard = _heard(samples)
    return {
        "file": script.file,
        "voice": script.voice,
        "speaker": f"flite-{script.voice}",
        "language": "en",
        "emotion": "neutral",
        "seconds": round(len(samples) / RATE, 3),
        "text": text,
        "heard": heard,
        "heard_right": heard.split() == _spelled(text),
        "words": _aligned(text, samples),
    }


def _spoken(script: Script) -> NDArray[np.int16]:
    import numpy as np

    if script.gap is None:
        return _synthesized(script.text, script.voice)
    gap = np.zeros(round(script.gap * RATE), dtype=np.int16)
    sounds: list[NDArray[np.int16]] = []
    for part in script.parts:
        sounds += [gap, _synthesized(part, script.voice)]
    return np.concatenate(sounds[1:])


def _synthesized(text: str, voice: str) -> NDArray[np.int16]:
    import soundfile

    flite = shutil.which("flite")
    if flite is None:
        raise SystemExit("flite is not on the PATH (Debian: apt install flite)")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spoken.wav")
        subprocess.run([flite, "-voice", voice, "-t", text, "-o", path], check=True)
        samples, rate = soundfile.read(path, dtype="int16")
    if rate != RATE or samples.ndim != 1:
        raise SystemExit(f"flite's voice {voice} speaks at {rate} Hz, not {RATE}")
    return samples  # type: ignore[no-any-return]


def _decoder() -> Any:
    from pocketsphinx import Decoder

    return Decoder(maxhmmpf=3000, loglevel="FATAL")


def _heard(samples: NDArray[np.int16]) -> str:
    decoder = _decoder()
    _decode(decoder, samples)
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""


def _aligned(text: str, samples: NDArray[np.int16]) -> list[list[str | float]]:
    """The written words with their start and end in seconds."""
    decoder = _decoder()
    decoder.set_align_text(" ".join(_spelled(text)))
    _decode(decoder, samples)
    found = [s for s in decoder.seg() if not s.word.startswith(("<", "["))]
    written = text.split()
    loud = _loud_frames(samples)
    if [re.sub(r"\(\d+\)$", "", s.word) for s in found] != _spelled(text):
        raise SystemExit(f"the words could not be found in the sound of {text!r}")
    return [
        [word, *_trimmed(s.start_frame, s.end_frame + 1, loud)]
        for word, s in zip(written, found, strict=True)
    ]


def _loud_frames(samples: NDArray[np.int16]) -> NDArray[np.bool_]:
    """For each 10 ms: is it within 40 dB of the loudest?"""
    import numpy as np

    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160).astype(np.float64)
    power = np.mean(frames**2, axis=1)
    loud: NDArray[np.bool_] = power > power.max() / 10_000
    return loud


def _trimmed(start: int, end: int, loud: NDArray[np.bool_]) -> tuple[float, float]:
    # The engine counts the pause after a word as a part of it.
    sounding = [frame for frame in range(start, min(end, len(loud))) if loud[frame]]
    first, last = (sounding[0], sounding[-1] + 1) if sounding else (start, end)
    return first / 100, last / 100


def _decode(decoder: Any, samples: NDArray[np.int16]) -> None:
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    decoder.end_utt()


def _spelled(text: str) -> list[str]:
    return [re.sub(r"[^a-z']", "", word) for word in text.lower().split()]


def _check_wording() -> None:
    # Two neighboring words belong to one recording alone, so that sound says which one it is.
    owners: dict[tuple[str, str], str] = {}
    for script in SCRIPTS:
        words = _spelled(script.text)
        for pair in itertools.pairwise(words):
            if owners.setdefault(pair, script.file) != script.file:
                raise SystemExit(f"{' '.join(pair)!r} is in {owners[pair]} and in {script.file}")


def main() -> None:
    """Make them where they are kept, or in the folder that is named."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("recordings")
    folder.mkdir(parents=True, exist_ok=True)
    for row in make_all(folder):
        mark = "right" if row["heard_right"] else "wrong"
        print(f"{row['file']:14} {row['seconds']:6.2f} s  {mark}: {row['heard']}")


if __name__ == "__main__":
    main()
