"""Where the audio of a call comes from: the call itself, the service's own storage, or a URL.

Pages: https://help.aliyun.com/zh/model-studio/qwen-asr-api-reference and
https://www.alibabacloud.com/help/en/model-studio/get-temporary-file-url.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath

import httpx

from tests.emulators.dashscope.hosts import Caller
from tests.emulators.dashscope.models import Model
from tests.emulators.dashscope.uploads import LIFETIME, Uploads

__all__ = [
    "DATA_URI_LIMIT",
    "Content",
    "Fetch",
    "Lack",
    "Missing",
    "Sources",
    "alike",
    "fetch_from",
    "fetch_loopback",
    "read_data_uri",
]

DATA_URI_LIMIT = 10_485_760
"""Characters, the prefix included."""

_DATA_URI = re.compile(r"data:(?P<type>[^;,]*);base64,", re.ASCII)
_HTTP_URL = re.compile(r"https?://[!-~]+", re.ASCII)

Fetch = Callable[[str], httpx.Response]
"""GET a URL; raises an httpx.TransportError for a host that is not reached."""


class Lack(Enum):
    """Why there is no audio behind a reference."""

    MALFORMED = "malformed"
    UNESCAPED = "unescaped"
    """A blank or a character outside ASCII in a URL."""
    NOT_RESOLVED = "not-resolved"
    """`oss://` without the header that asks to resolve it."""
    ABSENT = "absent"
    FORBIDDEN = "forbidden"
    SERVER = "server"
    UNREACHABLE = "unreachable"
    TOO_LARGE = "too-large"


class Missing(Exception):  # noqa: N818 - each caller tells it in its own way
    """There is no audio behind a reference."""

    def __init__(self, lack: Lack) -> None:
        super().__init__(lack)
        self.lack = lack


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that may be audio."""

    source: bytes | Path
    sha256: str
    media_type: str | None = None
    """As the call says it; None if it does not."""
    suffix: str | None = None
    """Of an object in the service's storage, by which models judge it; without the dot."""


class Sources:
    """Reads references for one service."""

    def __init__(self, uploads: Uploads, fetch: Fetch, clock: Callable[[], float]) -> None:
        self.fetch = fetch
        self._uploads = uploads
        self._clock = clock

    def read(self, location: str, caller: Caller, model: Model, *, resolve: bool) -> Content:
        """What is behind an `oss://` or http(s) URL; raises Missing."""
        if location.startswith("oss://"):
            return self._stored(location.removeprefix("oss://"), caller, model, resolve=resolve)
        if not location.startswith(("http://", "https://")):
            raise Missing(Lack.MALFORMED)
        if not _HTTP_URL.fullmatch(location):
            raise Missing(Lack.UNESCAPED)
        return self._fetched(location, model)

    def _stored(self, key: str, caller: Caller, model: Model, *, resolve: bool) -> Content:
        if not resolve:
            raise Missing(Lack.NOT_RESOLVED)
        found = self._uploads.objects.get(key)
        if found is None or self._clock() - found.stored > LIFETIME:
            raise Missing(Lack.ABSENT)
        if found.owner != caller.owner or found.model != model.id:
            raise Missing(Lack.FORBIDDEN)
        if found.size > model.most_bytes:
            raise Missing(Lack.TOO_LARGE)
        suffix = PurePosixPath(key).suffix.removeprefix(".").lower()
        return Content(found.path, found.sha256, suffix=suffix)

    def _fetched(self, location: str, model: Model) -> Content:
        try:
            answer = self.fetch(location)
        except httpx.TransportError as error:
            raise Missing(Lack.UNREACHABLE) from error
        if answer.status_code >= 500:
            raise Missing(Lack.SERVER)
        if answer.status_code in {401, 403}:
            raise Missing(Lack.FORBIDDEN)
        if answer.status_code != 200:
            raise Missing(Lack.ABSENT)
        # The length is believed, so that a test need not make two gigabytes.
        if int(answer.headers.get("content-length", "0")) > model.most_bytes:
            raise Missing(Lack.TOO_LARGE)
        return _hashed(answer.read())


def read_data_uri(location: str) -> Content | None:
    """The bytes inside a data URI, None if it is no such thing."""
    found = _DATA_URI.match(location)
    if found is None:
        return None
    try:
        content = base64.b64decode(location[found.end() :], validate=True)
    except binascii.Error:
        return None
    return _hashed(content, media_type=found["type"])


def _hashed(content: bytes, *, media_type: str | None = None) -> Content:
    return Content(content, hashlib.sha256(content).hexdigest(), media_type)


# --- names of formats -------------------------------------------------------------------------

_FAMILIES = (
    ({"wav"}, {"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"}),
    ({"mp3"}, {"audio/mpeg", "audio/mp3"}),
    ({"flac"}, {"audio/flac", "audio/x-flac"}),
    ({"ogg", "opus", "oga"}, {"audio/ogg", "application/ogg", "audio/opus"}),
    (
        {"m4a", "mp4", "mov", "3gp", "3gpp"},
        {
            "audio/mp4",
            "audio/m4a",
            "audio/x-m4a",
            "video/mp4",
            "video/quicktime",
            "audio/3gpp",
            "video/3gpp",
        },
    ),
    ({"aac"}, {"audio/aac", "audio/aacp", "audio/x-aac", "audio/x-hx-aac-adts"}),
    ({"amr"}, {"audio/amr", "audio/amr-nb"}),
    ({"aiff", "aif"}, {"audio/aiff", "audio/x-aiff"}),
    ({"avi"}, {"video/x-msvideo", "video/avi", "video/msvideo"}),
    ({"flv"}, {"video/x-flv"}),
    (
        {"mkv", "webm"},
        {"video/x-matroska", "audio/x-matroska", "video/webm", "audio/webm", "video/matroska"},
    ),
    ({"mpeg", "mpg"}, {"video/mpeg", "audio/mpeg"}),
    ({"wma", "wmv"}, {"audio/x-ms-wma", "video/x-ms-wmv", "video/x-ms-asf"}),
)


def alike(said: str, container: str) -> bool:
    """True if a suffix, a `format` or a MIME type is one that a container may go by."""
    said = said.lower()
    return any(
        container in names and (said in names or said in types) for names, types in _FAMILIES
    )


# --- fetching ---------------------------------------------------------------------------------


def fetch_from(files: Mapping[str, bytes | Path | int | httpx.Response]) -> Fetch:
    """A world of a few URLs: content, or a status; hosts of other URLs are not reached."""

    def fetch(url: str) -> httpx.Response:
        found = files.get(url)
        match found:
            case None:
                raise httpx.ConnectError("name or service not known")
            case int():
                return httpx.Response(found)
            case Path():
                return httpx.Response(200, content=found.read_bytes())
            case bytes():
                return httpx.Response(200, content=found)
            case _:
                return found

    return fetch


def fetch_loopback(url: str) -> httpx.Response:
    """GET a URL for real, from this computer alone."""
    if httpx.URL(url).host not in {"127.0.0.1", "localhost", "::1"}:
        raise httpx.ConnectError("only loopback is reached")
    with httpx.Client(trust_env=False, timeout=30.0) as client:
        return client.get(url)
