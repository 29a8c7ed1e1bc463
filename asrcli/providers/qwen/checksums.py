"""Whether the object store has what was sent, by the checksums in its answer.

Page: https://help.aliyun.com/document_detail/31988.htm (PostObject). `Content-MD5` is what it says.
An `ETag` is the MD5 of some objects, and for those posted as a form the pages do not promise that:
where it differs, `x-oss-hash-crc64ecma` decides, if it is there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

__all__ = ["differs"]

_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_POLYNOMIAL = 0xC96C5795D7870F42
"""Of CRC-64/XZ, which the store calls ECMA; reflected."""
_ONES = 0xFFFF_FFFF_FFFF_FFFF
_MOST_FOR_CRC = 32_000_000
"""Bytes: it takes Python about a second for ten million."""
_BLOCK = 1 << 20


def differs(headers: Mapping[str, str], path: Path) -> bool:
    """True if the answer says that other bytes arrived than the file has.

    `headers` have small letters. What says nothing, or cannot be read, is no difference.
    """
    wanted, sure = _digest(headers)
    if wanted is None:
        return False
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        if found == wanted:
            return False
        crc = headers.get("x-oss-hash-crc64ecma", "").strip()
        if sure or not crc.isdecimal():
            return True
        return path.stat().st_size <= _MOST_FOR_CRC and _crc64(path) != int(crc[:20])
    except OSError:
        return False


def _digest(headers: Mapping[str, str]) -> tuple[bytes | None, bool]:
    """The MD5 that the store tells, and whether it is sure to be one."""
    try:
        digest = base64.b64decode(headers.get("content-md5", ""), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) == 16:
        return digest, True
    tag = headers.get("etag", "").strip().strip('"')
    return (bytes.fromhex(tag), False) if _MD5.fullmatch(tag) else (None, False)


def _crc64(path: Path) -> int:
    table, crc = _table(), _ONES
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            for byte in block:
                crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ _ONES


@cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)  # noqa: PLW2901
        table.append(value)
    return tuple(table)
