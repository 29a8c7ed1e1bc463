"""The committed recordings, and the formats and files that are made of them."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
import soundfile

from tests.emulators.decoding import Undecodable, decode, identify
from tests.recordings import (
    DAMAGES,
    FORMATS_MADE,
    RECORDINGS,
    VIDEO_FORMATS,
    Recording,
    concatenate,
    cut,
    damage,
    encode_as,
    louder,
    noise,
    recording,
    side_by_side,
    silence,
    tone,
)

BY_NAME = pytest.mark.parametrize("clip", RECORDINGS, ids=lambda clip: clip.name)


def seconds_of(path: Path) -> float:
    return sum(len(block) for block in decode(path)[1]) / 8_000


@BY_NAME
def test_a_recording_has_the_length_that_the_manifest_says(clip: Recording) -> None:
    about = soundfile.info(clip.path)

    assert (about.samplerate, about.channels, about.subtype) == (16_000, 1, "PCM_16")
    assert about.duration == pytest.approx(clip.seconds, abs=0.001)


@BY_NAME
def test_the_words_of_a_recording_are_its_text_and_lie_one_after_the_other(clip: Recording) -> None:
    assert " ".join(word.text for word in clip.words) == clip.text
    times = [time for word in clip.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= clip.seconds


def test_no_two_recordings_share_two_words_in_a_row() -> None:
    owners: dict[tuple[str, str], set[str]] = {}
    for clip in RECORDINGS:
        words = re.sub(r"[^a-z' ]", "", clip.text.lower()).split()
        for pair in itertools.pairwise(words):
            owners.setdefault(pair, set()).add(clip.name)

    assert [pair for pair, names in owners.items() if len(names) > 1] == []


def test_the_recordings_are_small_and_their_license_is_said() -> None:
    folder = RECORDINGS[0].path.parent

    assert sum(path.stat().st_size for path in folder.iterdir()) < 4_000_000
    assert "CC0" in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["license"]


def test_the_embedded_engine_hears_the_first_recording_right() -> None:
    pocketsphinx = pytest.importorskip("pocketsphinx")
    clip = recording("welcome")
    decoder = pocketsphinx.Decoder(maxhmmpf=3000, loglevel="FATAL")

    decoder.start_utt()
    decoder.process_raw(soundfile.read(clip.path, dtype="int16")[0].tobytes(), full_utt=True)
    decoder.end_utt()

    assert clip.heard_right
    assert decoder.hyp().hypstr == clip.heard


@pytest.mark.parametrize("container", FORMATS_MADE)
def test_every_container_can_be_made(container: str, tmp_path: Path) -> None:
    clip = recording("number")

    made = encode_as(clip.path, container, tmp_path)

    assert made == tmp_path / f"number.{container}"
    assert identify(made).container == container
    assert seconds_of(made) == pytest.approx(clip.seconds, abs=0.12)


@pytest.mark.parametrize("container", VIDEO_FORMATS)
def test_containers_of_video_have_a_picture_unless_they_are_made_without(
    container: str, tmp_path: Path
) -> None:
    import av

    clip = recording("number")

    pictures = []
    for video in (True, False):
        with av.open(str(encode_as(clip.path, container, tmp_path, video=video))) as made:
            pictures.append(len(made.streams.video))

    assert pictures == [1, 0]


def test_rate_channels_and_bit_rate_can_be_chosen(tmp_path: Path) -> None:
    clip = recording("letter")

    small = encode_as(clip.path, "mp3", tmp_path, bit_rate=16_000).stat().st_size
    large = encode_as(clip.path, "mp3", tmp_path, bit_rate=64_000).stat().st_size
    sound = identify(encode_as(clip.path, "wav", tmp_path, rate=44_100, channels=2))

    assert small < 0.5 * large
    assert (sound.sample_rate, sound.channels) == (44_100, 2)


def test_recordings_are_put_together_with_gaps_and_cut(tmp_path: Path) -> None:
    clips = [recording(name).path for name in ("number", "bridge", "number")]

    joined = concatenate(clips, tmp_path / "joined.flac", gap=0.5)
    part = cut(joined, tmp_path / "part.wav", start=1.0, end=2.5)

    lengths = 2 * recording("number").seconds + recording("bridge").seconds
    assert soundfile.info(joined).duration == pytest.approx(lengths + 1.0, abs=0.001)
    assert soundfile.info(part).duration == pytest.approx(1.5, abs=0.001)


def test_sounds_without_words_have_the_length_and_loudness_asked_for(tmp_path: Path) -> None:
    def loudness(path: Path) -> float:
        return float((soundfile.read(path)[0] ** 2).mean())

    assert loudness(silence(1, tmp_path / "silence.wav")) == 0
    assert loudness(tone(1, tmp_path / "tone.wav")) == pytest.approx(0.25**2 / 2, rel=0.01)
    hiss = noise(2, tmp_path / "noise.wav", level=-40)
    assert loudness(hiss) == pytest.approx(1e-4, rel=0.05)
    assert loudness(louder(hiss, tmp_path / "louder.wav", gain=10)) == pytest.approx(1e-3, rel=0.05)
    assert soundfile.info(hiss).duration == 2


def test_recordings_can_share_a_file_in_channels_of_their_own(tmp_path: Path) -> None:
    pair = [recording("number").path, recording("bridge").path]

    path = side_by_side(pair, tmp_path / "pair.wav")

    left, right = soundfile.read(path, dtype="int16")[0].T
    assert (
        left[: len(soundfile.read(pair[0])[0])] == soundfile.read(pair[0], dtype="int16")[0]
    ).all()
    assert (right == soundfile.read(pair[1], dtype="int16")[0]).all()


@pytest.mark.parametrize("how", sorted(set(DAMAGES) - {"truncated"}))
@pytest.mark.parametrize("container", ["wav", "mp3", "m4a", "ogg"])
def test_a_damaged_file_cannot_be_decoded(how: str, container: str, tmp_path: Path) -> None:
    whole = encode_as(recording("number").path, container, tmp_path)

    with pytest.raises(Undecodable):
        identify(damage(whole, how, tmp_path))


def test_a_truncated_file_has_the_first_half(tmp_path: Path) -> None:
    clip = recording("letter")

    half = damage(clip.path, "truncated", tmp_path)

    assert seconds_of(half) == pytest.approx(clip.seconds / 2, abs=0.05)
