"""All that is kept: answers, uploads, jobs, results, and a ledger of what left this computer."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrcli.state.database import Database
from asrcli.state.jobs import JobTable

__all__ = ["Answer", "Output", "Store", "default_path"]

_TABLES = ("answers", "uploads", "outputs", "files", "vocabularies", "ledger", "jobs")


def default_path(environ: Mapping[str, str]) -> Path:
    """`state.db` in the folder for state; a relative `XDG_STATE_HOME` is ignored, as XDG says."""
    base = environ.get("XDG_STATE_HOME", "")
    if base and Path(base).is_absolute():
        return Path(base) / "asrcli" / "state.db"
    import platformdirs

    return platformdirs.user_state_path("asrcli", appauthor=False) / "state.db"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered for some audio; `content` is plain JSON."""

    provider: str
    model: str
    seconds: float
    content: Any


@dataclass(frozen=True, slots=True)
class Output:
    """A result file that a run wrote: from what, asked how, and its own hash."""

    source: str
    options: str
    digest: str


class Store:
    """The tables of one database; see `Database` for what it survives.

    Raises OutputError where the file cannot be made or written, ConfigurationError for one of a
    later version.
    """

    def __init__(
        self,
        path: Path,
        *,
        warn: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = Database(path, warn=warn, clock=clock)
        self._clock = clock
        self.jobs = JobTable(self._database)

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # --- answers ------------------------------------------------------------------------------

    def answer(self, key: str) -> Answer | None:
        """The stored answer, or None."""
        rows = self._database.rows(
            "SELECT provider, model, seconds, content FROM answers WHERE key = ?", (key,)
        )
        if not rows:
            return None
        provider, model, seconds, content = rows[0]
        return Answer(provider, model, seconds, json.loads(content))

    def remember_answer(self, key: str, answer: Answer) -> None:
        """Store an answer; it is on the disk when this returns."""
        content = json.dumps(answer.content, ensure_ascii=True, separators=(",", ":"))
        values = (key, self._clock(), answer.provider, answer.model, answer.seconds, content)
        self._database.write_safely(
            ("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", values)
        )

    # --- uploads and vocabularies ---------------------------------------------------------------

    def upload(self, key: str, *, spare: float) -> tuple[str, str, float | None] | None:
        """Provider, location and end of a file that lives for `spare` more seconds; else None."""
        rows = self._database.rows(
            "SELECT provider, location, expires FROM uploads WHERE key = ?", (key,)
        )
        if not rows or (rows[0][2] is not None and rows[0][2] < self._clock() + spare):
            return None
        provider, location, expires = rows[0]
        return provider, location, expires

    def remember_upload(
        self, key: str, provider: str, location: str, expires: float | None
    ) -> None:
        """Store where a file lies at a service; `expires` is Unix time."""
        values = (key, self._clock(), expires, provider, location)
        self._database.write(("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?)", values))

    def forget_upload(self, key: str) -> None:
        """The service no longer has it."""
        self._database.write(("DELETE FROM uploads WHERE key = ?", (key,)))

    def vocabulary(self, key: str) -> str | None:
        """The id of a list of hotwords that was made before, or None."""
        rows = self._database.rows("SELECT id FROM vocabularies WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def remember_vocabulary(self, key: str, id: str) -> None:  # noqa: A002 - as the column
        """Store the id of a list of hotwords."""
        values = (key, self._clock(), id)
        self._database.write(("INSERT OR REPLACE INTO vocabularies VALUES (?, ?, ?)", values))

    # --- files and results --------------------------------------------------------------------

    def digest(self, path: Path, size: int, modified: int, inode: int) -> str | None:
        """The hash of a file that looks as it did when it was last read, or None."""
        rows = self._database.rows(
            "SELECT digest FROM files WHERE path = ? AND size = ? AND modified = ? AND inode = ?",
            (_stored(path), size, modified, inode),
        )
        return rows[0][0] if rows else None

    def remember_digest(
        self, path: Path, size: int, modified: int, inode: int, digest: str
    ) -> None:
        """Store the hash of a file, and what it looked like."""
        values = (_stored(path), size, modified, inode, digest)
        self._database.write(("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", values))

    def output(self, path: Path) -> Output | None:
        """What is known about a result file, or None if no run wrote it."""
        rows = self._database.rows(
            "SELECT source, options, digest FROM outputs WHERE path = ?", (_stored(path),)
        )
        return Output(*rows[0]) if rows else None

    def remember_output(self, path: Path, output: Output) -> None:
        """Store that a result file is whole."""
        values = (_stored(path), self._clock(), output.source, output.options, output.digest)
        self._database.write(("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?, ?)", values))

    # --- the ledger ---------------------------------------------------------------------------

    def sending(
        self,
        *,
        host: str,
        provider: str,
        model: str,
        seconds: float,
        size: int,
        digest: str,
        cost: float | None,
    ) -> int:
        """Write down that audio is about to leave this computer; gives the entry's number."""
        return self._database.insert(
            "INSERT INTO ledger (sent, host, provider, model, seconds, bytes, digest, cost, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'sending')",
            (self._clock(), host, provider, model, seconds, size, digest, cost),
        )

    def sent(self, number: int, state: str, *, possible_duplicate: bool = False) -> None:
        """Write down how a sending ended: `answered` or `failed`."""
        self._database.write(
            (
                "UPDATE ledger SET state = ?, possible_duplicate = ? WHERE number = ?",
                (state, possible_duplicate, number),
            )
        )

    def ledger(self, *, since: float = 0.0) -> Iterator[dict[str, Any]]:
        """All entries from a time on, oldest first."""
        names = (
            "number", "sent", "host", "provider", "model", "seconds", "bytes", "digest", "cost",
            "state", "possible_duplicate",
        )  # fmt: skip
        sql = f"SELECT {', '.join(names)} FROM ledger WHERE sent >= ? ORDER BY number"  # noqa: S608
        for row in self._database.rows(sql, (since,)):
            yield dict(zip(names, row, strict=True))

    # --- all of it ----------------------------------------------------------------------------

    def forget(self) -> None:
        """Remove everything; no text stays in any file."""
        self._database.erase([(f"DELETE FROM {table}", ()) for table in _TABLES])  # noqa: S608

    def statistics(self) -> dict[str, int]:
        """How many rows each table has."""
        return {
            table: self._database.rows(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608
            for table in _TABLES
        }


def _stored(path: Path) -> bytes:
    """The absolute path as the bytes that it is."""
    return os.fsencode(path.absolute())
