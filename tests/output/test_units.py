"""Text is cut where its script allows, and times come from words where there are any."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.output.units import Break, Unit, split_wide, units
from asrcli.output.width import clusters
from asrcli.transcript import Segment, Word

quick = settings(deadline=None, database=None, max_examples=60)
texts = st.text(st.sampled_from("ab X語音。、（）한.,!? \u0301👩\u200d💻-'1"), max_size=60)


def spoken(*words: tuple[str, float, float]) -> tuple[Word, ...]:
    return tuple(Word(*word) for word in words)


def times(found: list[Unit]) -> list[tuple[str, float, float]]:
    return [(unit.text, unit.start, unit.end) for unit in found]


def whole(found: list[Unit]) -> str:
    return "".join(f" {unit.text}" if unit.spaced else unit.text for unit in found)


@quick
@given(texts)
def test_units_are_the_text_of_the_segment(text: str) -> None:
    assert whole(units(Segment(text, 0, 1))) == " ".join(text.split())


@quick
@given(texts, st.lists(texts, max_size=8))
def test_units_are_the_text_of_the_segment_whatever_its_words_say(
    text: str, words: list[str]
) -> None:
    said = spoken(*((word, i, i + 0.5) for i, word in enumerate(words)))

    assert whole(units(Segment(text, 0, 9, words=said))) == " ".join(text.split())


@quick
@given(texts, st.lists(st.tuples(texts, st.floats(0, 9), st.floats(0, 9)), max_size=8))
def test_times_never_run_backwards(text: str, words: list[tuple[str, float, float]]) -> None:
    found = units(Segment(text, 0, 9, words=spoken(*words)))

    bounds = [bound for unit in found for bound in (unit.start, unit.end)]
    assert bounds == sorted(bounds)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("two words", ["two", "words"]),
        ("你好，世界。", ["你", "好，", "世", "界。"]),
        ("（甲）乙", ["（甲）", "乙"]),
        ("用Python写", ["用", "Python", "写"]),
        ("スーパーだよ", ["スー", "パー", "だ", "よ"]),
        ("한국어 말", ["한국어", "말"]),
        ("naïve café", ["naïve", "café"]),
    ],
)
def test_scripts_without_spaces_break_between_characters_but_not_before_closing_marks(
    text: str, parts: list[str]
) -> None:
    assert [unit.text for unit in units(Segment(text, 0, 1))] == parts


def test_without_words_times_are_shares_of_the_width() -> None:
    assert times(units(Segment("ab 語音", 10, 17))) == [
        ("ab", 10, 12),
        ("語", 12, 15),
        ("音", 15, 17),
    ]


def test_words_are_found_whatever_their_case_and_punctuation() -> None:
    said = spoken(("hello", 1, 1.5), ("world", 2, 2.5))

    assert times(units(Segment("Hello, World!", 0, 9, words=said))) == [
        ("Hello,", 1, 1.5),
        ("World!", 2, 2.5),
    ]


def test_a_word_of_several_characters_is_one_unit() -> None:
    said = spoken(("欢迎", 1, 2), ("使用", 2, 3))

    assert times(units(Segment("欢迎使用。", 0, 9, words=said))) == [
        ("欢迎", 1, 2),
        ("使用。", 2, 3),
    ]


def test_a_number_that_was_spelt_out_lies_where_its_words_were() -> None:
    said = spoken(("at", 1, 1.2), ("twenty", 2, 2.4), ("one", 2.5, 3), ("hours", 3.1, 3.5))

    assert times(units(Segment("at 21 hours", 0, 9, words=said))) == [
        ("at", 1, 1.2),
        ("21", 2, 3),
        ("hours", 3.1, 3.5),
    ]


def test_text_without_a_word_of_its_own_lies_between_its_neighbours() -> None:
    said = spoken(("one", 1, 2), ("three", 4, 5))

    assert times(units(Segment("one two three four", 0, 9, words=said))) == [
        ("one", 1, 2),
        ("two", 2, 4),
        ("three", 4, 5),
        ("four", 5, 9),
    ]


def test_words_that_have_nothing_to_do_with_the_text_still_bound_its_times() -> None:
    said = spoken(("zzz", 3, 4), ("yyy", 4, 5))

    found = units(Segment("something else", 0, 9, words=said))

    assert (found[0].start, found[-1].end) == (3, 5)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("end.", Break.SENTENCE),
        ("end.”", Break.SENTENCE),
        ("好。", Break.SENTENCE),
        ("क्या।", Break.SENTENCE),
        ("well,", Break.CLAUSE),
        ("甲、", Break.CLAUSE),
        ("word", Break.WORD),
        ("Dr.", Break.WORD),
        ("J.", Break.WORD),
    ],
)
def test_the_end_of_a_sentence_is_a_better_place_than_that_of_a_clause(
    text: str, after: Break
) -> None:
    assert units(Segment(text, 0, 1))[-1].after is after


def test_a_pause_is_as_good_a_place_as_a_comma() -> None:
    said = spoken(("one", 0, 1), ("two", 3, 4))

    assert units(Segment("one two", 0, 4, words=said))[0].after is Break.CLAUSE


def test_a_word_wider_than_a_line_is_cut_with_shares_of_its_time() -> None:
    found = list(split_wide(units(Segment("abcdefghij.", 0, 11)), 5))

    assert times(found) == [("abcde", 0, 5), ("fghij", 5, 10), (".", 10, 11)]
    assert [unit.after for unit in found] == [Break.INSIDE, Break.INSIDE, Break.SENTENCE]


@quick
@given(texts, st.integers(2, 9))
def test_cutting_wide_units_keeps_the_text(text: str, cells: int) -> None:
    found = units(Segment(text, 0, 1))
    cut = list(split_wide(found, cells))

    assert whole(cut) == whole(found)
    # A single cluster may be wider than the line: it is not cut into pieces.
    assert all(unit.width <= cells or len(clusters(unit.text)) == 1 for unit in cut)
    assert all(a.end <= b.start + 1e-9 for a, b in itertools.pairwise(cut))
