"""Server-sent events: lines in, events out, without I/O.

Page: https://html.spec.whatwg.org/multipage/server-sent-events.html. Two things are kept that the
page throws away, since DashScope puts the status of a failure there: comments, and unknown fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["EventReader", "ServerEvent"]

_LINE_END = re.compile(rb"\r\n|\r|\n")
_STATUS = re.compile(r"(?:HTTP_STATUS/|status:)\s*(\d{3})")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a stream."""

    data: str
    event: str = "message"
    id: str | None = None
    comments: tuple[str, ...] = ()
    """The comments of its frame without their colon, and its unknown fields as `name:value`."""
    possible_duplicate: bool = False
    """The request was sent a second time after the first may have been carried out."""

    @property
    def http_status(self) -> int | None:
        """The status that the service wrote into the frame, if it did."""
        found = (_STATUS.match(comment) for comment in self.comments)
        return next((int(match[1]) for match in found if match), None)


class EventReader:
    """Takes bytes however they come, and gives events at the blank line that ends them."""

    def __init__(self, *, most_frame: int = 16_000_000) -> None:
        self._most_frame = most_frame
        self._parts: list[bytes] = []
        self._at_start = True
        self._after_cr = False
        self._frame_size = 0
        self._id: str | None = None
        self._clear()

    def feed(self, data: bytes) -> list[ServerEvent]:
        """The events that these bytes complete; raises ValueError for a frame without end."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        begun, *others = _LINE_END.split(data)
        self._parts.append(begun)
        self._frame_size += len(data)
        events = []
        for line in others:
            if event := self._line(b"".join(self._parts)):
                events.append(event)
            self._parts = [line]
        if self._frame_size > self._most_frame:
            raise ValueError(f"an event of more than {self._most_frame:,} bytes")
        return events

    def _line(self, line: bytes) -> ServerEvent | None:
        if self._at_start:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._at_start = False
        if not line:
            return self._complete()
        text = line.decode("utf-8", "replace")
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self._comments.append(value)
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id":
                self._id = value
            case "retry":
                pass  # we never reconnect
            case _:
                self._comments.append(f"{name}:{value}")
        return None

    def _complete(self) -> ServerEvent | None:
        event = None
        # A frame of comments alone keeps the connection awake.
        if self._data or self._event:
            data, name = "\n".join(self._data), self._event or "message"
            event = ServerEvent(data, name, self._id, tuple(self._comments))
        self._clear()
        return event

    def _clear(self) -> None:
        self._data: list[str] = []
        self._comments: list[str] = []
        self._event = ""
        self._frame_size = 0
