"""What the tests of providers share: answers from files, and time that passes while one waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from asrcli.media.audio import AudioFile
from asrcli.media.formats import FORMATS
from asrcli.providers.onemin import DEFAULT_BASE_URL, OneMin
from asrcli.providers.qwen.hosts import Hosts
from asrcli.providers.qwen.provider import Qwen
from asrcli.secret import Secret
from asrcli.transport.connection import Connection
from asrcli.transport.http import Answer
from asrcli.transport.retry import Retrier, RetryPolicy
from asrcli.transport.throttle import Throttle
from tests.emulators.dashscope.hosts import KEY as QWEN_KEY
from tests.emulators.onemin import KEY as ONEMIN_KEY
from tests.recordings import Recording

__all__ = [
    "DATA",
    "INTL",
    "Time",
    "answer_from",
    "audio_of",
    "cases",
    "never",
    "onemin",
    "qwen",
    "words",
]

DATA = Path(__file__).parent.parent / "data"
INTL = Hosts(
    "https://dashscope-intl.aliyuncs.com/api/v1",
    "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    "ap-southeast-1",
)

Service = Callable[[httpx.Request], httpx.Response]


class Time:
    """A clock that stands still but for those who wait."""

    def __init__(self, start: float = 1_000.0) -> None:
        self.now = start
        self.waits: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def retrier(
        self, *, retries: int = 4, cancelled: Callable[[], bool] = lambda: False
    ) -> Retrier:
        """Waits by this clock, always as long as it may."""
        return Retrier(
            RetryPolicy(retries=retries),
            throttle=Throttle(ramp=0, clock=self.clock, sleep=self.sleep),
            clock=self.clock,
            sleep=self.sleep,
            random=lambda: 1.0,
            cancelled=cancelled,
        )


def never(seconds: float) -> None:
    """The wait of a test in which nobody should wait."""
    raise AssertionError(f"waited {seconds} s")


# --- providers --------------------------------------------------------------------------------


def onemin(
    service: Service,
    *,
    time: Time | None = None,
    retrier: Retrier | None = None,
    wait: Callable[[float], None] = never,
    key: str = ONEMIN_KEY,
    base_url: str = DEFAULT_BASE_URL,
) -> OneMin:
    """The provider, in front of an emulated service."""
    return OneMin(
        Secret(key),
        Connection(environ={}),
        retrier=retrier or (time or Time()).retrier(),
        base_url=base_url,
        wait=wait,
        key_place="ONEMIN_API_KEY",
        transport=httpx.MockTransport(service),
    )


def qwen(
    service: Service,
    *,
    time: Time | None = None,
    retrier: Retrier | None = None,
    key: str = QWEN_KEY,
    hosts: Hosts = INTL,
) -> Qwen:
    """The provider, in front of an emulated service."""
    return Qwen(
        Secret(key),
        hosts,
        Connection(environ={}),
        retrier=retrier or (time or Time()).retrier(),
        key_place="DASHSCOPE_API_KEY",
        transport=httpx.MockTransport(service),
    )


# --- recordings and answers -------------------------------------------------------------------


def audio_of(recording: Recording, path: Path | None = None) -> AudioFile:
    """The recording (16 kHz, mono) as it would be found on disk, or under another path."""
    path = path or recording.path
    container = path.suffix[1:]
    return AudioFile(
        path=path,
        name=path.name,
        container=container,
        mime_type=FORMATS[container].mime_type,
        codec="pcm_s16le",
        size=path.stat().st_size,
        duration=recording.seconds,
        channels=1,
        sample_rate=16_000,
    )


def words(text: str) -> list[str]:
    """The words without case and punctuation."""
    return ["".join(c for c in word if c.isalnum() or c == "'") for word in text.lower().split()]


def cases(service: str, pattern: str = "*") -> list[str]:
    """The names of the answers that are written out for a service."""
    return sorted(path.stem for path in (DATA / service).glob(f"{pattern}.json"))


def answer_from(service: str, name: str, *, possible_duplicate: bool = False) -> Answer:
    """An answer as it is documented, from `tests/data/SERVICE/NAME.json`."""
    row: dict[str, Any] = json.loads((DATA / service / f"{name}.json").read_text("utf-8"))
    text = row["text"] if "text" in row else json.dumps(row["body"])
    return Answer(
        row["status"],
        row.get("headers", {}),
        text.encode(),
        "api.example",
        {"onemin": "onemin", "dashscope": "qwen"}[service],
        possible_duplicate,
    )
