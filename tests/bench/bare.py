"""The least that can send live audio: standard input over the bare `websockets` library.

    python tests/bench/bare.py URL FRAME_BYTES < audio.pcm

It sends the frames of a run-task or a realtime dialogue as they come from the pipe, and prints the
text of each final.
"""

from __future__ import annotations

import base64
import json
import sys
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

URL, FRAME = sys.argv[1], int(sys.argv[2])
IS_TASK = "/inference" in URL
HEADER = {"task_id": "0" * 32, "streaming": "duplex"}


def finals(connection: ClientConnection, ready: threading.Event, over: threading.Event) -> None:
    """Print what is heard, until the service says that it was all."""
    try:
        for message in connection:
            event = json.loads(message)
            kind = event["header"]["event"] if IS_TASK else event["type"]
            if kind in {"task-started", "session.updated"}:
                ready.set()
            elif kind == "result-generated":
                print(event["payload"]["output"]["sentence"]["text"], flush=True)
            elif kind.endswith("transcription.completed"):
                print(event["transcript"], flush=True)
            elif kind in {"task-finished", "session.finished"}:
                return
    except ConnectionClosed:
        pass
    finally:
        over.set()


def main() -> None:
    """Send all of it."""
    first = {"header": {"action": "run-task", **HEADER}} if IS_TASK else {"type": "session.update"}
    last = (
        {"header": {"action": "finish-task", **HEADER}} if IS_TASK else {"type": "session.finish"}
    )
    ready, over = threading.Event(), threading.Event()
    with connect(URL, compression=None) as connection:
        threading.Thread(target=finals, args=(connection, ready, over), daemon=True).start()
        connection.send(json.dumps(first))
        ready.wait()
        while frame := sys.stdin.buffer.read(FRAME):
            if IS_TASK:
                connection.send(frame)
            else:
                audio = base64.b64encode(frame).decode()
                connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        connection.send(json.dumps(last))
        over.wait()


if __name__ == "__main__":
    main()
