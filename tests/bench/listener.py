"""A live service that costs next to nothing, in a process of its own: it notes when audio comes.

It speaks both dialogues of Qwen Cloud: `/inference` (run-task) and `/realtime` (qwen3-asr). For
each second of audio it sends a final with the number of that second, and notes when. It is no judge
of messages: that is the emulator's part in the tests.

    with Listener() as listener:
        subprocess.run([...], env=listener.environment())
        print(listener.report())
"""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from websockets.sync.server import ServerConnection, serve

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.processes import Process  # noqa: E402

KEY = "sk-0123456789abcdef0123456789abcdef"
SECOND = 32_000
"""Bytes of 16 kHz."""


class Notes:
    """When what came, and when what was sent; by the monotonic clock, which processes share."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget all."""
        self.frames: list[tuple[int, float]] = []
        """Bytes of audio up to the end of each frame."""
        self.finals: list[float] = []
        self.total = 0

    def heard(self, size: int) -> bool:
        """Note a frame; True if it completes a second."""
        before = self.total // SECOND
        self.total += size
        self.frames.append((self.total, time.monotonic()))
        return self.total // SECOND > before


def inference(connection: ServerConnection, notes: Notes) -> None:
    """The run-task dialogue."""
    task = ""

    def tell(event: str, **payload: Any) -> None:
        header = {"task_id": task, "event": event, "attributes": {}}
        connection.send(json.dumps({"header": header, "payload": payload}))

    for message in connection:
        if isinstance(message, bytes):
            if notes.heard(len(message)):
                number = len(notes.finals) + 1
                end = notes.total * 1000 // SECOND
                sentence = {"sentence_id": number, "begin_time": end - 900, "end_time": end,
                            "text": f"second {number}", "sentence_end": True,
                            "words": []}  # fmt: skip
                notes.finals.append(time.monotonic())
                tell("result-generated", output={"sentence": sentence}, usage=None)
            continue
        asked = json.loads(message)["header"]
        task = asked["task_id"]
        if asked["action"] == "run-task":
            tell("task-started")
        elif asked["action"] == "finish-task":
            tell("task-finished", output={}, usage=None)


def realtime(connection: ServerConnection, notes: Notes) -> None:
    """The dialogue of qwen3-asr-flash-realtime."""
    session = {"id": "sess_1", "object": "realtime.session", "modalities": ["text"],
               "input_audio_format": "pcm", "input_audio_transcription": {}}  # fmt: skip

    def tell(kind: str, **fields: Any) -> None:
        connection.send(json.dumps({"event_id": "event_1", "type": kind, **fields}))

    tell("session.created", session=session)
    for message in connection:
        asked = json.loads(message)
        kind = asked["type"]
        if kind == "session.update":
            tell("session.updated", session=session)
        elif kind == "session.finish":
            tell("session.finished")
        elif kind == "input_audio_buffer.append" and notes.heard(
            len(base64.b64decode(asked["audio"]))
        ):
            number = len(notes.finals) + 1
            item, end = f"item_{number}", notes.total * 1000 // SECOND
            tell("input_audio_buffer.speech_started", audio_start_ms=end - 900, item_id=item)
            tell("input_audio_buffer.speech_stopped", audio_end_ms=end - 100, item_id=item)
            tell("input_audio_buffer.committed", item_id=item)
            notes.finals.append(time.monotonic())
            tell("conversation.item.input_audio_transcription.completed", item_id=item,
                 content_index=0, language="en", transcript=f"second {number}")  # fmt: skip


class Listener(Process):
    """The process, from outside."""

    def __init__(self) -> None:
        super().__init__(__file__)

    def environment(self) -> dict[str, str]:
        """What points asrcli to it."""
        return {"DASHSCOPE_API_KEY": KEY, "DASHSCOPE_WEBSOCKET_BASE_URL": self.url}

    def report(self) -> dict[str, Any]:
        """What came and went since the last report."""
        found: dict[str, Any] = self.told()
        return found


def main() -> None:
    """Serve until standard input ends; each line on it asks for a report."""
    notes = Notes()

    def talk(connection: ServerConnection) -> None:
        assert connection.request is not None
        path = connection.request.path.partition("?")[0]
        (inference if path.endswith("/inference") else realtime)(connection, notes)

    with serve(talk, "127.0.0.1", 0, compression=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"ws://127.0.0.1:{server.socket.getsockname()[1]}/api-ws/v1", flush=True)
        for _ in sys.stdin:
            print(json.dumps({"frames": notes.frames, "finals": notes.finals}), flush=True)
            notes.begin()


if __name__ == "__main__":
    main()
