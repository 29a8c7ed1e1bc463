"""All that is kept: answers, uploads, jobs, results, and a ledger of what left this computer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrcli.state.database import Database, Statement
from asrcli.state.jobs import JobTable
from asrcli.state.locks import Claims
from asrcli.state.places import place_of
from asrcli.state.schema import TABLES

__all__ = ["Answer", "Output", "Statistics", "Store", "default_path"]

_PAGE = 1000
"""Rows of the ledger that are read at once: it may have millions."""


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
    source: str = ""
    """Hash of the file that the audio is from, so that all of a file can be forgotten."""


@dataclass(frozen=True, slots=True)
class Output:
    """A result file that a run wrote: from what, asked how, and its own hash."""

    source: str
    options: str
    digest: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """How much is kept, and where; `bytes` with the log, `remains` are damaged files set aside."""

    path: Path
    bytes: int
    rows: Mapping[str, int]
    remains: tuple[Path, ...] = ()


class Store:
    """The tables of one database; see `Database` for what it survives.

    Raises OutputError where the file cannot be made, read or written; ConfigurationError for one of
    a later version or of another program. `patience`: seconds that other processes are waited for.
    """

    def __init__(
        self,
        path: Path,
        *,
        warn: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        patience: float = 30.0,
    ) -> None:
        self._database = Database(path, warn=warn, clock=clock, patience=patience)
        self._clock = clock
        self.jobs = JobTable(self._database)
        self.claims = Claims(path)

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def close(self) -> None:
        """Close the file; may be called twice."""
        self.jobs.close()
        self._database.close()

    # --- answers ------------------------------------------------------------------------------

    def answer(self, key: str) -> Answer | None:
        """The stored answer, or None."""
        rows = self._database.rows(
            "SELECT provider, model, seconds, content, source FROM answers WHERE key = ?", (key,)
        )
        if not rows:
            return None
        provider, model, seconds, content, source = rows[0]
        try:
            return Answer(provider, model, seconds, json.loads(content), source)
        except (TypeError, ValueError):  # a page of the file was damaged, and nothing noticed
            return None

    def remember_answer(self, key: str, answer: Answer) -> None:
        """Store an answer; it is on the disk when this returns."""
        content = json.dumps(answer.content, ensure_ascii=True, separators=(",", ":"))
        values = (
            key, self._clock(), answer.provider, answer.model, answer.seconds, content,
            answer.source,
        )  # fmt: skip
        self._database.write_safely(
            ("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        )

    # --- uploads and vocabularies ---------------------------------------------------------------

    def upload(self, key: str, *, spare: float) -> tuple[str, str, float | None] | None:
        """Provider, location and end of a file that lives for `spare` more seconds; else None."""
        rows = self._database.rows(
            "SELECT provider, location, expires, created FROM uploads WHERE key = ?", (key,)
        )
        if not rows:
            return None
        provider, location, expires, created = rows[0]
        now = self._clock()
        # Brought there later than now: the clock was set back, and nobody knows how old it is.
        if created > now or (expires is not None and expires < now + spare):
            return None
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
            (place_of(path), size, modified, inode),
        )
        return rows[0][0] if rows else None

    def remember_digest(
        self, path: Path, size: int, modified: int, inode: int, digest: str
    ) -> None:
        """Store the hash of a file, and what it looked like."""
        values = (place_of(path), size, modified, inode, digest)
        self._database.write(("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", values))

    def output(self, path: Path) -> Output | None:
        """What is known about a result file, or None if no run wrote it."""
        return self.outputs(path)[0]

    def outputs(self, path: Path) -> tuple[Output | None, Output | None]:
        """What a run wrote there, and what one was about to write when it ended."""
        rows = self._database.rows(
            "SELECT source, options, digest, next_source, next_options, next_digest "
            "FROM outputs WHERE path = ?",
            (place_of(path),),
        )
        if not rows:
            return None, None
        written, following = Output(*rows[0][:3]), Output(*rows[0][3:])
        return written if written.digest else None, following if following.digest else None

    def remember_output(self, path: Path, output: Output) -> None:
        """Store what a result file is."""
        sql = """
            INSERT OR REPLACE INTO outputs (path, created, source, options, digest)
            VALUES (?, ?, ?, ?, ?)
        """
        values = (place_of(path), self._clock(), output.source, output.options, output.digest)
        self._database.write((sql, values))

    def intend_output(self, path: Path, output: Output) -> None:
        """Store what is about to take the place of a file; what is known of that one stays."""
        sql = """
            INSERT INTO outputs (path, created, source, options, digest,
                next_source, next_options, next_digest) VALUES (?, ?, '', '', '', ?, ?, ?)
            ON CONFLICT (path) DO UPDATE SET next_source = excluded.next_source,
                next_options = excluded.next_options, next_digest = excluded.next_digest
        """
        values = (place_of(path), self._clock(), output.source, output.options, output.digest)
        self._database.write((sql, values))

    def finish_output(self, path: Path) -> None:
        """Store that what was intended is there."""
        sql = """
            UPDATE outputs SET created = ?, source = next_source, options = next_options,
                digest = next_digest, next_source = NULL, next_options = NULL, next_digest = NULL
            WHERE path = ? AND next_digest IS NOT NULL
        """
        self._database.write((sql, (self._clock(), place_of(path))))

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
        """All entries from a time on, in the order in which they were sent."""
        names = (
            "number", "sent", "host", "provider", "model", "seconds", "bytes", "digest", "cost",
            "state", "possible_duplicate",
        )  # fmt: skip
        sql = (
            f"SELECT {', '.join(names)} FROM ledger WHERE number > ? AND sent >= ? "  # noqa: S608
            f"ORDER BY number LIMIT {_PAGE}"
        )
        last = 0
        while rows := self._database.rows(sql, (last, since)):
            last = rows[-1][0]
            for row in rows:
                yield dict(zip(names, row, strict=True))

    # --- all of it ----------------------------------------------------------------------------

    def forget(self) -> None:
        """Remove everything, damaged files that were set aside as well; no text stays in any file.

        Raises LockedError while other runs keep what was removed in the log of the file.
        """
        self._database.erase(*[(f"DELETE FROM {table}", ()) for table in TABLES])  # noqa: S608
        for path in self._database.remains():
            path.unlink(missing_ok=True)

    def forget_files(self, paths: Collection[Path], *, digests: Collection[str] = ()) -> None:
        """Remove what is known of recordings and of result files at these places, without a trace.

        Answers and results are found by the hash of the recording: `digests`, and what it was when
        it was last looked at; it need not exist any more. The ledger stays: it holds no text and
        no names.
        """
        statements: list[Statement] = []
        hashes = set(digests)
        for path in paths:
            place = place_of(path)
            rows = self._database.rows("SELECT digest FROM files WHERE path = ?", (place,))
            hashes.update(row[0] for row in rows)
            statements.append(("DELETE FROM outputs WHERE path = ?", (place,)))
            statements.append(("DELETE FROM jobs WHERE source = ?", (place,)))
            statements.append(("DELETE FROM files WHERE path = ?", (place,)))
        for digest in sorted(hashes):
            statements.append(("DELETE FROM answers WHERE source = ?", (digest,)))
            statements.append(
                ("DELETE FROM outputs WHERE source = ? OR next_source = ?", (digest, digest))
            )
        self._database.erase(*statements)

    def statistics(self) -> Statistics:
        """How many rows each table has, and how large the file is."""
        rows = {
            table: int(self._database.rows(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608
            for table in TABLES
        }
        size = 0
        for path in (self.path, self.path.with_name(f"{self.path.name}-wal")):
            try:
                size += path.stat().st_size
            except OSError:  # the log comes and goes
                continue
        return Statistics(self.path, size, rows, tuple(self._database.remains()))
