"""A service that costs next to nothing, in a process of its own: what is measured is the client.

It answers the calls of Qwen Cloud that recognize a recording (`multimodal-generation`, and the
upload that goes before it) after a fixed delay, and keeps count. It is no judge of requests: that
is the emulator's part in the tests.

    with Service(delay=1.0) as service:
        subprocess.run([...], env={"DASHSCOPE_HTTP_BASE_URL": f"{service.url}/api/v1", ...})
        print(service.report())
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.processes import Process  # noqa: E402

GENERATION = "/api/v1/services/aigc/multimodal-generation/generation"
ANSWER = {
    "request_id": "7d1b5f2e",
    "output": {
        "choices": [
            {
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "annotations": [{"type": "audio_info", "language": "en"}],
                    "content": [{"text": "one two three"}],
                },
            }
        ]
    },
    "usage": {"seconds": 1},
}


class Counts:
    """What came, and when; times are those of the monotonic clock, which processes share."""

    def __init__(self, delay: float, url: str = "") -> None:
        self.delay = delay
        self.url = url
        self.lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """Count from nothing."""
        with self.lock:
            self.first = self.last = 0.0
            self.requests = self.calls = self.bytes = 0
            self.in_flight = self.most_in_flight = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Wait, and answer; uploads are taken at once."""
        now = time.monotonic()
        size = len(request.read())
        is_call = request.url.path == GENERATION
        with self.lock:
            self.first = self.first or now
            self.requests += 1
            self.bytes += size
            self.calls += is_call
            if is_call:
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if not is_call:
            return self._upload(request)
        time.sleep(self.delay)
        with self.lock:
            self.in_flight -= 1
            self.last = time.monotonic()
        return httpx.Response(200, json=ANSWER)

    def _upload(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200)
        data = {
            "policy": "cG9saWN5",
            "signature": "c2lnbmF0dXJl",
            "upload_dir": "dashscope-instant/bench",
            "upload_host": self.url,
            "expire_in_seconds": 300,
            "max_file_size_mb": 1024,
            "capacity_limit_mb": 999999999,
            "oss_access_key_id": "key",
            "x_oss_object_acl": "private",
            "x_oss_forbid_overwrite": "true",
        }
        return httpx.Response(200, json={"request_id": "1", "data": data})

    def report(self, opened: int) -> dict[str, Any]:
        """The counts as JSON."""
        with self.lock:
            return {
                "first": self.first,
                "last": self.last,
                "requests": self.requests,
                "calls": self.calls,
                "bytes": self.bytes,
                "most_in_flight": self.most_in_flight,
                "connections": opened,
            }


class Service(Process):
    """The process, from outside."""

    def __init__(self, *, delay: float) -> None:
        super().__init__(__file__, "--delay", str(delay))

    def environment(self) -> dict[str, str]:
        """What points asrcli, and the official SDK, to it."""
        return {
            "DASHSCOPE_API_KEY": "sk-0123456789abcdef0123456789abcdef",
            "DASHSCOPE_HTTP_BASE_URL": f"{self.url}/api/v1",
        }

    def report(self) -> dict[str, Any]:
        """What came since the last report."""
        found: dict[str, Any] = self.told()
        return found


def main() -> None:
    """Serve until standard input ends; each line on it asks for a report."""
    from tests.emulators.server import serve

    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.2)
    counts = Counts(parser.parse_args().delay)
    with serve(counts.answer) as server:
        counts.url = server.url
        print(server.url, flush=True)
        before = 0
        for _ in sys.stdin:
            opened = server.connections_opened
            print(json.dumps(counts.report(opened - before)), flush=True)
            before = opened
            counts.begin()


if __name__ == "__main__":
    main()
