from __future__ import annotations

from collections.abc import Sequence

import pytest

from asrcli.core.join import Part, gap, join
from asrcli.media.places import RATE, Place, Span
from asrcli.transcript import Segment, Timing, Transcript, Word


def place(
    start: float, end: float, *, channel: int | None = None, seam: float | None = None
) -> Place:
    span = Span(0, round(start * RATE), round((end - start) * RATE))
    return Place((span,), channel, seam)


def answer(
    *segments: Segment,
    language: str | None = None,
    request: str = "",
    billed: float | None = None,
    warnings: tuple[str, ...] = (),
) -> Transcript:
    return Transcript(
        segments,
        provider="p",
        model="m",
        language=language,
        request_ids=(request,) if request else (),
        billed_seconds=billed,
        warnings=warnings,
    )


def joined(*parts: Part, timing: Timing = Timing.PIECE) -> Transcript:
    return join(parts, provider="p", model="m", duration=60.0, timing=timing)


def timed(*words: tuple[str, float, float]) -> Segment:
    made = tuple(Word(*word) for word in words)
    text = " ".join(word.text for word in made)
    return Segment(text, made[0].start, made[-1].end, timing=Timing.MODEL, words=made)


def rows(transcript: Transcript) -> list[tuple[str, float | None, float | None]]:
    return [(s.text, s.start, s.end) for s in transcript.segments]


# --- order, times and the rest ------------------------------------------------------------------


def test_parts_are_joined_in_order_of_time_however_they_come() -> None:
    late, early = (
        Part(place(30, 60), answer(Segment("b"))),
        Part(place(0, 30), answer(Segment("a"))),
    )

    assert rows(joined(late, early)) == [("a", 0.0, 30.0), ("b", 30.0, 60.0)]


def test_a_text_without_times_gets_those_of_its_piece_and_says_so() -> None:
    (segment,) = joined(Part(place(3, 7), answer(Segment("a"))), timing=Timing.VAD).segments

    assert (segment.start, segment.end, segment.timing) == (3.0, 7.0, Timing.VAD)


def test_lines_without_times_of_one_piece_become_one_segment() -> None:
    transcript = joined(Part(place(0, 9), answer(Segment("你好。"), Segment("再见。"))))

    assert rows(transcript) == [("你好。再见。", 0.0, 9.0)]


def test_times_of_the_model_become_those_of_the_recording_through_shortened_silence() -> None:
    spans = (Span(0, 10 * RATE, 2 * RATE), Span(2 * RATE, 100 * RATE, 5 * RATE))
    part = Part(Place(spans), answer(timed(("a", 0.5, 1.0), ("b", 4.0, 4.5))))

    (segment,) = joined(part).segments

    assert [(w.start, w.end) for w in segment.words] == [(10.5, 11.0), (102.0, 102.5)]
    assert (segment.start, segment.end, segment.timing) == (10.5, 102.5, Timing.MODEL)


def test_the_language_is_kept_for_each_segment_and_is_the_most_spoken_for_all() -> None:
    transcript = joined(
        Part(place(0, 9), answer(Segment("hello everybody out there"), language="en")),
        Part(place(9, 12), answer(Segment("ja"), language="de")),
        Part(place(12, 15), answer(Segment("nein"), language="de")),
    )

    assert [s.language for s in transcript.segments] == ["en", "de", "de"]
    assert transcript.language == "en"


def test_a_language_that_was_found_where_nobody_spoke_is_better_than_none() -> None:
    assert joined(Part(place(0, 9), answer(language="fr"))).language == "fr"


def test_requests_come_in_order_bills_are_added_and_warnings_are_said_once() -> None:
    transcript = joined(
        Part(place(9, 12), answer(request="two", billed=3.0, warnings=("loud", "cut"))),
        Part(place(0, 9), answer(request="one", billed=9.0, warnings=("cut",))),
        Part(place(12, 15), answer(request="three")),
    )

    assert transcript.request_ids == ("one", "two", "three")
    assert transcript.billed_seconds == 12.0
    assert transcript.warnings == ("cut", "loud")


def test_what_nobody_billed_is_unknown_and_what_was_free_is_zero() -> None:
    assert joined(Part(place(0, 9), answer())).billed_seconds is None
    assert joined(Part(place(0, 9), answer(billed=0.0))).billed_seconds == 0.0


def test_nothing_joins_to_nothing() -> None:
    assert joined().segments == ()


# --- gaps and channels --------------------------------------------------------------------------


def test_a_piece_that_failed_is_a_mark_with_its_times_rounded_outwards() -> None:
    transcript = joined(
        Part(place(0, 723.5), answer(Segment("before"))),
        gap(place(723.5, 4501.2)),
        Part(place(4501.2, 4600), answer(Segment("after"))),
    )

    assert rows(transcript)[1] == ("[no transcript 00:12:03-01:15:02]", 723.5, 4501.2)
    assert transcript.segments[1].timing is Timing.PIECE


def test_beside_a_piece_that_failed_the_words_of_the_seam_are_all_kept() -> None:
    transcript = joined(
        Part(place(0, 31), answer(Segment("one two"))),
        gap(place(29, 61, seam=30.0)),
        Part(place(59, 90, seam=60.0), answer(Segment("two three"))),
    )

    assert rows(transcript) == [
        ("one two", 0.0, 30.0),
        ("[no transcript 00:00:30-00:01:00]", 30.0, 60.0),
        ("two three", 60.0, 90.0),
    ]


def test_channels_are_merged_by_time_and_each_segment_knows_its_own() -> None:
    transcript = joined(
        Part(place(0, 4, channel=0), answer(Segment("how are you"))),
        Part(place(8, 9, channel=0), answer(Segment("fine"))),
        Part(place(5, 7, channel=1), answer(Segment("well and you"))),
        gap(place(10, 12, channel=1)),
    )

    assert [(s.channel, s.text) for s in transcript.segments] == [
        (0, "how are you"),
        (1, "well and you"),
        (0, "fine"),
        (1, "[no transcript 00:00:10-00:00:12]"),
    ]


def test_a_seam_of_one_channel_takes_nothing_from_the_other() -> None:
    transcript = joined(
        Part(place(0, 31, channel=0), answer(Segment("a b c d"))),
        Part(place(1, 30, channel=1), answer(Segment("c d e f"))),
        Part(place(29, 60, channel=0, seam=30.0), answer(Segment("c d e f"))),
    )

    by_channel = {
        n: " ".join(s.text for s in transcript.segments if s.channel == n) for n in (0, 1)
    }
    assert by_channel == {0: "a b c d e f", 1: "c d e f"}


# --- seams --------------------------------------------------------------------------------------


def over_a_seam(left: Sequence[Segment], right: Sequence[Segment]) -> Transcript:
    return joined(Part(place(0, 31), answer(*left)), Part(place(29, 60, seam=30.0), answer(*right)))


def test_words_at_a_seam_are_there_once_and_the_bounds_meet_in_it() -> None:
    transcript = over_a_seam([Segment("so it was a long way ho")], [Segment("ong way home again")])

    assert rows(transcript) == [("so it was a long way", 0.0, 30.0), ("home again", 30.0, 60.0)]


def test_a_seam_in_a_script_without_spaces_is_joined_without_one() -> None:
    transcript = over_a_seam([Segment("今天天气很好我们去公")], [Segment("气很好我们去公园玩")])

    assert transcript.text == "今天天气很好我们去公园玩"


def test_where_no_word_agrees_at_a_seam_nothing_is_taken_away() -> None:
    transcript = over_a_seam([Segment("apples and pears")], [Segment("under green trees")])

    assert transcript.text == "apples and pears under green trees"


def test_what_only_one_piece_heard_at_a_seam_is_kept() -> None:
    word = timed(("late", 29.5, 29.9))

    assert over_a_seam([], [timed(("early", 0.2, 0.4))]).text == "early"
    assert over_a_seam([word], []).text == "late"


def test_words_with_times_are_taken_from_the_piece_that_has_more_sound_around_them() -> None:
    left = timed(("a", 28.0, 28.4), ("b", 29.2, 29.6), ("c", 30.1, 30.4), ("de", 30.7, 31.0))
    right = timed(("b", 0.2, 0.6), ("c", 1.15, 1.45), ("deep", 1.7, 2.2), ("f", 3.0, 3.2))

    transcript = over_a_seam([left], [right])

    words = [word for segment in transcript.segments for word in segment.words]
    assert [word.text for word in words] == ["a", "b", "c", "deep", "f"]
    assert [word.start for word in words] == pytest.approx([28.0, 29.2, 30.1, 30.7, 32.0])
    assert transcript.text == "a b c deep f"


def test_the_same_word_at_other_times_is_another_word() -> None:
    left = timed(("no", 28.0, 28.2), ("no", 28.8, 29.0), ("no", 30.0, 30.2))
    right = timed(("no", 1.0, 1.2), ("no", 2.0, 2.2), ("no", 3.0, 3.2))

    assert over_a_seam([left], [right]).text == "no no no no no"


def test_where_times_say_that_different_words_are_one_the_seam_decides() -> None:
    left = timed(("so", 28.0, 28.4), ("color", 29.4, 29.8), ("read", 30.2, 30.6))
    right = timed(("colour", 0.4, 0.8), ("red", 1.2, 1.6), ("it", 3.0, 3.2))

    assert over_a_seam([left], [right]).text == "so color red it"


def test_a_seam_may_lie_anywhere_in_segments_with_times_alone() -> None:
    left = [
        Segment("One two three.", 25.0, 29.5, timing=Timing.MODEL),
        Segment("Four five six.", 29.6, 31.0, timing=Timing.MODEL),
    ]
    right = [
        Segment("four five.", 0.5, 1.3, timing=Timing.MODEL),
        Segment("Six seven.", 1.4, 4.0, timing=Timing.MODEL),
    ]

    transcript = over_a_seam(left, right)

    starts = [s.start or 0.0 for s in transcript.segments]
    assert transcript.text.lower().replace(".", "").split() == [
        "one", "two", "three", "four", "five", "six", "seven",
    ]  # fmt: skip
    assert starts == sorted(starts)
