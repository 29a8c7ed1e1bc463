"""Services that listen while somebody speaks: what `core` needs to talk to one.

A `Dialogue` knows what to say and what the answers mean, a `Line` carries messages; a `LiveService`
makes both, anew for each connection. What comes out of a dialogue is named here for `core`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from asrcli.errors import AsrError, KeyRefusedError, RightsError
from asrcli.protocol.dialogue import Dialogue, Limits, State
from asrcli.protocol.events import (
    Event,
    Failed,
    Finished,
    Hypothesis,
    Noted,
    SpeechEnded,
    SpeechStarted,
    Started,
    Usage,
)
from asrcli.protocol.failures import of_handshake
from asrcli.secret import Secret
from asrcli.transport.answers import Answer
from asrcli.transport.connection import Connection, check_base_url, mask_url

if TYPE_CHECKING:
    from asrcli.transport.websocket import Keepalive

__all__ = [
    "Dialogue",
    "Ended",
    "Event",
    "Failed",
    "Finished",
    "Hypothesis",
    "Limits",
    "Line",
    "LiveService",
    "Noted",
    "SpeechEnded",
    "SpeechStarted",
    "Started",
    "State",
    "Usage",
    "WebSocketService",
    "check_websocket_url",
]

_AS_HTTP = {"ws": "http", "wss": "https"}
_AS_WS = {"http": "ws", "https": "wss"}


class Ended(Protocol):
    """How a line ended."""

    @property
    def code(self) -> int | None:
        """The close code; None where the connection was lost."""
        ...

    @property
    def reason(self) -> str:
        """In the words of whoever ended it."""
        ...


class Line(Protocol):
    """An open connection; nothing but `close` waits. See `transport.websocket.WebSocket`."""

    @property
    def unsent(self) -> int:
        """Bytes that did not leave yet."""
        ...

    @property
    def closed(self) -> Ended | None:
        """How it ended, once all messages were fetched."""
        ...

    def messages(self) -> list[str | bytes]:
        """What came since the last call."""
        ...

    def send(self, message: str | bytes) -> None:
        """Let a message leave after those before it."""
        ...

    def close(self, code: int = 1000) -> None:
        """Say goodbye and let go."""
        ...

    def abort(self) -> None:
        """Let go without a word."""
        ...


class LiveService(Protocol):
    """A service that listens, with all that was asked of it; makes one dialogue per connection."""

    @property
    def name(self) -> str:
        """The provider's."""
        ...

    @property
    def model(self) -> str:
        """Its id."""
        ...

    @property
    def make_dialogue(self) -> Callable[[], Dialogue]:
        """Makes a new dialogue, for one connection."""
        ...

    def connect(self, dialogue: Dialogue, notify: Callable[[], None]) -> Line:
        """Connect for that dialogue; raises an AsrError.

        `notify` is called, by any thread, when the line has something new.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketService:
    """A `LiveService` over WebSocket; `base_url` is one that `check_websocket_url` has seen."""

    name: str
    model: str
    base_url: str
    make_dialogue: Callable[[], Dialogue]
    connection: Connection
    key: Secret | None = None
    key_place: str | None = None
    """Where the key was found, for errors."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the handshake needs besides those of the dialogue."""
    keepalive: Keepalive | None = None
    """How soon a connection counts as lost; None is the usual."""

    def connect(self, dialogue: Dialogue, notify: Callable[[], None]) -> Line:
        """Open a WebSocket where the dialogue wants it; raises an AsrError."""
        from asrcli.transport.websocket import open_websocket

        headers: dict[str, str | Secret] = {**self.headers, **dialogue.headers}
        if self.key:
            headers["Authorization"] = self.key
        url = dialogue.url(self.base_url)
        options: dict[str, Any] = {"keepalive": self.keepalive} if self.keepalive else {}
        return open_websocket(
            self.name,
            url,
            headers,
            self.connection,
            notify=notify,
            read_failure=lambda answer: self._read_failure(answer, url),
            **options,
        )

    def _read_failure(self, answer: Answer, url: str) -> AsrError | None:
        if answer.status < 400:
            return None
        error = of_handshake(answer.status, answer.body.decode("utf-8", "replace")).error(self.name)
        if isinstance(error, KeyRefusedError):
            if self.key_place:
                error.message = f"the key from {self.key_place} was refused: {error.message}"
            elif not self.key:
                error.hint = f"No key was sent: set one for {self.name}."
        elif isinstance(error, RightsError):
            error.message = f"{error.message} [{self.model} at {mask_url(url)}]"
        return error


def check_websocket_url(url: str, *, insecure_http: bool = False) -> str:
    """The base URL of a WebSocket as wss (or ws), without a slash at its end.

    http and https are taken for ws and wss. Raises ConfigurationError for one that cannot be used,
    or that would carry a key in the open.
    """
    scheme, colon, rest = url.strip().partition(":")
    known = _AS_HTTP.get(scheme.lower(), scheme)
    checked = check_base_url(f"{known}{colon}{rest}", insecure_http=insecure_http)
    scheme, _, rest = checked.partition(":")
    return f"{_AS_WS[scheme]}:{rest}"
