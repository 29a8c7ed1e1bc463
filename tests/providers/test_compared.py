"""The comparison of requests: what it overlooks would be overlooked for good."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.emulators.bodies import Body
from tests.emulators.service import Received
from tests.providers.compared import Difference, assert_alike

HOST = {"host": "api.example"}


def request(
    json: str = "{}", *, method: str = "POST", path: str = "/v1/a", **headers: str
) -> Received:
    given = httpx.Headers({**HOST, "content-type": "application/json", **headers})
    url = httpx.URL(f"https://api.example{path}")
    return Received(method, url, given, Body([json.encode()]), 0, 0.0)


def form(*parts: tuple[str, str, str], boundary: str = "b1") -> Received:
    lines = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{text}\r\n'
        for name, more, text in parts
    )
    body = Body([f"{lines}--{boundary}--\r\n".encode()])
    headers = httpx.Headers({**HOST, "content-type": f"multipart/form-data; boundary={boundary}"})
    return Received("POST", httpx.URL("https://api.example/f"), headers, body, 0, 0.0)


FILE = ("file", '; filename="a.wav"', "bytes")


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (request(method="PUT"), "'method'"),
        (request(path="/v1/b"), "'path'"),
        (request(path="/v1/a?x=1"), "'query x'"),
        (request(**{"x-more": "1"}), "'header x-more'"),
        (request('{"a": 1}'), "'json a'"),
        (request('{"a": {"b": [1, "2"]}}'), "'json a.b[1]'"),
    ],
)
def test_a_field_that_differs_is_named(other: Received, field: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_alike(request(), other)

    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (form(("a", "", "2"), FILE), "'form a'"),
        (form(FILE, ("a", "", "1")), "'form order'"),
        (form(("a", "", "1"), ("file", '; filename="b.wav"', "bytes")), "'form file name'"),
        (form(("a", "", "1"), ("file", '; filename="a.wav"', "other")), "'form file bytes'"),
    ],
)
def test_a_part_of_a_form_that_differs_is_named(other: Received, field: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_alike(form(("a", "", "1"), FILE), other)

    assert field in str(caught.value)


def test_an_order_of_keys_and_a_boundary_make_no_difference() -> None:
    assert_alike(request('{"a": 1, "b": 2}'), request('{"b": 2, "a": 1}'))
    assert_alike(form(("a", "", "1"), FILE), form(("a", "", "1"), FILE, boundary="b2"))


@pytest.mark.parametrize(
    ("sdk", "ours"),
    [("1", None), (None, "2"), ("1", "3"), ("", "2")],
)
def test_a_line_explains_only_the_values_that_it_names(sdk: Any, ours: Any) -> None:
    line = Difference("header x-more", sdk, ours, "for the test")

    with pytest.raises(AssertionError, match="no line explains"):
        assert_alike(request(**{"x-more": "1"}), request(**{"x-more": "2"}), [line])


def test_a_line_that_nobody_needs_is_an_error() -> None:
    line = Difference("header x-more", "1", "2", "for the test")

    assert_alike(request(**{"x-more": "1"}), request(**{"x-more": "2"}), [line])
    with pytest.raises(AssertionError, match="alike"):
        assert_alike(request(), request(), [line])
