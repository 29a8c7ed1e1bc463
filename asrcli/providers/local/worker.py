"""A process with an engine of its own: PCM comes in on stdin, words go out on stdout.

A message is its length as four bytes and its content: PCM one way, JSON the other. The process
ends when its stdin does, which is when its parent is gone, however that ended.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from typing import IO

from asrcli.providers.local.engine import Engine

__all__ = ["LIFELINE", "main", "read_message", "write_message"]

LIFELINE = "ASRCLI_LIFELINE"
"""The variable that names the pipe whose end means that the parent is gone."""

_LENGTH = struct.Struct("<I")


def main() -> None:
    """Answer until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to deal with
    _die_with_parent()
    requests = sys.stdin.buffer
    with _private_stdout() as answers:
        engine: Engine | None = None
        while (pcm := read_message(requests)) is not None:
            try:
                engine = engine or Engine()
                answer = json.dumps({"words": engine.decode(pcm)})
            except Exception as error:  # noqa: BLE001 - whatever it is, the parent wants to know
                answer = json.dumps({"error": f"{type(error).__name__}: {error}"})
            write_message(answers, answer.encode())


def read_message(stream: IO[bytes]) -> bytes | None:
    """One message; None where the stream ends before one is complete."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    message = stream.read(length)
    return message if len(message) == length else None


def write_message(stream: IO[bytes], message: bytes) -> None:
    """Send one message; raises OSError if nobody is there to read it."""
    stream.write(_LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def _private_stdout() -> IO[bytes]:
    """Stdout, out of the reach of whatever else the engine's libraries may print."""
    private = os.dup(1)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path
        os.dup2(nowhere.fileno(), 1)
    return os.fdopen(private, "wb")


def _die_with_parent() -> None:
    """End at once, in the middle of an utterance too, when the parent does.

    The decoder holds Python's lock, so no thread could do it: the system sends SIGIO when the
    other end of the lifeline closes, and its default is to end the process. Without SIGIO
    (Windows) the process ends after the utterance it is working on.
    """
    lifeline = os.environ.pop(LIFELINE, None)
    if lifeline is None or sys.platform == "win32":
        return
    import fcntl
    import select

    descriptor = int(lifeline)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
    except OSError:
        return
    if select.select([descriptor], [], [], 0)[0]:  # it closed before anyone listened
        os._exit(0)
