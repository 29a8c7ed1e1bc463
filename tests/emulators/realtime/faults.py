"""What can go wrong on a connection, as data.

A script is a list of faults for one connection: what happens at the handshake (`Refuse`, `Stall`),
all along (`Slow`), when so much audio has arrived (`At`), or when an event is about to be sent
(`On`). Each `At` and `On` happens once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Abort",
    "Action",
    "At",
    "Close",
    "Drop",
    "Fail",
    "Fault",
    "HalfOpen",
    "Hold",
    "On",
    "Refuse",
    "Send",
    "Slow",
    "Stall",
    "Twice",
]


@dataclass(frozen=True, slots=True)
class Close:
    """Close politely: 1000, 1007, 1011, 1013, 4029, …"""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Abort:
    """Drop the connection without a close frame."""


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """Read nothing and answer nothing from now on, pings included; the socket stays open."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this as it is: a JSON object, a text that need not be JSON, or bytes."""

    message: dict[str, Any] | str | bytes


@dataclass(frozen=True, slots=True)
class Fail:
    """The dialogue's own event for a failure, then a close if `close` is a code."""

    code: str
    message: str
    kind: str = "server_error"
    """`error.type` in the realtime dialogues."""
    close: int | None = 1011


@dataclass(frozen=True, slots=True)
class Drop:
    """Do not send the event (only with `On`)."""


@dataclass(frozen=True, slots=True)
class Twice:
    """Send the event two times (only with `On`)."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Send the event after the next `events` others (only with `On`)."""

    events: int = 1


Action = Close | Abort | HalfOpen | Send | Fail | Drop | Twice | Hold


@dataclass(frozen=True, slots=True)
class At:
    """When `seconds` of audio have arrived on the connection."""

    seconds: float
    action: Action


@dataclass(frozen=True, slots=True)
class On:
    """When the event `name` is sent for the `number`-th time on the connection.

    `Close`, `Abort` and `HalfOpen` come after the event, `Send` and `Fail` before it.
    """

    name: str
    action: Action
    number: int = 1


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer the handshake with an HTTP status; the body is sent as JSON if it is an object."""

    status: int
    body: dict[str, Any] | str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stall:
    """Take the TCP connection, and never answer the handshake."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Read no faster than this."""

    bytes_per_second: int


Fault = At | On | Refuse | Stall | Slow
