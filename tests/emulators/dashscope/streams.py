"""Events of a streamed answer, as bytes; one item of a list is one event.

Page: https://help.aliyun.com/zh/model-studio/qwen-asr-api-reference. The native stream has no
blank after `data:`, a comment with the status, and no end mark; the compatible one has both
a blank and `[DONE]`.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["DONE", "EVENT_STREAM", "compatible_event", "native_event"]

EVENT_STREAM = {"content-type": "text/event-stream;charset=UTF-8"}
DONE = b"data: [DONE]\n\n"


def native_event(number: int, body: dict[str, Any], *, status: int = 200) -> bytes:
    """`number` counts from 1; a status of 400 and above makes it an error, which ends a stream."""
    kind = "result" if status < 400 else "error"
    return f"id:{number}\nevent:{kind}\n:HTTP_STATUS/{status}\ndata:{_line(body)}\n\n".encode()


def compatible_event(body: dict[str, Any]) -> bytes:
    return f"data: {_line(body)}\n\n".encode()


def _line(body: dict[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
