"""The ear of the emulated services: it answers with the words that are really in the audio.

It knows the recordings of `tests/recordings.py` (and what else it is told) by their sound, finds
which stretches of them are in the bytes it is given, and returns the words of those stretches
with their times. Audio that was cut, doubled, mixed, sped up or damaged on its way is therefore
heard as cut, doubled, or not at all; a change of format, rate or loudness is not.

How: a spectrum of 24 mel bands up to 3.4 kHz each 10 ms. Patches of 0.2 s of the audio are
compared with all patches of the known clips (one matrix product). Patches that agree on the
clip and on the distance in time form a run. Along each run the spectra are compared frame by
frame, and a word counts as heard when nearly all of its frames are there.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.emulators.decoding import Sound, Source, Undecodable, decode, identify
from tests.recordings import RECORDINGS, Recording, SpokenWord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = [
    "Ear",
    "Heard",
    "HeardSentence",
    "HeardWord",
    "Undecodable",
    "glance",
    "listen",
    "listen_pcm",
    "register",
]

SHORTEST = 0.15
"""Seconds of words in one stretch. A lone "the" sounds alike in several recordings."""
REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word as it is written; times in seconds of the audio that was listened to."""

    text: str
    start: float
    end: float
    recording: str = ""
    """The clip it comes from."""
    number: int = 0
    """Which word of the clip it is."""
    speaker: str = ""
    language: str = ""
    emotion: str = ""


@dataclass(frozen=True, slots=True)
class HeardSentence:
    """Words up to a full stop, or to where the recording breaks off."""

    words: tuple[HeardWord, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def start(self) -> float:
        return self.words[0].start

    @property
    def end(self) -> float:
        return self.words[-1].end

    @property
    def speaker(self) -> str:
        return self.words[0].speaker

    @property
    def language(self) -> str:
        return self.words[0].language

    @property
    def emotion(self) -> str:
        return self.words[0].emotion


@dataclass(frozen=True)
class Heard:
    """What is in the audio."""

    words: tuple[HeardWord, ...]
    duration: float
    """Seconds, counted while decoding."""
    channels: int
    sample_rate: int
    """Hz, as it came."""
    silent: bool
    """True when nothing is louder than -75 dB."""
    container: str
    """By content: `wav`, `mp3`, `m4a`, …; `pcm` for bare samples."""
    codec: str = "pcm_s16le"

    @cached_property
    def text(self) -> str:
        """All words with one space between, as they are written."""
        return " ".join(word.text for word in self.words)

    @cached_property
    def sentences(self) -> tuple[HeardSentence, ...]:
        return tuple(HeardSentence(tuple(words)) for words in _sentences(self.words))

    @property
    def language(self) -> str | None:
        """Of most words."""
        return _most(word.language for word in self.words)

    @property
    def emotion(self) -> str | None:
        """Of most words."""
        return _most(word.emotion for word in self.words)


class Ear:
    """It knows some recordings, and hears those alone. Any number of threads may use it."""

    def __init__(self, recordings: Iterable[Recording] = RECORDINGS) -> None:
        self._recordings = list(recordings)
        self._known: _Known | None = None
        self._remembered: OrderedDict[tuple[bytes, int | None], Heard] = OrderedDict()
        self._lock = threading.Lock()

    def register(
        self,
        path: Path,
        words: Sequence[SpokenWord] | str,
        *,
        speaker: str = "",
        language: str = "en",
        emotion: str = "neutral",
    ) -> Recording:
        """Learn another recording; a plain text is spread evenly over what is not silent."""
        spoken = _spread(path, words) if isinstance(words, str) else tuple(words)
        text = " ".join(word.text for word in spoken)
        sound = Recording(
            name=path.stem,
            path=path,
            voice="",
            speaker=speaker or path.stem,
            language=language,
            emotion=emotion,
            seconds=spoken[-1].end,
            text=text,
            heard="",
            heard_right=False,
            words=spoken,
        )
        with self._lock:
            self._recordings.append(sound)
            self._known = None
            self._remembered.clear()
        return sound

    def listen(self, source: Source, *, channel: int | None = None) -> Heard:
        """Decode and recognize; all channels together, or one of them (from 0).

        Bytes that came before are answered from memory. Raises `Undecodable`.
        """
        if not isinstance(source, bytes):
            return self._listen(source, channel)
        key = (hashlib.blake2b(source, digest_size=16).digest(), channel)
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        heard = self._listen(source, channel)
        with self._lock:
            self._remembered[key] = heard
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return heard

    def listen_pcm(self, samples: bytes | NDArray[Any], rate: int, *, channels: int = 1) -> Heard:
        """Recognize bare samples: 16-bit little-endian bytes, or an array of int16 or floats."""
        import numpy as np

        array = np.frombuffer(samples, dtype="<i2") if isinstance(samples, bytes) else samples
        if array.dtype.kind == "f":
            array = (np.clip(array, -1, 1) * 32_767).astype(np.int16)
        sound = Sound("pcm", "pcm_s16le", channels, rate, None)
        return self._recognize(sound, _resampled(array.reshape(-1, channels), rate))

    def glance(self, source: Source) -> Heard:
        """What the header says, and no word: cheap, for tests of load. Raises `Undecodable`."""
        sound = identify(source)
        return _heard(sound, (), sound.seconds or 0.0, silent=False)

    def _listen(self, source: Source, channel: int | None) -> Heard:
        sound, blocks = decode(source, channel=channel)
        heard = self._recognize(sound, blocks)
        if not heard.duration:
            raise Undecodable("nothing in it can be decoded")
        return heard

    def _recognize(self, sound: Sound, blocks: Iterable[Floats]) -> Heard:
        from tests.emulators.spectra import RATE, SILENT, spectrum

        frames, samples = spectrum(blocks)
        silent = not len(frames) or float(frames.max()) < SILENT
        words = () if silent else self._learned().words(frames)
        return _heard(sound, words, samples / RATE, silent=silent)

    def _learned(self) -> _Known:
        with self._lock:
            if self._known is None:
                self._known = _Known(self._recordings)
            return self._known


class _Known:
    """The spectra of the known recordings, and what can be asked of them."""

    def __init__(self, recordings: Iterable[Recording]) -> None:
        from tests.emulators.spectra import Index, loudest_near, spectrum

        self._recordings = tuple(recordings)
        self._clips = [spectrum(decode(r.path)[1])[0] for r in self._recordings]
        self._loudest = [loudest_near(clip) for clip in self._clips]
        self._index = Index(self._clips)

    def words(self, audio: Floats) -> tuple[HeardWord, ...]:
        """All words that are in the audio, in order; of two in one place, the surer one."""
        import numpy as np

        taken = np.zeros(len(audio) + 1, dtype=np.bool_)
        words = []
        for stretch in sorted(self._stretches(audio), key=len, reverse=True):
            for word in stretch:
                place = _place(word)
                if taken[place].sum() <= 0.2 * (place.stop - place.start):
                    words.append(word)
            for word in stretch:
                taken[_place(word)] = True
        return tuple(sorted(words, key=lambda word: (word.start, word.end)))

    def _stretches(self, audio: Floats) -> Iterator[list[HeardWord]]:
        from tests.emulators.spectra import compare

        for run in self._index.runs(audio):
            agreement = compare(audio, self._clips[run.clip], self._loudest[run.clip], run)
            recording = self._recordings[run.clip]
            words = []
            for number, word in enumerate(recording.words):
                # The middle of a frame lies 12.5 ms behind its start.
                first = max(0, round(word.start * 100 - 1.25))
                last = max(first + 1, round(word.end * 100 - 1.25))
                if agreement.has(first, last):
                    words.append(_moved(word, run.shift / 100, recording, number))
            if sum(word.end - word.start for word in words) >= SHORTEST:
                yield words


def _place(word: HeardWord) -> slice:
    start = round(word.start * 100)
    return slice(start, max(start + 1, round(word.end * 100)))


def _moved(word: SpokenWord, shift: float, recording: Recording, number: int) -> HeardWord:
    start, end = (max(0.0, round(time - shift, 3)) for time in (word.start, word.end))
    return HeardWord(
        word.text,
        start,
        end,
        recording.name,
        number,
        recording.speaker,
        recording.language,
        recording.emotion,
    )


def _heard(sound: Sound, words: tuple[HeardWord, ...], duration: float, *, silent: bool) -> Heard:
    return Heard(
        words=words,
        duration=duration,
        channels=sound.channels,
        sample_rate=sound.sample_rate,
        silent=silent,
        container=sound.container,
        codec=sound.codec,
    )


def _sentences(words: Iterable[HeardWord]) -> Iterator[list[HeardWord]]:
    sentence: list[HeardWord] = []
    for word in words:
        if sentence and (
            sentence[-1].text.endswith((".", "?", "!"))
            or (word.recording, word.number) != (sentence[-1].recording, sentence[-1].number + 1)
        ):
            yield sentence
            sentence = []
        sentence.append(word)
    if sentence:
        yield sentence


def _most(values: Iterable[str]) -> str | None:
    common = Counter(values).most_common(1)
    return common[0][0] if common else None


def _resampled(samples: NDArray[Any], rate: int) -> Iterator[Floats]:
    import av
    import numpy as np

    from tests.emulators.spectra import RATE

    mono = samples.astype(np.float32).mean(axis=1)[None, :] / 32_768
    if not mono.size:
        return
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(mono), "fltp", "mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler("fltp", "mono", RATE)
    for piece in (*resampler.resample(frame), *resampler.resample(None)):
        yield piece.to_ndarray()[0]


def _spread(path: Path, text: str) -> tuple[SpokenWord, ...]:
    import numpy as np

    from tests.emulators.spectra import spectrum

    loudness = spectrum(decode(path)[1])[0].max(axis=1)
    loud = np.flatnonzero(loudness > loudness.max() - 40)
    words = text.split()
    # Each word gets its share of the loud frames.
    bounds = [loud[i * (len(loud) - 1) // len(words)] / 100 for i in range(len(words) + 1)]
    return tuple(
        SpokenWord(word, float(start), float(end))
        for word, start, end in zip(words, bounds[:-1], bounds[1:], strict=True)
    )


EAR = Ear()
"""Knows the committed recordings. To teach more, or other moods, make an `Ear` of your own."""
listen = EAR.listen
listen_pcm = EAR.listen_pcm
glance = EAR.glance
register = EAR.register
