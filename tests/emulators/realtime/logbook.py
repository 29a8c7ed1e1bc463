"""What came over each connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["KEY", "Connection"]

KEY = "sk-0123456789abcdef0123456789abcdef"
"""The key that is accepted."""


@dataclass(slots=True)
class Connection:
    """One attempt to connect, and what followed. Read it, do not change it."""

    number: int
    """From 1, in the order of attempts."""
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """Of the handshake, names in lower case, without the key."""
    status: int = 101
    """What the handshake was answered with; 0 while it is not."""
    messages: list[dict[str, Any] | str | bytes] = field(default_factory=list)
    """All that was received, in order; what is no JSON object stays a text."""
    sent: list[dict[str, Any] | str | bytes] = field(default_factory=list)
    audio: bytearray = field(default_factory=bytearray)
    """The samples that were received, decoded and joined."""
    sample_rate: int = 16_000
    closed: tuple[int, str] | None = None
    """Code and reason of the client's close frame, 1006 if there was none; None while open."""
    violations: list[str] = field(default_factory=list)
    """What no well-behaved client does."""

    @property
    def seconds(self) -> float:
        """Of audio that was received."""
        return len(self.audio) / 2 / self.sample_rate

    def received(self, kind: str) -> list[dict[str, Any]]:
        """The messages of that `type` or `header.action`, in order."""
        found = [message for message in self.messages if isinstance(message, dict)]
        return [message for message in found if name_of(message) == kind]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The events of that `type` or `header.event` that were sent, in order."""
        found = [message for message in self.sent if isinstance(message, dict)]
        return [message for message in found if name_of(message) == kind]


def name_of(message: dict[str, Any]) -> str:
    """What kind of message it is, in either form."""
    header = message.get("header")
    if isinstance(header, dict):
        return str(header.get("event") or header.get("action"))
    return str(message.get("type"))
