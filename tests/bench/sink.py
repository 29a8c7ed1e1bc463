"""An object store that reads and forgets, in a process of its own, and tells how long that took.

It gives out the policy that an upload begins with (`GET /api/v1/uploads`), and takes forms of any
kind. What a body holds is not looked at; the tests do that, in front of the emulator.

    with Sink() as sink:
        subprocess.run([...], env=sink.environment())
        (arrival,) = sink.arrivals()
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.processes import Process  # noqa: E402
from tests.bench.service import Counts  # noqa: E402
from tests.emulators.server import serve  # noqa: E402
from tests.emulators.service import Emulator  # noqa: E402

FORMS = "/store"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A form that came; times are those of the monotonic clock, which processes share."""

    bytes: int
    began: float
    """When its headers were there."""
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Store(Emulator):
    """The service, within its process."""

    def __init__(self) -> None:
        super().__init__()
        self.arrivals: list[Arrival] = []
        self.url = ""
        self._lock = threading.Lock()

    def handle(
        self,
        method: str,
        url: httpx.URL,
        headers: httpx.Headers,
        pieces: Iterable[bytes],
        *,
        connection: int | None = None,
    ) -> httpx.Response:
        """Read the body as fast as it comes."""
        began = time.monotonic()
        size = sum(map(len, pieces))
        if method == "POST":
            with self._lock:
                self.arrivals.append(Arrival(size, began, time.monotonic()))
            return httpx.Response(200)
        return Counts(0.0, f"{self.url}{FORMS}").answer(httpx.Request(method, url))

    def told(self) -> str:
        """What came since the last time, as a line of JSON."""
        with self._lock:
            found, self.arrivals = self.arrivals, []
        return json.dumps([asdict(arrival) for arrival in found])


class Sink(Process):
    """The process, from outside."""

    def __init__(self) -> None:
        super().__init__(__file__)

    def environment(self) -> dict[str, str]:
        """What points asrcli to it."""
        return {
            "DASHSCOPE_API_KEY": "sk-0123456789abcdef0123456789abcdef",
            "DASHSCOPE_HTTP_BASE_URL": f"{self.url}/api/v1",
        }

    def arrivals(self) -> list[Arrival]:
        """The forms that came since the last time."""
        return [Arrival(**row) for row in self.told()]


def main() -> None:
    """Serve until standard input ends; each line on it asks what came."""
    store = Store()
    with serve(store) as server:
        store.url = server.url
        print(server.url, flush=True)
        for _ in sys.stdin:
            print(store.told(), flush=True)


if __name__ == "__main__":
    main()
