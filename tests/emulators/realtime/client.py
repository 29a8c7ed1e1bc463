"""A plain client for tests of the emulator: it sends what it is told and checks nothing."""

from __future__ import annotations

import base64
import json
from contextlib import ExitStack
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.emulators.realtime.faults import Fault
from tests.emulators.realtime.logbook import KEY, name_of
from tests.emulators.realtime.server import RealtimeEmulator

__all__ = [
    "ASR",
    "OMNI",
    "TASK",
    "Client",
    "begun",
    "command",
    "finals",
    "name_of",
    "run_task",
    "sentences",
    "transcripts",
    "update",
    "vad",
]

TASK = "0123456789abcdef0123456789abcdef"
ASR = "/realtime?model=qwen3-asr-flash-realtime"
OMNI = "/realtime?model=qwen3.5-omni-flash-realtime"


class Client:
    """A connection, and what a test does with it."""

    def __init__(self, url: str, *, key: str | None = KEY, **options: Any) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        options = {"compression": None, "proxy": None, "ping_interval": None} | options
        self._stack = ExitStack()
        connecting = connect(url, additional_headers=headers, **options)
        self.socket: ClientConnection = self._stack.enter_context(connecting)
        self._ids = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def send(self, message: dict[str, Any] | bytes | str) -> None:
        if isinstance(message, dict) and "type" in message and "event_id" not in message:
            self._ids += 1
            message = {"event_id": f"event_{self._ids}", **message}
        self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    def receive(self) -> dict[str, Any]:
        message = self.socket.recv(timeout=10)
        value = json.loads(message)
        assert isinstance(value, dict)
        return value

    def until(self, name: str) -> list[dict[str, Any]]:
        """All events up to and with the next of that name."""
        events = [self.receive()]
        while name_of(events[-1]) != name:
            events.append(self.receive())
        return events

    def rest(self) -> tuple[list[dict[str, Any]], int]:
        """All events until the connection ends, and the code of its close."""
        events = []
        try:
            while True:
                events.append(self.receive())
        except ConnectionClosed as closed:
            return events, closed.rcvd.code if closed.rcvd else 1006

    def append(self, audio: bytes, size: int = 3200) -> None:
        for begin in range(0, len(audio), size):
            piece = base64.b64encode(audio[begin : begin + size]).decode()
            self.send({"type": "input_audio_buffer.append", "audio": piece})

    def speak(self, audio: bytes, size: int = 3200) -> None:
        for begin in range(0, len(audio), size):
            self.send(audio[begin : begin + size])


def command(action: str, task: str = TASK, **payload: Any) -> dict[str, Any]:
    header = {"action": action, "task_id": task, "streaming": "duplex"}
    return {"header": header, "payload": payload or {"input": {}}}


def run_task(task: str = TASK, model: str = "fun-asr-realtime", **asked: Any) -> dict[str, Any]:
    parameters = {"format": "pcm", "sample_rate": 16_000, "heartbeat": True} | asked
    message = command("run-task", task, model=model, parameters=parameters, input={})
    message["payload"] |= {"task_group": "audio", "task": "asr", "function": "recognition"}
    return message


def update(**session: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": session}


def sentences(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    results = [e for e in events if name_of(e) == "result-generated"]
    return [event["payload"]["output"]["sentence"] for event in results]


def finals(events: list[dict[str, Any]]) -> list[str]:
    return [s["text"] for s in sentences(events) if s["sentence_end"]]


def transcripts(events: list[dict[str, Any]]) -> list[str]:
    return [event["transcript"] for event in events if name_of(event).endswith(".completed")]


def vad(silence_ms: int) -> dict[str, Any]:
    return {"type": "server_vad", "threshold": 0.0, "silence_duration_ms": silence_ms}


def begun(service: RealtimeEmulator, *faults: Fault) -> Client:
    """A task on a connection with these faults."""
    service.scripts.append(list(faults))
    client = Client(service.base_url + "/inference")
    client.send(run_task())
    client.until("task-started")
    return client
