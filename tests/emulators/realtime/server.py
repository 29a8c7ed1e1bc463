"""The emulator itself: a WebSocket server on 127.0.0.1, port 0, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.emulators.realtime import asr, omni
from tests.emulators.realtime.asr import ASRSession
from tests.emulators.realtime.faults import Fault, Refuse, Slow, Stall
from tests.emulators.realtime.listening import Listen
from tests.emulators.realtime.logbook import KEY, Connection
from tests.emulators.realtime.omni import OmniSession
from tests.emulators.realtime.openai import (
    BetaSession,
    OpenAISession,
    SpeachesSession,
    VLLMSession,
)
from tests.emulators.realtime.run_task import TaskSession
from tests.emulators.realtime.script import GoneError, Script
from tests.emulators.realtime.session import Manners, Session

__all__ = ["RealtimeEmulator"]

_DIALECTS: dict[str, type[Session]] = {
    "openai": OpenAISession,
    "openai-beta": BetaSession,
    "speaches": SpeachesSession,
    "vllm": VLLMSession,
}
_BUFFER = 16_384
"""Bytes that the kernel takes in for us; few, so that a slow reader is felt soon."""


class RealtimeEmulator:
    """Serves from `start` (or `with`) to `stop`; the address is known when `start` returns.

    `base_url` is DashScope's, as `DASHSCOPE_WEBSOCKET_BASE_URL` has it; `openai_url` that of the
    server of `dialect`. Keyword arguments beyond those named are fields of `Manners`.
    """

    def __init__(
        self,
        *,
        key: str = KEY,
        listen: Listen | None = None,
        dialect: str = "openai",
        **manners: Any,
    ) -> None:
        self.key = key
        self.manners = Manners(listen=listen or _ear, **manners)
        self.scripts: deque[list[Fault]] = deque()
        """Faults of the next connections, one list for each attempt."""
        self.always: list[Fault] = []
        """Faults of every connection for which no script is left."""
        self.connections: list[Connection] = []
        """One for each attempt to connect, in order."""
        self.port = 0
        self._dialect = dialect
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._talking: set[ServerConnection] = set()
        self._scripts_by_connection: dict[str, tuple[Connection, Script]] = {}
        self.errors: list[BaseException] = []
        """What broke in the emulator itself; `stop` raises the first."""

    # --- for tests ------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api-ws/v1"

    @property
    def openai_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1"

    @property
    def accepted(self) -> list[Connection]:
        """The connections whose handshake went well."""
        return [connection for connection in self.connections if connection.status == 101]

    @property
    def violations(self) -> list[str]:
        """What no well-behaved client does, over all connections."""
        return [violation for book in self.connections for violation in book.violations]

    def wait_for(self, condition: Callable[[], bool], *, timeout: float = 10.0) -> None:
        """Wait until the logbook shows it; raises TimeoutError if it never does."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError("the emulator's logbook never showed it")

    def start(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        if self._loop is not None and self._end is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()
        if self.errors:
            raise self.errors[0]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- the server -----------------------------------------------------------------------------

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:
            self.errors.append(error)
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        listener.bind(("127.0.0.1", 0))
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        options: dict[str, Any] = {"compression": None, "max_size": 32 * 1024 * 1024}
        options |= {"max_queue": 2, "ping_interval": None, "close_timeout": 2, "open_timeout": None}
        async with serve(self._connected, sock=listener, process_request=self._opened, **options):
            self.port = listener.getsockname()[1]
            ready.set()
            await self._end.wait()
            # Not `server.connections`: a client may have said goodbye, and never let go.
            for connection in list(self._talking):
                connection.transport.abort()

    async def _stopped(self) -> None:
        assert self._end is not None
        await self._end.wait()

    async def _opened(self, socket_: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        given = headers.pop("authorization", "")
        book = Connection(
            number=len(self.connections) + 1,
            path=parts.path,
            query=dict(parse_qsl(parts.query)),
            headers=headers,
            status=0,
        )
        script = Script(self.scripts.popleft() if self.scripts else list(self.always))
        if self.key in request.path:
            book.violations.append("the key is in the URL")
        self._scripts_by_connection[str(socket_.id)] = (book, script)
        with self._changed:
            self.connections.append(book)
            self._changed.notify_all()
        if script.first(Stall):
            await self._stopped()
        refusal = script.first(Refuse) or self._refusal(book, given)
        self._note(lambda: setattr(book, "status", refusal.status if refusal else 101))
        return _response(refusal) if refusal else None

    def _refusal(self, book: Connection, given: str) -> Refuse | None:
        scheme, _, key = given.partition(" ")
        if scheme.lower() != "bearer" or key != self.key:
            code, message = "InvalidApiKey", "Invalid API-key provided."
            return Refuse(401, {"code": code, "message": message, "request_id": "req-401"})
        if book.path == "/api-ws/v1/realtime" and "model" not in book.query:
            return Refuse(400, {"code": "InvalidParameter", "message": "model is missing"})
        return None if self._kind(book) else Refuse(404, {"code": "NotFound", "message": "no path"})

    def _kind(self, book: Connection) -> type[Session] | None:
        model = book.query.get("model", "")
        match book.path:
            case "/api-ws/v1/inference" | "/api-ws/v1/inference/":
                return TaskSession
            case "/api-ws/v1/realtime":
                return OmniSession if model in omni.MODELS else ASRSession
            case "/v1/realtime":
                return _DIALECTS[self._dialect]
        return None

    async def _connected(self, socket_: ServerConnection) -> None:
        book, script = self._scripts_by_connection.pop(str(socket_.id))
        kind = self._kind(book)
        assert kind is not None
        session = kind(book, self.manners)
        self._talking.add(socket_)
        try:
            await self._talk(socket_, session, script)
        except GoneError:
            # Nothing is read and nothing is said any more.
            await self._stopped()
        except ConnectionClosed:
            pass
        except Exception as error:
            self.errors.append(error)
            socket_.transport.abort()
        finally:
            self._talking.discard(socket_)
            closed = (socket_.close_code or 1006, socket_.close_reason or "")
            self._note(lambda: setattr(book, "closed", closed))

    async def _talk(self, socket_: ServerConnection, session: Session, script: Script) -> None:
        if isinstance(session, ASRSession) and session.book.query["model"] not in asr.MODELS:
            session.opened()
            session.out = [session.failure("ModelNotFound", "no such model", "model_error")]
            await self._flush(socket_, session, script)
            await socket_.close(1007, "no such model")
            return
        session.opened()
        await self._flush(socket_, session, script)
        begun = time.monotonic()
        while True:
            message = await self._next(socket_, session)
            if message is not None:
                self._note(lambda: session.book.messages.append(_shown(message)))  # noqa: B023
                # In a thread, so that pings are answered while the ear is at work.
                await asyncio.to_thread(session.received, message)
                self._check_pace(session, time.monotonic() - begun)
                await self._rest(script, message)
            await self._flush(socket_, session, script)

    async def _next(self, socket_: ServerConnection, session: Session) -> str | bytes | None:
        try:
            async with asyncio.timeout(self.manners.idle_limit):
                return await socket_.recv()
        except TimeoutError:
            session.idle()
            return None

    async def _rest(self, script: Script, message: str | bytes) -> None:
        if slow := script.first(Slow):
            await asyncio.sleep(len(message) / slow.bytes_per_second)

    def _check_pace(self, session: Session, elapsed: float) -> None:
        pace = self.manners.most_pace
        if pace and session.book.seconds > 2.0 + pace * elapsed:
            session.blame("audio came faster than agreed")

    async def _flush(self, socket_: ServerConnection, session: Session, script: Script) -> None:
        out, session.out = session.out, []
        for message in script.changed(out, session):
            await script.act(message, socket_, session, self._note)

    def _note(self, change: Callable[[], object]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()


def _response(refusal: Refuse) -> Response:
    said = refusal.body
    body = (said if isinstance(said, str) else json.dumps(said)).encode()
    kind = "text/plain" if isinstance(said, str) else "application/json"
    headers = Headers([("Content-Type", kind), ("Content-Length", str(len(body)))])
    headers.update(refusal.headers)
    reason = ""
    with contextlib.suppress(ValueError):
        reason = http.HTTPStatus(refusal.status).phrase
    return Response(refusal.status, reason, headers, body)


def _shown(message: str | bytes) -> dict[str, Any] | str | bytes:
    if isinstance(message, str):
        with contextlib.suppress(ValueError):
            value = json.loads(message)
            if isinstance(value, dict):
                return value
    return message


def _ear(samples: bytes, rate: int) -> Any:
    from tests.emulators.recognizer import listen_pcm

    return listen_pcm(samples, rate)
