"""The file behind the state: SQLite with a write-ahead log, for many threads and processes.

What must survive a power cut is flushed to the disk before a call returns; threads that write at
the same moment share one flush. A damaged file is set aside with a note, and a new one begun; one
of a later version of asrcli is left alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from asrcli.errors import ConfigurationError, OutputError

__all__ = ["SCHEMA", "Database"]

SCHEMA = 1
_BUSY_SECONDS = 30.0
_REMEDY = "--state PATH puts it elsewhere; --no-cache does without."

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY, created REAL NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
  seconds REAL NOT NULL, content TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
  key TEXT PRIMARY KEY, created REAL NOT NULL, expires REAL, provider TEXT NOT NULL,
  location TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outputs (
  path BLOB PRIMARY KEY, created REAL NOT NULL, source TEXT NOT NULL, options TEXT NOT NULL,
  digest TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
  path BLOB PRIMARY KEY, size INTEGER NOT NULL, modified INTEGER NOT NULL, inode INTEGER NOT NULL,
  digest TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vocabularies (
  key TEXT PRIMARY KEY, created REAL NOT NULL, id TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger (
  number INTEGER PRIMARY KEY, sent REAL NOT NULL, host TEXT NOT NULL, provider TEXT NOT NULL,
  model TEXT NOT NULL, seconds REAL NOT NULL, bytes INTEGER NOT NULL, digest TEXT NOT NULL,
  cost REAL, state TEXT NOT NULL, possible_duplicate INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS jobs (
  key TEXT PRIMARY KEY, id TEXT, provider TEXT NOT NULL, model TEXT NOT NULL, host TEXT NOT NULL,
  name TEXT NOT NULL, location TEXT NOT NULL, options TEXT NOT NULL, state TEXT NOT NULL,
  created REAL NOT NULL, updated REAL NOT NULL, seconds REAL NOT NULL, code TEXT, message TEXT,
  unproven INTEGER NOT NULL DEFAULT 0, possible_duplicate INTEGER NOT NULL DEFAULT 0,
  owner TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
"""
Statement = tuple[str, Sequence[Any]]


class Database:
    """One file; `warn` is told once when a damaged one was set aside."""

    def __init__(
        self,
        path: Path,
        *,
        warn: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.clock = clock
        self._warn = warn
        self._lock = threading.RLock()
        self._gathering = threading.Condition()
        self._waiting: list[_Write] = []
        self._leads = False
        self._connection = self._opened()

    def close(self) -> None:
        """Close the file; nothing can be asked of it any more."""
        with self._lock:
            self._connection.close()

    # --- reading and writing ----------------------------------------------------------------------

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a question; none if the file was found damaged, and set aside."""
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                self._mend(error)
                return self._connection.execute(sql, values).fetchall()

    def write(self, *statements: Statement) -> None:
        """Carry out all statements or none; they survive a crash of the program."""
        with self._lock:
            self._carried_out(statements, synchronous="NORMAL")

    def insert(self, sql: str, values: Sequence[Any]) -> int:
        """Carry out one insertion; gives the number of the row."""
        with self._lock:
            try:
                return int(self._connection.execute(sql, values).lastrowid or 0)
            except sqlite3.Error as error:
                self._mend(error)
                return int(self._connection.execute(sql, values).lastrowid or 0)

    def write_safely(self, *statements: Statement) -> None:
        """The same; when it returns they survive a power cut, too.

        The first thread flushes for all that come while it is at it.
        """
        mine = _Write(statements)
        with self._gathering:
            self._waiting.append(mine)
            while self._leads and not mine.done:
                self._gathering.wait()
            if mine.done:
                mine.check()
                return
            self._leads = True
            batch, self._waiting = self._waiting, []
        try:
            self._flush(batch)
        finally:
            with self._gathering:
                self._leads = False
                for write in batch:
                    write.done = True
                self._gathering.notify_all()
        mine.check()

    def _flush(self, batch: Sequence[_Write]) -> None:
        try:
            with self._lock:
                together = [statement for write in batch for statement in write.statements]
                self._carried_out(together, synchronous="FULL")
        except BaseException as error:
            for write in batch:
                write.error = error
            if not isinstance(error, Exception):
                raise

    def _carried_out(self, statements: Sequence[Statement], *, synchronous: str) -> None:
        try:
            self._transaction(statements, synchronous)
        except sqlite3.Error as error:
            self._mend(error)
            self._transaction(statements, synchronous)

    def _transaction(self, statements: Sequence[Statement], synchronous: str) -> None:
        connection = self._connection
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in statements:
                connection.execute(sql, values)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def erase(self, statements: Sequence[Statement]) -> None:
        """Carry out deletions so that nothing of what they concern stays in any file."""
        with self._lock:
            self._transaction(statements, "FULL")
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # --- opening, and what goes wrong -------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise self._failure(error) from error
        self._set_aside()
        return self._connected()

    def _connected(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made with its mode, so that no other user can open it in between.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise self._failure(error) from error
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            raise ConfigurationError(
                f"the state database {self.path} is of a later version of asrcli",
                hint="Update asrcli, or use another one: --state PATH.",
            )
        connection.execute("PRAGMA secure_delete=ON")
        if version == SCHEMA:
            # A file that was cut short still has its first page.
            connection.execute("SELECT key FROM jobs LIMIT 1").fetchall()
            return
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={SCHEMA}; COMMIT")

    def _mend(self, error: sqlite3.Error) -> None:
        """Begin a new file in place of a damaged one; raises for all that is no damage."""
        if not _is_damage(error):
            raise self._failure(error) from error
        self._connection.close()
        self._set_aside()
        self._connection = self._connected()

    def _set_aside(self) -> None:
        """Move a damaged file away, unless another process was faster."""
        with _alone(self.path.with_name(f"{self.path.name}.mending")):
            try:
                self._connected().close()
            except sqlite3.DatabaseError:
                pass
            else:
                return
            aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self.path.replace(aside)
        self._warn(f"the state database was damaged; it is now {aside}, and a new one begins")

    def _failure(self, error: Exception) -> OutputError:
        reason = getattr(error, "strerror", None) or str(error)
        if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            reason = os.strerror(errno.ENOSPC)
        return OutputError(f"cannot keep the state database {self.path}: {reason}", hint=_REMEDY)


class _Write:
    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements
        self.done = False
        self.error: BaseException | None = None

    def check(self) -> None:
        """Raise what went wrong."""
        if self.error is not None:
            raise self.error


def _is_damage(error: sqlite3.Error) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "no such table" in str(error)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time; the file stays, and is empty."""
    from filelock import FileLock

    with FileLock(path, timeout=_BUSY_SECONDS):
        yield
