"""A script of faults at work on one connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.emulators.realtime.faults import (
    Abort,
    Action,
    At,
    Close,
    Drop,
    Fail,
    Fault,
    HalfOpen,
    Hold,
    On,
    Send,
    Twice,
)
from tests.emulators.realtime.logbook import name_of
from tests.emulators.realtime.session import Session

__all__ = ["GoneError", "Script"]

T = TypeVar("T", bound=Fault)
Outgoing = dict[str, Any] | Close | Abort | HalfOpen | Send


async def _drain(socket: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for _ in socket:
            pass


class GoneError(Exception):
    """The connection is to be left as it is, half open."""


class Script:
    """Changes what the session says, where its faults apply."""

    def __init__(self, faults: list[Fault]) -> None:
        self._faults = faults
        self._counts: Counter[str] = Counter()
        self._held: list[list[Any]] = []

    def first(self, kind: type[T]) -> T | None:
        """The fault of that kind, if there is one."""
        return next((fault for fault in self._faults if isinstance(fault, kind)), None)

    def changed(self, out: list[dict[str, Any] | Close], session: Session) -> list[Outgoing]:
        """What is really sent and done, in order."""
        messages: list[Outgoing] = []
        for message in out:
            if isinstance(message, Close):
                messages.append(message)
            else:
                self._count(messages, message, session)
        for fault in [fault for fault in self._faults if isinstance(fault, At)]:
            if session.book.seconds >= fault.seconds:
                self._faults.remove(fault)
                messages += self._done(fault.action, session)
        return messages

    async def act(
        self,
        message: Outgoing,
        socket: ServerConnection,
        session: Session,
        note: Callable[[Callable[[], object]], None],
    ) -> None:
        """Send it, or do it."""
        match message:
            case Close(code, reason):
                # What is still on its way has to be read, or the other side's answer is never.
                await asyncio.gather(socket.close(code, reason), _drain(socket))
            case Abort():
                socket.transport.abort()
                await socket.wait_closed()
            case HalfOpen():
                socket.transport.pause_reading()
                raise GoneError
            case Send(raw):
                note(lambda: session.book.sent.append(raw))
                await socket.send(json.dumps(raw) if isinstance(raw, dict) else raw)
            case _:
                note(lambda: session.book.sent.append(message))
                await socket.send(json.dumps(message, ensure_ascii=False))

    def _count(self, messages: list[Outgoing], message: dict[str, Any], session: Session) -> None:
        name = name_of(message)
        self._counts[name] += 1
        action = self._action(name)
        match action:
            case Drop():
                pass
            case Twice():
                messages += [message, message]
            case Hold(events):
                self._held.append([events + 1, message])
            case Send() | Fail():
                messages += [*self._done(action, session), message]
            case Close() | Abort() | HalfOpen():
                messages += [message, *self._done(action, session)]
            case None:
                messages.append(message)
        for held in list(self._held):
            held[0] -= 1
            if held[0] <= 0:
                self._held.remove(held)
                messages.append(held[1])

    def _action(self, name: str) -> Action | None:
        for fault in self._faults:
            if isinstance(fault, On) and fault.name == name and fault.number == self._counts[name]:
                self._faults.remove(fault)
                return fault.action
        return None

    def _done(self, action: Action, session: Session) -> list[Outgoing]:
        if isinstance(action, Fail):
            event = session.failure(action.code, action.message, action.kind)
            close = [Close(action.close, action.message[:100])] if action.close else []
            return [event, *close]
        assert not isinstance(action, Drop | Twice | Hold), "only with On"
        return [action]
