from __future__ import annotations

import pytest

from asrcli.protocol.reading import integer, items, number, object_of, shown, text


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5.0), ("5.5", 5.5), (True, None), (None, None), ("x", None), ([], None), (10**400, None)],
)
def test_a_number_may_be_written_as_a_text_and_must_be_finite(
    value: object, expected: float | None
) -> None:
    assert number({"a": {"b": value}}, "a", "b") == expected


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_without_an_end_are_none(value: str) -> None:
    message = object_of(f'{{"a": {value}}}')

    assert number(message, "a") is None
    assert integer(message, "a") is None
    assert number({"a": value}, "a") is None


def test_half_a_character_is_replaced() -> None:
    message = object_of('{"a": "x\\ud83d", "b": "\\ud83d\\ude00"}')

    assert text(message, "a") == "x\ufffd"
    assert text(message, "b") == "😀"


def test_what_is_no_object_is_left_out_of_a_list() -> None:
    assert items({"a": [1, {"b": 2}, None]}, "a") == [{"b": 2}]
    assert items({"a": 5}, "a") == []


@pytest.mark.parametrize("message", ["", "{", "[]", "5", "null", "[" * 100_000, "1" * 5000])
def test_what_is_no_object_is_none(message: str) -> None:
    assert object_of(message) is None


def test_a_foreign_text_is_shown_short_and_on_one_line() -> None:
    assert shown("a\n b\tc") == "a b c"
    assert len(shown("x" * 1000)) == 201
