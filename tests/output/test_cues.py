"""Cues can be read, follow each other, and have the times of what they hold."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.errors import UsageError
from asrcli.output.cues import Cue, CueShape, cues
from asrcli.output.width import display_width
from asrcli.transcript import Segment, Timing, Transcript, Word

quick = settings(deadline=None, database=None, max_examples=60)
SHAPE = CueShape()

texts = st.text(st.sampled_from("abcd XY語音識別。、（） \n.,!?\u0301"), max_size=120)
seconds = st.floats(0, 60, allow_nan=False)
segments = st.builds(
    lambda text, start, length, speaker: Segment(
        text, start, start + length, Timing.VAD, speaker=speaker
    ),
    texts,
    seconds,
    st.floats(-1, 30),
    st.sampled_from([None, "1", "Alice with a long and tedious name"]),
)
shapes = st.builds(CueShape, st.integers(2, 50), st.integers(1, 3), st.floats(0.5, 10))


def transcript(*found: Segment, duration: float | None = None) -> Transcript:
    return Transcript(found, "test", "model", duration=duration)


def made(*found: Segment, shape: CueShape = SHAPE, duration: float | None = None) -> list[Cue]:
    return list(cues(transcript(*found, duration=duration), shape))


def shown(found: Sequence[Cue]) -> list[tuple[str, ...]]:
    return [cue.lines for cue in found]


def evenly(text: str, start: float, step: float) -> tuple[Word, ...]:
    return tuple(
        Word(word.strip(".,"), start + i * step, start + (i + 0.8) * step)
        for i, word in enumerate(text.split())
    )


# --- what always holds ------------------------------------------------------------------------


@quick
@given(st.lists(segments, max_size=6), shapes, st.booleans())
def test_cues_never_overlap_and_always_last(
    found: list[Segment], shape: CueShape, names: bool
) -> None:
    made = list(cues(transcript(*found), shape, name_in_text=names))

    assert all(0 <= cue.start_ms < cue.end_ms for cue in made)
    assert all(a.end_ms <= b.start_ms for a, b in itertools.pairwise(made))


@quick
@given(st.lists(segments, max_size=4), shapes, st.booleans())
def test_cues_keep_to_their_shape(found: list[Segment], shape: CueShape, names: bool) -> None:
    made = list(cues(transcript(*found), shape, name_in_text=names))

    for cue in made:
        assert 1 <= len(cue.lines) <= shape.max_lines
        assert all(display_width(line) <= shape.max_line_chars for line in cue.lines)
        assert cue.end_ms - cue.start_ms <= shape.max_seconds * 1000 + 1


@quick
@given(texts, shapes)
def test_no_character_is_lost_or_made_up(text: str, shape: CueShape) -> None:
    found = made(Segment(text, 0, 30), shape=shape)

    assert "".join("".join(cue.lines) for cue in found).replace(" ", "") == "".join(text.split())


# --- one segment ------------------------------------------------------------------------------


def test_a_segment_that_fits_is_one_cue_with_its_times() -> None:
    assert made(Segment("It fits. All of it.", 1.0, 4.5)) == [
        Cue(1000, 4500, ("It fits. All of it.",))
    ]


def test_a_segment_without_text_is_no_cue() -> None:
    assert made(Segment(" \n", 0, 1), Segment("", 1, 2)) == []


def test_a_segment_too_long_is_cut_at_the_end_of_a_sentence_before_that_of_a_clause() -> None:
    text = (
        "The first sentence ends right here. The second one, which has a comma in it, "
        "goes on for so long that it needs cues of its own."
    )

    assert shown(made(Segment(text, 0, 15))) == [
        ("The first sentence ends right here.",),
        ("The second one, which has a comma in it,",),
        ("goes on for so long that", "it needs cues of its own."),
    ]


def test_the_times_of_cues_are_those_of_their_words() -> None:
    text = "The first sentence ends right here. The second one comes after a long pause of its own."
    first, second = evenly(text, 10.0, 0.5)[:6], evenly(text, 20.0, 0.25)[6:]

    found = made(Segment(text, 9.0, 25.0, Timing.MODEL, words=first + second))

    assert [(cue.start_ms, cue.end_ms) for cue in found] == [(10000, 12900), (21500, 24200)]


def test_without_words_times_are_shares_of_the_segment_alone() -> None:
    half = "x" * 20 + " " + "y" * 20 + "."
    found = made(Segment(f"{half} {half}", 100.0, 110.0), Segment("after", 200.0, 201.0))

    assert [(cue.start_ms, cue.end_ms) for cue in found] == [
        (100000, 104941),
        (104941, 110000),
        (200000, 201000),
    ]


def test_a_segment_of_few_words_and_many_seconds_is_cut_by_time() -> None:
    found = made(Segment("so very slow indeed", 0, 14.0))

    assert all(cue.end_ms - cue.start_ms <= 7000 for cue in found)
    assert " ".join(line for cue in found for line in cue.lines) == "so very slow indeed"


def test_a_single_word_of_many_seconds_is_not_shown_longer_than_a_cue_may_last() -> None:
    assert made(Segment("Ah.", 1.0, 30.0)) == [Cue(1000, 8000, ("Ah.",))]


def test_the_last_cue_is_not_one_short_word_where_two_can_share() -> None:
    text = (
        "this goes on without any mark for two lines and then has just one word too many to fit in"
    )
    found = made(Segment(text, 0, 8.0))

    assert len(found) == 2
    widths = [sum(map(len, cue.lines)) for cue in found]
    assert max(widths) - min(widths) <= 10


def test_chinese_is_cut_between_characters_but_not_before_a_closing_mark() -> None:
    found = made(Segment("语音识别的历史" * 3 + "。" + "很长" * 20 + "。", 0, 20))

    lines = [line for cue in found for line in cue.lines]
    assert lines[0].startswith("语音识别")
    assert not any(line.startswith("。") for line in lines)
    assert all(display_width(line) <= 42 for line in lines)


def test_lines_are_balanced_and_break_after_a_comma_where_they_can() -> None:
    [cue] = made(Segment("When it rains in the mountains, the rivers rise at once", 0, 5))

    assert cue.lines == ("When it rains in the mountains,", "the rivers rise at once")


def test_the_last_line_is_not_a_single_short_word() -> None:
    [cue] = made(Segment("Nobody had ever been in that big old house so", 0, 5))

    assert len(cue.lines) == 2
    assert len(cue.lines[1].split()) > 1


def test_controls_are_gone_before_lines_are_measured() -> None:
    assert shown(made(Segment("a\x1b[2J\u2028b\ud800", 0, 1))) == [("a[2J b\ufffd",)]


# --- several segments -------------------------------------------------------------------------


def test_a_cue_ends_where_that_of_an_overlapping_segment_starts() -> None:
    found = made(
        Segment("one", 0.0, 5.0, channel=0),
        Segment("two", 3.0, 4.0, channel=1),
        Segment("three", 10.0, 11.0, channel=0),
    )

    assert [(cue.start_ms, cue.end_ms) for cue in found] == [
        (0, 3000),
        (3000, 4000),
        (10000, 11000),
    ]


def test_of_two_segments_that_start_together_both_are_shown() -> None:
    found = made(Segment("one", 1.0, 5.0), Segment("two", 1.0, 5.0))

    assert [(cue.start_ms, cue.end_ms) for cue in found] == [(1000, 1500), (1500, 5000)]


def test_cues_of_a_long_segment_and_of_one_inside_it_come_in_order_of_time() -> None:
    long = "Sentence number one is here to stay. " * 6
    found = made(Segment(long, 0.0, 24.0, channel=0), Segment("Yes.", 10.0, 11.0, channel=1))

    assert [cue.start_ms for cue in found] == sorted(cue.start_ms for cue in found)
    assert ("Yes.",) in shown(found)


def test_segments_out_of_order_are_shown_in_order() -> None:
    assert shown(made(Segment("two", 5, 6), Segment("one", 1, 2))) == [("one",), ("two",)]


def test_a_very_short_cue_stays_on_where_nothing_follows() -> None:
    found = made(Segment("Hm.", 1.0, 1.1), Segment("Yes.", 1.3, 1.35), duration=1.6)

    assert [(cue.start_ms, cue.end_ms) for cue in found] == [(1000, 1300), (1300, 1600)]


def test_times_are_rounded_once_to_the_millisecond() -> None:
    [cue] = made(Segment("x", 0.0004999, 1.9996))

    assert (cue.start_ms, cue.end_ms) == (0, 2000)


# --- speakers and shapes ----------------------------------------------------------------------


def test_each_cue_of_a_speaker_begins_with_the_name_that_takes_its_room() -> None:
    said = Segment("This text is a little too long for a line of its own.", 0, 5, speaker="Alice")

    found = list(cues(transcript(said), SHAPE, name_in_text=True))

    assert [cue.lines for cue in found] == [
        ("Alice: This text is a little too", "long for a line of its own.")
    ]


def test_a_name_too_long_for_half_a_line_keeps_its_end() -> None:
    said = Segment("Yes.", 0, 1, speaker="The person who sits at the end of the table")

    [cue] = cues(transcript(said), SHAPE, name_in_text=True)

    assert cue.lines == ("…he end of the table: Yes.",)
    assert cue.speaker == "The person who sits at the end of the table"


@pytest.mark.parametrize("shape", [(1, 2, 7.0), (42, 0, 7.0), (42, 2, 0.0), (42, 2, float("nan"))])
def test_a_shape_that_can_hold_nothing_is_refused(shape: tuple[int, int, float]) -> None:
    with pytest.raises(UsageError, match="a cue needs"):
        CueShape(*shape)
