"""DashScope (Qwen Cloud) on this computer: its non-realtime speech APIs, strictly.

    service = DashScope()
    with httpx.Client(transport=httpx.MockTransport(service)) as client:
        ...

Everything that a test needs is here; items for `service.failures` are in
`tests.emulators.dashscope.faults`.
"""

from __future__ import annotations

from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.hosts import KEY, MAIN_WORKSPACE, Key
from tests.emulators.dashscope.ledger import Charge, content_hash
from tests.emulators.dashscope.models import MODELS
from tests.emulators.dashscope.omni import (
    CLEAN,
    CUT,
    LOOP,
    PREAMBLE,
    REFUSAL,
    THINKING,
    OmniScript,
)
from tests.emulators.dashscope.scripts import NEVER, FailureReport, JobScript
from tests.emulators.dashscope.sources import fetch_from, fetch_loopback
from tests.emulators.dashscope.throttle import Throttle

__all__ = [
    "CLEAN",
    "CUT",
    "KEY",
    "LOOP",
    "MAIN_WORKSPACE",
    "MODELS",
    "NEVER",
    "PREAMBLE",
    "REFUSAL",
    "THINKING",
    "Charge",
    "DashScope",
    "FailureReport",
    "JobScript",
    "Key",
    "OmniScript",
    "Throttle",
    "content_hash",
    "fetch_from",
    "fetch_loopback",
]
