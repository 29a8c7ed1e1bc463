"""Uploads whose bytes arrived otherwise than they left."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from asrcli.errors import ServiceError
from asrcli.providers.base import Model
from asrcli.providers.catalogue import resolve
from asrcli.providers.qwen.checksums import differs
from asrcli.providers.qwen.provider import Qwen
from tests.emulators.dashscope.app import DashScope
from tests.emulators.service import Received
from tests.providers.calling import Time, audio_of, qwen
from tests.recordings import recording

WELCOME = recording("welcome")
NINE = b"123456789"
CRC = "11051210869376104954"
"""Of the nine digits, by the catalogue of CRCs: CRC-64/XZ, 0x995DC9BBDF1939FA."""


def md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


@pytest.fixture
def nine(tmp_path: Path) -> Path:
    path = tmp_path / "nine"
    path.write_bytes(NINE)
    return path


@pytest.fixture
def service() -> Iterator[DashScope]:
    service = DashScope(clock=Time().clock)
    yield service
    service.close()


@pytest.fixture
def provider(service: DashScope) -> Qwen:
    return qwen(service)


@pytest.fixture
def model() -> Model:
    return resolve("fun-asr")


GOOD = base64.b64encode(md5(NINE)).decode()
BAD = base64.b64encode(md5(b"other")).decode()


@pytest.mark.parametrize(
    ("headers", "different"),
    [
        ({}, False),
        ({"content-md5": GOOD}, False),
        ({"content-md5": BAD}, True),
        ({"content-md5": BAD, "x-oss-hash-crc64ecma": CRC}, True),
        ({"content-md5": "?", "etag": f'"{md5(NINE).hex().upper()}"'}, False),
        ({"etag": f'"{md5(b"other").hex().upper()}"'}, True),
        ({"etag": f'"{md5(b"other").hex()}"', "content-md5": GOOD}, False),
        # An ETag that is no MD5, which the pages allow.
        ({"etag": f'"{md5(b"other").hex()}"', "x-oss-hash-crc64ecma": CRC}, False),
        ({"etag": f'"{md5(b"other").hex()}"', "x-oss-hash-crc64ecma": "1"}, True),
        ({"etag": '"5B3C1A2E053D763E1B002CC607C5A0FE-2"'}, False),
        ({"x-oss-hash-crc64ecma": "1"}, False),
    ],
)
def test_s23_checksums_of_the_store_are_compared(
    nine: Path, headers: dict[str, str], different: bool
) -> None:
    assert differs(headers, nine) is different


def test_a_file_that_is_gone_by_then_is_no_difference(tmp_path: Path) -> None:
    assert not differs({"content-md5": GOOD}, tmp_path / "none")


def spoiled(service: DashScope) -> Any:
    """The upload is taken, but its answer tells of other bytes."""

    def answer(request: Received) -> httpx.Response:
        usual = service.answer(request)
        return httpx.Response(usual.status_code, headers={"etag": f'"{md5(b"other").hex()}"'})

    return answer


def test_s23_an_upload_that_was_spoiled_is_made_again(
    provider: Qwen, service: DashScope, model: Model
) -> None:
    service.failures.add(spoiled(service), route="POST /")

    reference = provider.upload(audio_of(WELCOME), model)

    first, second = service.uploads.objects
    assert reference.location == f"oss://{second}"
    assert first != second


def test_s23_an_upload_that_is_spoiled_twice_is_an_error(
    provider: Qwen, service: DashScope, model: Model
) -> None:
    service.failures.add(spoiled(service), route="POST /", times=2)

    with pytest.raises(ServiceError, match="corrupted on transfer") as caught:
        provider.upload(audio_of(WELCOME), model)

    assert caught.value.exit_status == 9
    assert len(service.uploads.objects) == 2
