from __future__ import annotations

from typing import Any

import pytest

from asrcli.providers.reading import dig, first_text, number_at, shown, text_at, without_urls
from asrcli.secret import Secret


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (("a", "b", 0), 1),
        (("a", "b", 1), None),
        (("a", "b", -1), None),
        (("a", "c"), None),
        (("a", 0), None),
        (("d", 0), None),
        (("e", "x"), None),
        (("f", 0), None),
        ((), "itself"),
    ],
)
def test_digging_finds_what_is_there_and_none_elsewhere(path: tuple[Any, ...], found: Any) -> None:
    value: dict[str, Any] = {"a": {"b": [1]}, "d": "text", "e": None, "f": []}

    assert dig(value, *path) == (value if found == "itself" else found)


@pytest.mark.parametrize("value", [None, 5, "text", [], True, 1.5])
def test_digging_into_anything_is_no_error(value: Any) -> None:
    assert dig(value, "a", 0, "b") is None


@pytest.mark.parametrize("value", [None, 5, ["a"], {"a": 1}, True])
def test_only_a_text_is_a_text(value: Any) -> None:
    assert text_at({"x": value}, "x") is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7.0),
        (7.5, 7.5),
        ("7", 7.0),
        (" 7.5 ", 7.5),
        (-1, -1.0),
        (True, None),
        ("seven", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        (float("inf"), None),
        (float("nan"), None),
        (10**400, None),
        ("1e999", None),
        (None, None),
        ([7], None),
    ],
)
def test_numbers_are_read_also_from_texts_and_are_finite(value: Any, number: float | None) -> None:
    assert number_at({"n": value}, "n") == number


def test_the_first_text_is_the_first_with_something_in_it() -> None:
    assert first_text(None, 5, "", "  ", "a", "b") == "a"
    assert first_text(None, [], {}) is None


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("see https://a.b/c?Signature=x now", "see https://a.b/… now"),
        ("https://a.b", "https://a.b/…"),
        ("https://a.b?sig=1", "https://a.b/…"),
        ("HTTP://user:word@a.b:8080/c", "HTTP://a.b:8080/…"),
        ('{"url":"https://a.b"}', '{"url":"https://a.b/…'),
        ("no link: https:// alone", "no link: https:// alone"),
    ],
)
def test_of_a_url_only_the_host_stays(text: str, safe: str) -> None:
    assert without_urls(text) == safe


def test_what_is_shown_is_one_short_line() -> None:
    line = shown("two\r\nlines\tand\x0b" + "more " * 1000)

    assert line.startswith("two lines and more")
    assert len(line) == 501
    assert line.endswith("…")
    assert shown("a" * 30, 10) == "a" * 10 + "…"


def test_what_is_shown_holds_no_key_however_it_was_broken() -> None:
    key = Secret("sk-canary-5f0c2e9ab1").reveal()

    assert (
        shown(f"cannot use {key}, nor api_key={key}&x=1") == "cannot use ***, nor api_key=***&x=1"
    )
    assert shown("x" * 490 + key) == "x" * 490 + "***"
    assert "canary" not in shown(f"https://host/{key}")


def test_a_key_inside_what_is_cut_off_does_not_show_in_part() -> None:
    key = Secret("sk-canary-7d1e4b8c02").reveal()

    assert "canary" not in shown(f"{'x' * 485} {key} and more", 495)
