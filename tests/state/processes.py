"""Other processes for tests of the state, and what they and the tests have in common."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from asrcli.state.store import Answer, Store

__all__ = ["HEAD", "TEXT", "Child", "answer", "go", "intend", "line", "names_of_damaged", "send"]

TEXT = "a-sentence-nobody-else-says"
HEAD = """
import sys
from pathlib import Path
from asrcli.errors import AsrError
from asrcli.state.store import Answer, Store
path = Path(sys.argv[1])
def say(*words):
    print(*words, flush=True)
"""
"""What a child knows before its program begins."""

Child = Callable[..., "subprocess.Popen[str]"]
"""Starts a Python with a program; it knows `path`, `say` and the store."""


def answer(text: str = TEXT, source: str = "") -> Answer:
    return Answer("qwen", "a-model", 1.5, {"text": text}, source)


def intend(store: Store, key: str = "k", **changes: object) -> None:
    asked: dict[str, object] = {
        "provider": "qwen", "model": "fun-asr", "host": "https://host/api", "name": "talk.wav",
        "location": "oss://there", "options": "{}", "seconds": 60.0, "owner": "me",
    }  # fmt: skip
    store.jobs.intend(key, **(asked | changes))  # type: ignore[arg-type]


def send(store: Store, digest: str = "d") -> int:
    return store.sending(
        host="h", provider="qwen", model="m", seconds=2.0, size=10, digest=digest, cost=None
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def names_of_damaged(path: Path) -> list[str]:
    found = path.parent.glob("state.db.damaged-*")
    return [each.name for each in found if not each.name.endswith("-wal")]
