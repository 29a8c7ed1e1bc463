"""What the account would pay for, so that a test sees whether audio was recognized twice."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Charge", "Ledger", "content_hash"]


@dataclass(frozen=True, slots=True)
class Charge:
    """One recognition that was done."""

    model: str
    sha256: str
    """Of the bytes that the service was given or fetched."""
    seconds: float
    """What the service counts; times the number of channels."""
    request_id: str
    account: str


def content_hash(content: bytes | Path) -> str:
    """What stands in `Charge.sha256` for these bytes."""
    data = content.read_bytes() if isinstance(content, Path) else content
    return hashlib.sha256(data).hexdigest()


class Ledger:
    """Charges in the order in which they arose, and how often each URL was submitted."""

    def __init__(self) -> None:
        self.charges: list[Charge] = []
        self.submits: Counter[str] = Counter()
        self._lock = threading.Lock()

    def charge(self, charge: Charge) -> None:
        with self._lock:
            self.charges.append(charge)

    def submit(self, url: str) -> None:
        with self._lock:
            self.submits[url] += 1

    def by_content(self) -> Counter[str]:
        """How often each content was charged."""
        with self._lock:
            return Counter(charge.sha256 for charge in self.charges)

    def seconds(self) -> float:
        """All seconds that were charged."""
        with self._lock:
            return sum(charge.seconds for charge in self.charges)
