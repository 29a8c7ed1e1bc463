"""Two conversations over a WebSocket next to each other, as `compared` has it for requests.

A conversation is told as one request, so that the same tables of `Difference`s explain it. Its
fields are `json order`, which is what was said in which order, with the audio in one; then those of
each message below its kind, `json session.update.session.modalities[0]`, the second of a kind below
`session.update 2`; and of the audio its
frames, its words (a digest up to the last sound) and the silence at its end.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import httpx

from tests.emulators.bodies import Body
from tests.emulators.realtime.logbook import Connection, name_of
from tests.emulators.service import Received

__all__ = ["conversation", "handshake"]

_AUDIO = "audio"
_APPEND = "input_audio_buffer.append"
_ID = re.compile(r"[0-9a-f]{32}")


def handshake(book: Connection) -> Received:
    """The request that opened the connection; its key was taken away by the emulator."""
    headers = dict(book.headers)
    # Sixteen bytes of the moment, in base64.
    headers["sec-websocket-key"] = str(len(base64.b64decode(headers["sec-websocket-key"])))
    url = httpx.URL(f"ws://emulated{book.path}", params=book.query)
    return Received("GET", url, httpx.Headers(headers), Body(), book.number, 0.0)


def conversation(book: Connection) -> Received:
    """All that the client said; ids are left out but for their shape."""
    told: dict[str, Any] = {
        "order": " ".join(kind for kind, _ in groupby(map(_kind, book.messages)))
    }
    audio = [message for message in book.messages if _kind(message) == _AUDIO]
    told[_AUDIO] = _audio(book, audio)
    counts: Counter[str] = Counter()
    for message in book.messages:
        if (kind := _kind(message)) != _AUDIO:
            counts[kind] += 1
            told[kind if counts[kind] == 1 else f"{kind} {counts[kind]}"] = message
    text = _ID.sub("…", json.dumps(told, ensure_ascii=False))
    headers = httpx.Headers({"content-type": "application/json"})
    return Received("WS", httpx.URL("ws://emulated/"), headers, Body([text.encode()]), 0, 0.0)


def _kind(message: dict[str, Any] | str | bytes) -> str:
    if isinstance(message, bytes):
        return _AUDIO
    if isinstance(message, str):
        return "unreadable"
    name = name_of(message)
    return _AUDIO if name == _APPEND else name


def _audio(book: Connection, messages: list[Any]) -> dict[str, Any]:
    frames = [m if isinstance(m, bytes) else base64.b64decode(m["audio"]) for m in messages]
    samples = b"".join(frames)
    assert samples == book.audio
    heard = samples.rstrip(b"\0")
    envelopes = {json.dumps(_envelope(message)) for message in messages}
    return {
        "envelope": " ".join(sorted({_ID.sub("…", envelope) for envelope in envelopes})),
        "frames": ", ".join(_runs(frames)),
        "words": hashlib.sha256(heard).hexdigest()[:16],
        "silence": len(samples) - len(heard),
    }


def _envelope(message: Any) -> Any:
    return None if isinstance(message, bytes) else dict(sorted((message | {"audio": ""}).items()))


def _runs(frames: list[bytes]) -> Iterator[str]:
    for size, run in groupby(map(len, frames)):
        yield f"{len(list(run))} of {size}"
