from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asrcli.core.splice import splice, tokens

HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 300)]
WORDS = [a + b + c for a in "bdfgklmnpr" for b in "aeiou" for c in ("", "n", "st", "lo")]


def put_together(
    left: str, right: str, *, expected: float | None = None, between: str = " "
) -> str:
    return between.join(filter(None, splice(left, right, expected=expected)))


@st.composite
def seams(draw: st.DrawFn, vocabulary: list[str], *, least: int) -> tuple[list[str], int, int]:
    """A text of different words, and where the second piece begins and the first one ends."""
    words = draw(st.lists(st.sampled_from(vocabulary), min_size=30, max_size=60, unique=True))
    begin = draw(st.integers(8, 15))
    return words, begin, begin + draw(st.integers(least, 8))


tails, heads = st.sampled_from(["", "xyz", "qu oy"]), st.sampled_from(["", "zyx", "yo uq"])
"""What becomes of half a word: nothing, another word, two of them."""


@settings(max_examples=150, deadline=None, database=None)
@given(seam=seams(WORDS, least=2), tail=tails, head=heads, off=st.integers(-2, 3))
def test_each_word_is_there_once_whatever_became_of_those_that_were_cut(
    seam: tuple[list[str], int, int], tail: str, head: str, off: int
) -> None:
    words, begin, end = seam
    left = " ".join([*words[:end], tail]).strip()
    right = " ".join([head, *words[begin:]]).strip()

    expected = max(end - begin + 1 + off, 1)

    assert put_together(left, right, expected=expected).split() == words


@settings(max_examples=150, deadline=None, database=None)
@given(seam=seams(HAN, least=4), tail=st.sampled_from(["", "錯"]), head=st.sampled_from(["", "誤"]))
def test_each_character_is_there_once_in_a_script_without_spaces(
    seam: tuple[list[str], int, int], tail: str, head: str
) -> None:
    words, begin, end = seam
    left, right = "".join([*words[:end], tail]), "".join([head, *words[begin:]])

    assert put_together(left, right, expected=5, between="") == "".join(words)


@settings(max_examples=150, deadline=None, database=None)
@given(seam=seams(WORDS, least=5), wrong=st.integers(1, 3))
def test_a_word_that_was_misheard_in_one_piece_is_there_once(
    seam: tuple[list[str], int, int], wrong: int
) -> None:
    words, begin, end = seam
    there = [*words[begin : begin + wrong], "xyz", *words[begin + wrong + 1 :]]

    spliced = put_together(" ".join(words[:end]), " ".join(there), expected=end - begin).split()

    assert len(spliced) == len(words)
    assert sum(a != b for a, b in zip(spliced, words, strict=True)) <= 1


@settings(max_examples=100, deadline=None, database=None)
@given(
    left=st.lists(st.sampled_from(WORDS[:100]), max_size=30),
    right=st.lists(st.sampled_from(WORDS[100:]), max_size=30),
)
def test_words_that_were_said_once_are_never_taken(left: list[str], right: list[str]) -> None:
    assert splice(" ".join(left), " ".join(right), expected=6) == (" ".join(left), " ".join(right))


@settings(max_examples=200, deadline=None, database=None)
@given(left=st.text(max_size=60), right=st.text(max_size=60), expected=st.none() | st.floats(0, 20))
@example(left="no no", right="no no", expected=None)
@example(left="", right="", expected=0.0)
def test_what_comes_out_is_a_beginning_of_the_one_and_an_end_of_the_other(
    left: str, right: str, expected: float | None
) -> None:
    ours, theirs = splice(left, right, expected=expected)

    assert left.startswith(ours)
    assert right.endswith(theirs)


@pytest.mark.parametrize("shared", [1, 2, 3, 4, 5])
def test_of_the_same_word_over_and_over_so_many_are_shared_as_are_expected(shared: int) -> None:
    spliced = put_together("no no no no no", "no no no no no", expected=shared)

    assert spliced.split() == ["no"] * (10 - shared)


def test_one_word_that_was_heard_whole_by_both_is_enough_between_two_halves() -> None:
    assert put_together("they came from the nor", "om the north wind", expected=3) == (
        "they came from the north wind"
    )
    assert put_together("we were already hap", "eady happy then", expected=2) == (
        "we were already hap eady happy then"
    ), "no word agrees"
    assert put_together("it was slow and", "and steady", expected=4) == "it was slow and steady"


def test_a_common_word_far_from_the_edges_is_no_agreement() -> None:
    left, right = "he gave the dog a bone", "on monday we saw the cat"

    assert splice(left, right, expected=4) == (left, right)


def test_case_and_punctuation_are_no_difference() -> None:
    assert put_together("Then we went home, and then.", "Home and then, at last.", expected=3) in {
        "Then we went home, and then, at last.",
        "Then we went home, and then. at last.",
    }


def test_punctuation_belongs_to_the_word_before_it() -> None:
    text = "- Yes , it is . 好，嗎？"

    assert [text[t.begin : t.end] for t in tokens(text)] == ["Yes ,", "it", "is .", "好，", "嗎？"]
