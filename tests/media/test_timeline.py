"""Where sound belongs by the times of its container."""

from __future__ import annotations

import pytest

from asrcli.media.timeline import Timeline


def timeline(
    container: str = "mkv", codec: str = "opus", *, start: float | None = 0.0, end: float = 10.0
) -> Timeline:
    """A track at 16 kHz in frames of 1,024 samples, read up to `end` seconds."""
    made = Timeline(container, codec, 16_000, 1_024, start)
    made.end += end
    return made


def test_sound_in_its_place_needs_no_silence() -> None:
    assert timeline().silence_before(10.0) == 0


@pytest.mark.parametrize("time", [10.1, 9.9, 9.2])
def test_times_that_are_a_little_off_are_ignored(time: float) -> None:
    assert timeline().silence_before(time) == 0


def test_a_gap_is_as_much_silence() -> None:
    assert timeline().silence_before(12.5) == pytest.approx(2.5)


def test_a_small_gap_counts_where_something_is_missing() -> None:
    assert timeline().silence_before(10.1, missing=True) == pytest.approx(0.1)


@pytest.mark.parametrize("container", ["ogg", "opus", "flac"])
def test_a_small_gap_counts_where_samples_are_counted(container: str) -> None:
    assert timeline(container).silence_before(10.1) == pytest.approx(0.1)


def test_a_small_gap_counts_at_the_start() -> None:
    assert timeline(end=0.0).silence_before(0.1) == pytest.approx(0.1)


def test_undated_sound_follows_the_last() -> None:
    assert timeline().silence_before(None) == 0


def test_the_first_sound_is_the_start_where_the_container_names_none() -> None:
    made = timeline(start=None, end=0.0)

    assert made.silence_before(7.0) == 0
    made.end = 1.0
    assert made.silence_before(10.0) == pytest.approx(2.0)


@pytest.mark.parametrize("time", [0.0, 8.0, 86_400.0])
def test_a_clock_that_is_set_anew_goes_on_where_it_was(time: float) -> None:
    made = timeline()

    assert made.silence_before(time) == 0
    assert made.silence_before(time + 3) == pytest.approx(3)


@pytest.mark.parametrize(("container", "silence"), [("mkv", 5.0), ("mp3", 0.0), ("aac", 0.0)])
def test_times_that_are_only_counted_end_with_the_rate(container: str, silence: float) -> None:
    made = timeline(container)

    made.change_rate()

    assert made.silence_before(15.0) == pytest.approx(silence)


@pytest.mark.parametrize(
    ("container", "codec", "start", "samples"),
    [
        ("avi", "mp3", 0.0, 1_105),
        ("mp3", "mp3", 0.0, 1_105),
        ("mp3", "mp3", 0.069, 0),
        ("aac", "aac", None, 1_024),
        ("mpeg", "mp2", 0.5, 481),
        ("m4a", "aac", 0.0, 0),
        ("mkv", "mp3", 0.0, 0),
        ("avi", "pcm_s16le", 0.0, 0),
    ],
)
def test_a_lead_in_is_known_where_nothing_declares_it(
    container: str, codec: str, start: float | None, samples: int
) -> None:
    made = timeline(container, codec, start=start, end=0.0)

    assert made.lead_in == samples
    assert made.end == pytest.approx(-samples / 16_000)
    assert made.silence_before(start) == 0


def test_times_of_wma_are_late_by_a_frame() -> None:
    made = timeline("wma", "wmav2", end=0.0)

    assert made.lead_in == 0
    assert made.silence_before(0.128) == pytest.approx(0.064)


def test_lengths_add_up_where_nothing_is_dated() -> None:
    made = timeline(end=0.0)

    for _ in range(4):
        made.extend(None, 0.5)

    assert made.end == 2.0


def test_lengths_go_by_times_where_they_are_given() -> None:
    made = timeline(end=0.0)

    for time in (0.0, 0.5, 3.0, 0.0, 0.5):  # A gap, and then another recording.
        made.extend(time, 0.5)

    assert made.end == 4.5
