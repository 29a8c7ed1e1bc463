"""Each sink gets text that it cannot be harmed by, whatever the text is (X06, X07, X13, X14)."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.output.sanitize import (
    for_json,
    for_srt,
    for_terminal,
    for_text,
    for_tsv,
    for_vtt,
    is_unicode,
)

quick = settings(deadline=None, database=None, max_examples=60)

HOSTILE = (
    "\x1b]0;title\x07", "\x1b[2J", "\x9b31m", "\r", "\n", "\n\n", "\r\n", "\t", "\0", "\x7f",
    "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\u200f", "\ufeff", "\ud800", "\udcff",
    "-->", "--", ">", "<b>", "&", "NOTE", "STYLE", "WEBVTT", "1", "00:00:00.000 --> 00:00:01.000",
    "[/x]", "word", " ", "\u3000", "語", "e\u0301",
)  # fmt: skip
# `st.text()` alone has no surrogates.
foreign = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=4), max_size=12).map("".join)
# A high surrogate before a low one is no lone one: both together are a character.
paired = re.compile("[\ud800-\udbff][\udc00-\udfff]")

BIDI = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\u200e", "\u200f"}
names = foreign.filter(lambda text: not paired.search(text))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def controls(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in {"Cc", "Cs"}}


# --- terminal ---------------------------------------------------------------------------------


@quick
@given(foreign)
def test_a_terminal_is_sent_one_line_without_any_control(text: str) -> None:
    shown = for_terminal(text)

    assert not controls(shown)
    assert not BIDI & set(shown)


@quick
@given(foreign)
def test_a_terminal_is_sent_newlines_and_tabs_and_no_other_control_in_lines(text: str) -> None:
    shown = for_terminal(text, lines=True)

    assert controls(shown) <= {"\n", "\t"}
    assert shown.count("\n") == text.count("\n")
    assert not BIDI & set(shown)


@quick
@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"])))
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert for_terminal(text) == text


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("\x1b]0;x\x07", r"\x1b]0;x\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("gpj.\u202etalk", r"gpj.\u202etalk"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("caf\udce9.wav", r"caf\xe9.wav"),
        ("\ud83d", r"\ud83d"),
        ("[red]x[/y]", "[red]x[/y]"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(foreign: str, shown: str) -> None:
    assert for_terminal(foreign) == shown


# --- files and pipes --------------------------------------------------------------------------


@quick
@given(foreign)
def test_text_for_a_file_is_one_line_that_can_be_encoded(text: str) -> None:
    kept = for_text(text)

    assert not controls(kept)
    assert len(kept.splitlines()) <= 1
    assert kept.encode("utf-8").decode("utf-8") == kept


@quick
@given(foreign)
def test_cleaning_text_twice_changes_nothing_more(text: str) -> None:
    assert for_text(for_text(text)) == for_text(text)
    assert for_text(for_text(text, lines=True), lines=True) == for_text(text, lines=True)


@pytest.mark.parametrize(
    ("foreign", "kept"),
    [
        ("a\x00b\x1bc\x9bd\x7f", "abcd"),
        ("one\r\ntwo\u2028three\x0bfour\x85five", "one two three four five"),
        ("  a \t b  ", "a b"),
        ("\ufefftext", "text"),
        ("lone \ud800", "lone \ufffd"),
        ("שלום\u200f!", "שלום\u200f!"),
        ("100 % [/x] <b>&", "100 % [/x] <b>&"),
    ],
)
def test_text_for_a_file_loses_controls_and_keeps_the_rest(foreign: str, kept: str) -> None:
    assert for_text(foreign) == kept


def test_line_breaks_and_tabs_stay_where_lines_are_wanted() -> None:
    assert for_text("a\r\nb\x85\tc\x1b", lines=True) == "a\nb\n\tc"


def test_lone_surrogates_are_told_from_text() -> None:
    assert is_unicode("語 text")
    assert not is_unicode("語 \udcff")


# --- subtitles and tables ---------------------------------------------------------------------


@quick
@given(foreign)
def test_the_text_of_an_srt_cue_has_no_blank_line_and_no_arrow(text: str) -> None:
    cue = for_srt(text)

    assert "-->" not in cue
    assert all(line.strip() for line in cue.split("\n")) or not cue
    assert controls(cue) <= {"\n"}


@quick
@given(foreign)
def test_the_text_of_a_vtt_cue_has_no_blank_line_and_nothing_to_parse(text: str) -> None:
    cue = for_vtt(text)

    assert not {"<", ">"} & set(cue)
    assert cue.count("&") == sum(cue.count(e) for e in ("&amp;", "&lt;", "&gt;"))
    assert all(line.strip() for line in cue.split("\n")) or not cue


@quick
@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp", "Zs"])))
def test_the_text_of_a_vtt_cue_reads_as_before(text: str) -> None:
    back = for_vtt(text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")

    assert back == text


@quick
@given(foreign)
def test_a_cell_of_tsv_is_in_one_line_and_one_column(text: str) -> None:
    cell = for_tsv(text)

    assert "\t" not in cell
    assert len(cell.splitlines()) <= 1


# --- JSON -------------------------------------------------------------------------------------


def finite(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return None
        case list():
            return [finite(item) for item in value]
        case dict():
            return {key: finite(item) for key, item in value.items()}
        case _:
            return value


@quick
@given(values)
def test_json_comes_back_as_it_was_but_for_numbers_that_it_lacks(value: Any) -> None:
    assert json.loads(for_json(value)) == finite(value)


@quick
@given(values, st.none() | st.just(2))
def test_json_can_be_encoded_and_shown_on_a_terminal(value: Any, indent: int | None) -> None:
    text = for_json(value, indent=indent)

    assert for_terminal(text, lines=True) == text
    assert text.encode("utf-8")


@quick
@given(values)
def test_json_without_indent_is_one_line_for_every_reader(value: Any) -> None:
    assert len(for_json(value).splitlines()) == 1


def test_json_keeps_the_bytes_of_a_name_that_is_no_unicode() -> None:
    assert for_json("caf\udce9\u2028") == '"caf\\udce9\\u2028"'
