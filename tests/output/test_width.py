"""Cells are counted as terminals and subtitle editors count them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.output.width import clusters, display_width, last_cells

quick = settings(deadline=None, database=None, max_examples=60)


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("", 0),
        ("plain", 5),
        ("語音", 4),
        ("ｆｕｌｌ", 8),
        ("한국", 4),
        ("e\u0301", 1),
        ("ก็", 1),
        ("a\u200db", 2),
        ("\u1112\u1161\u11ab", 2),
        ("ｶﾅ", 2),
        ("\u2764", 1),
        ("\u2764\ufe0f", 2),
        ("😀\ufe0f", 2),
    ],
)
def test_wide_characters_count_two_and_marks_none(text: str, cells: int) -> None:
    assert display_width(text) == cells


@quick
@given(st.text())
def test_clusters_are_the_text(text: str) -> None:
    assert "".join(clusters(text)) == text


def test_marks_and_joined_characters_stay_together() -> None:
    assert clusters("e\u0301x👩\u200d💻語") == ["e\u0301", "x", "👩\u200d💻", "語"]


@quick
@given(st.text(), st.integers(0, 40))
def test_the_end_of_a_text_is_never_wider_than_asked_for(text: str, cells: int) -> None:
    assert display_width(last_cells(text, cells)) <= cells


def test_the_end_of_a_long_text_is_marked_as_cut() -> None:
    assert last_cells("one two three", 6) == "…three"
    assert last_cells("語音識別", 5) == "…識別"
    assert last_cells("語音識別", 4, mark="") == "識別"


def test_a_text_that_fits_is_not_cut() -> None:
    assert last_cells("語音", 4) == "語音"
