"""The ear: it hears what is there, all of it, in order, and nothing else."""

from __future__ import annotations

import itertools
import random
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tests.emulators.recognizer import Ear, Undecodable, glance, listen, listen_pcm
from tests.recordings import (
    FORMATS_MADE,
    RECORDINGS,
    Recording,
    SpokenWord,
    concatenate,
    cut,
    damage,
    encode_as,
    louder,
    mix,
    noise,
    recording,
    side_by_side,
    silence,
    tone,
)

SHORT = [clip for clip in RECORDINGS if clip.seconds < 12]


def speed_changed(source: Path, path: Path, factor: float) -> Path:
    samples, rate = soundfile.read(source, dtype="float32")
    soundfile.write(path, soxr.resample(samples, rate * factor, rate), rate)
    return path


@pytest.mark.parametrize("clip", RECORDINGS, ids=lambda clip: clip.name)
def test_each_recording_is_heard_word_for_word_at_its_times(clip: Recording) -> None:
    heard = listen(clip.path.read_bytes())

    assert heard.text == clip.text
    assert heard.duration == pytest.approx(clip.seconds, abs=0.01)
    assert [w.start for w in heard.words] == pytest.approx([w.start for w in clip.words], abs=0.02)
    assert [w.end for w in heard.words] == pytest.approx([w.end for w in clip.words], abs=0.02)


@pytest.mark.parametrize("container", FORMATS_MADE)
def test_a_format_changes_nothing_of_what_is_heard(container: str, tmp_path: Path) -> None:
    clip = SHORT[FORMATS_MADE.index(container) % len(SHORT)]

    heard = listen(encode_as(clip.path, container, tmp_path).read_bytes())

    assert heard.text == clip.text
    assert (heard.container, heard.channels) == (container, 1)
    assert abs(heard.words[-1].end - clip.words[-1].end) < 0.15


@pytest.mark.parametrize(
    ("container", "bit_rate"), [("opus", 16_000), ("mp3", 32_000), ("amr", 12_200)]
)
def test_hard_compression_changes_nothing(container: str, bit_rate: int, tmp_path: Path) -> None:
    clips = [clip.path for clip in SHORT]
    joined = concatenate(clips, tmp_path / "all.wav", gap=0.2)

    heard = listen(encode_as(joined, container, tmp_path, bit_rate=bit_rate))

    assert heard.text == " ".join(clip.text for clip in SHORT)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_a_sample_rate_changes_nothing(rate: int, tmp_path: Path) -> None:
    clip = recording("planet")

    heard = listen(encode_as(clip.path, "wav", tmp_path, rate=rate, channels=2))

    assert heard.text == clip.text
    assert (heard.sample_rate, heard.channels) == (rate, 2)


@pytest.mark.parametrize("gain", [-40, -12, 6, 12])
def test_loudness_changes_nothing(gain: float, tmp_path: Path) -> None:
    clip = recording("bridge")

    assert listen(louder(clip.path, tmp_path / "x.wav", gain=gain)).text == clip.text


@pytest.mark.parametrize("seed", range(24))
def test_of_a_cut_recording_just_the_whole_words_are_heard(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    clip = chance.choice(RECORDINGS)
    start = chance.uniform(0, clip.seconds - 1.5)
    end = min(clip.seconds, start + chance.uniform(1.2, 8))
    part = cut(clip.path, tmp_path / "part.flac", start=start, end=end)
    container = chance.choice(["wav", "opus", "mp3"])

    heard = listen(encode_as(part, container, tmp_path)).words

    def within(word: SpokenWord, slack: float) -> bool:
        return start - slack <= word.start and word.end <= end + slack

    numbers = [word.number for word in heard]
    surely = [n for n, w in enumerate(clip.words) if within(w, -0.03)]
    # What lacks less than an eighth, or two frames, counts as whole.
    perhaps = [n for n, w in enumerate(clip.words) if within(w, 0.03 + 0.12 * (w.end - w.start))]
    assert {word.recording for word in heard} <= {clip.name}
    assert numbers == sorted(numbers)
    assert set(surely) <= set(numbers) <= set(perhaps)
    for word in heard:
        assert word.start == pytest.approx(max(0, clip.words[word.number].start - start), abs=0.1)


@pytest.mark.parametrize("seed", range(6))
def test_recordings_in_a_row_are_heard_in_that_order(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    clips = [chance.choice(SHORT) for _ in range(6)]
    gap = chance.choice([0.0, 0.05, 0.4])

    heard = listen(concatenate([c.path for c in clips], tmp_path / "row.wav", gap=gap))

    assert heard.text == " ".join(clip.text for clip in clips)
    begins = [sum(c.seconds + gap for c in clips[:number]) for number in range(len(clips))]
    firsts = [word.start for word in heard.words if word.number == 0]
    expected = [begin + c.words[0].start for begin, c in zip(begins, clips, strict=True)]
    assert firsts == pytest.approx(expected, abs=0.03)


def test_five_minutes_are_heard_to_the_last_word(tmp_path: Path) -> None:
    clips = [*RECORDINGS * 3]
    path = concatenate([clip.path for clip in clips], tmp_path / "long.flac", gap=0.3)

    heard = listen(path)

    assert heard.duration > 300
    assert heard.text == " ".join(clip.text for clip in clips)


def test_what_is_said_twice_is_heard_twice(tmp_path: Path) -> None:
    clip = recording("letter")
    once_and_a_half = concatenate(
        [clip.path, cut(clip.path, tmp_path / "half.wav", end=2.0)], tmp_path / "x.wav"
    )

    words = [word.number for word in listen(once_and_a_half).words]

    assert words[: len(clip.words)] == list(range(len(clip.words)))
    assert words[len(clip.words) :] == [n for n, w in enumerate(clip.words) if w.end < 2.0]


@pytest.mark.parametrize("factor", [0.9, 0.98, 1.02, 1.05, 1.1, 1.25, 2.0])
def test_speech_at_another_speed_is_not_understood(factor: float, tmp_path: Path) -> None:
    clip = recording("planet")

    heard = listen(speed_changed(clip.path, tmp_path / "x.wav", factor))

    assert len(heard.words) <= 3
    assert not heard.silent


def test_two_speakers_at_once_are_not_understood(tmp_path: Path) -> None:
    clips = [recording("planet"), recording("report")]

    heard = listen(mix([clip.path for clip in clips], tmp_path / "x.wav"))

    assert len(heard.words) < len(clips[0].words)
    assert clips[0].text not in heard.text
    assert clips[1].text not in heard.text


def test_channels_are_heard_together_or_one_by_one(tmp_path: Path) -> None:
    clips = [recording("planet"), recording("report")]
    data = side_by_side([clip.path for clip in clips], tmp_path / "x.wav").read_bytes()

    together = listen(data)

    assert together.channels == 2
    assert clips[0].text not in together.text
    assert [listen(data, channel=n).text for n in (0, 1)] == [clip.text for clip in clips]
    with pytest.raises(Undecodable):
        listen(data, channel=2)


def test_backwards_nothing_is_heard(tmp_path: Path) -> None:
    samples, rate = soundfile.read(recording("meeting").path)
    soundfile.write(tmp_path / "x.wav", samples[::-1], rate)

    assert listen(tmp_path / "x.wav").text == ""


def test_noise_and_tones_are_sound_but_no_words(tmp_path: Path) -> None:
    for path in (noise(5, tmp_path / "noise.wav"), tone(5, tmp_path / "tone.wav")):
        heard = listen(path)
        assert (heard.text, heard.silent) == ("", False)


def test_silence_is_silent(tmp_path: Path) -> None:
    heard = listen(silence(3, tmp_path / "x.wav"))

    assert (heard.text, heard.silent, heard.duration) == ("", True, 3.0)


def test_soft_noise_behind_the_words_changes_nothing(tmp_path: Path) -> None:
    clip = recording("welcome")
    hiss = noise(clip.seconds, tmp_path / "noise.wav", level=-40)

    assert listen(mix([clip.path, hiss], tmp_path / "x.wav")).text == clip.text


@pytest.mark.parametrize("how", ["empty", "header", "zeros", "text", "html", "random"])
def test_what_is_no_recording_is_undecodable(how: str, tmp_path: Path) -> None:
    broken = damage(recording("number").path, how, tmp_path)

    with pytest.raises(Undecodable):
        listen(broken.read_bytes())


def test_a_wav_without_samples_is_undecodable(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros(0), 16_000)

    with pytest.raises(Undecodable):
        listen((tmp_path / "x.wav").read_bytes())


def test_a_picture_without_sound_is_undecodable() -> None:
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 1, 1, 8, 0, 0, 0, 0)

    with pytest.raises(Undecodable):
        listen(header)


def test_bare_samples_are_heard_at_the_rate_that_is_said() -> None:
    clip = recording("lesson")
    samples, rate = soundfile.read(clip.path, dtype="int16")

    assert listen_pcm(samples.tobytes(), rate).text == clip.text
    assert listen_pcm(samples.astype(np.float32) / 32_768, rate).text == clip.text
    assert len(listen_pcm(samples.tobytes(), 24_000).words) <= 2


def test_bare_samples_of_two_channels_take_turns() -> None:
    clip = recording("number")
    samples, rate = soundfile.read(clip.path, dtype="int16")

    heard = listen_pcm(np.repeat(samples, 2).tobytes(), rate, channels=2)

    assert (heard.text, heard.channels) == (clip.text, 2)


def test_no_samples_are_no_words() -> None:
    heard = listen_pcm(b"", 16_000)

    assert (heard.text, heard.duration, heard.silent) == ("", 0.0, True)


def test_more_and_more_of_a_recording_gives_more_and_more_words() -> None:
    clip = recording("bridge")
    samples, rate = soundfile.read(clip.path, dtype="int16")

    texts = [listen_pcm(samples[: rate * n // 2].tobytes(), rate).text for n in range(1, 10)]

    assert texts[-1] == clip.text
    assert all(after.startswith(before) for before, after in itertools.pairwise(texts))


def test_sentences_end_at_full_stops_and_where_a_recording_breaks_off(tmp_path: Path) -> None:
    half = cut(recording("report").path, tmp_path / "half.wav", end=2.6)
    path = concatenate([recording("welcome").path, half], tmp_path / "x.wav")

    sentences = listen(concatenate([path, recording("letter").path], tmp_path / "y.wav")).sentences

    assert [sentence.text for sentence in sentences] == [
        "Good morning, and welcome.",
        "Every word of this message was turned into text on your own computer.",
        "The committee will publish its final report",
        recording("letter").text,
    ]
    assert [s.speaker for s in sentences] == ["flite-rms", "flite-rms", "flite-awb", "flite-slt"]
    assert sentences[1].start > sentences[0].end


def test_mood_and_language_are_those_that_the_ear_was_told() -> None:
    clip = recording("letter")
    ear = Ear([replace(clip, emotion="sad", language="fr")])

    heard = ear.listen(clip.path.read_bytes())

    assert (heard.emotion, heard.language) == ("sad", "fr")
    assert (listen(clip.path).emotion, listen(clip.path).language) == ("neutral", "en")


def test_an_ear_learns_another_recording(tmp_path: Path) -> None:
    clip = recording("number")
    ear = Ear([recording("letter")])
    before = ear.listen(clip.path.read_bytes()).text

    ear.register(clip.path, clip.words, speaker="anna")

    heard = ear.listen(clip.path.read_bytes())
    assert (before, heard.text) == ("", clip.text)
    assert heard.words[0].speaker == "anna"


def test_words_without_times_are_spread_over_what_sounds() -> None:
    clip = recording("meeting")
    ear = Ear([])

    ear.register(clip.path, clip.text)

    heard = ear.listen(clip.path)
    assert heard.text == clip.text
    assert heard.words[-1].end <= clip.seconds


def test_a_glance_reads_the_header_alone(tmp_path: Path) -> None:
    clip = recording("planet")

    heard = glance(encode_as(clip.path, "flac", tmp_path))

    assert (heard.container, heard.channels, heard.words) == ("flac", 1, ())
    assert heard.duration == pytest.approx(clip.seconds, abs=0.1)


def test_a_file_in_hand_is_heard_as_its_bytes_are() -> None:
    clip = recording("number")

    with clip.path.open("rb") as file:
        assert listen(file).text == clip.text
