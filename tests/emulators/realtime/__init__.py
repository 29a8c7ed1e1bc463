"""The live services on loopback: DashScope's three dialogues, and servers like OpenAI's.

    with RealtimeEmulator() as service:
        ...  # connect to service.base_url, with service.key
        service.connections[0].audio   # what it was sent
        service.violations             # what no well-behaved client does

It listens: the words in its answers are those whose audio arrived on the connection, in the places
where they arrived. The ear is `tests.emulators.recognizer.listen_pcm`, which knows the committed
recordings; `toy.hear` is a quicker one for audio made by `toy.speak`. All that depends on time
depends on the audio received, not on the clock, but for the two idle limits.

`service.scripts.append([...])` prepares faults for the next connection; see `faults`.
"""

from __future__ import annotations

from tests.emulators.realtime.faults import (
    Abort,
    At,
    Close,
    Drop,
    Fail,
    HalfOpen,
    Hold,
    On,
    Refuse,
    Send,
    Slow,
    Stall,
    Twice,
)
from tests.emulators.realtime.logbook import KEY, Connection
from tests.emulators.realtime.server import RealtimeEmulator

__all__ = [
    "KEY",
    "Abort",
    "At",
    "Close",
    "Connection",
    "Drop",
    "Fail",
    "HalfOpen",
    "Hold",
    "On",
    "RealtimeEmulator",
    "Refuse",
    "Send",
    "Slow",
    "Stall",
    "Twice",
]
