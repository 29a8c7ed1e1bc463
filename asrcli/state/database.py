"""The file behind the state: SQLite with a write-ahead log, for many threads and processes.

What must survive a power cut is flushed to the disk before a call returns; threads that write at
the same moment share one flush. A damaged file is set aside with a note, and a new one begun, also
in the middle of a run; one of a later version of asrcli or of another program is left alone.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from asrcli.errors import ConfigurationError, LockedError, OutputError
from asrcli.state import schema
from asrcli.state.locks import KernelLock

__all__ = ["Database", "Statement"]

_ATTEMPTS = 5
"""How often in a row the file may vanish or be found damaged."""
_LEAST_BYTES = 512
"""The smallest page of SQLite, which takes anything shorter for a new file, and overwrites it."""
_MAGIC = b"SQLite format 3\0"
_FRESH = 0.05
"""Seconds for which it is taken for granted that the file is where it was."""
_PROBE_BYTES = 65_536
"""More than SQLite adds to its files at once."""
_HINT = "--state PATH puts it elsewhere; --no-cache does without."
_MISTAKES = (
    sqlite3.ProgrammingError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.NotSupportedError,
    sqlite3.InterfaceError,
)
"""Errors that are ours, not the file's."""

Statement = tuple[str, Sequence[Any]]
_T = TypeVar("_T")
_Identity = tuple[int, int]


class Database:
    """One file; `warn` is told when a damaged one was set aside.

    Raises OutputError where the file cannot be made, read or written; ConfigurationError for one
    that is to be left alone. `patience`: seconds that other processes are waited for.
    """

    def __init__(
        self,
        path: Path,
        *,
        warn: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        patience: float = 30.0,
    ) -> None:
        self.path = path
        self.clock = clock
        self._warn = warn
        self._patience = patience
        self._lock = threading.RLock()
        self._flushing = threading.Lock()
        self._gathering = threading.Lock()
        self._waiting: list[_Write] = []
        self._closed = False
        self._looked = float("-inf")
        self._connection, self._file = self._opened()

    def close(self) -> None:
        """Close the file; what is asked of it later is an OutputError. May be called twice."""
        with self._lock:
            self._closed = True
            self._connection.close()

    # --- reading and writing ----------------------------------------------------------------------

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a question; none if the file was found damaged, and set aside."""
        return self._done(lambda connection: connection.execute(sql, values).fetchall())

    def write(self, *statements: Statement) -> None:
        """Carry out all statements or none; they survive a crash of the program."""
        self._done(lambda connection: _transaction(connection, statements, "NORMAL"), writes=True)

    def insert(self, sql: str, values: Sequence[Any]) -> int:
        """Carry out one insertion as `write` does; gives the number of the row."""
        return self._done(
            lambda connection: _transaction(connection, [(sql, values)], "NORMAL"), writes=True
        )

    def write_safely(self, *statements: Statement) -> None:
        """As `write`; when it returns they survive a power cut, too.

        The first thread flushes for all that come while it waits for its turn.
        """
        mine = _Write(statements)
        with self._gathering:
            self._waiting.append(mine)
        with self._flushing:
            if not mine.ended:
                self._flush()
        if mine.error is not None:
            raise mine.error

    def _flush(self) -> None:
        with self._gathering:
            batch, self._waiting = self._waiting, []
        try:
            self._flush_together(batch)
        except BaseException:
            # A signal stops this thread, not the others: one of them takes over.
            with self._gathering:
                self._waiting += [write for write in batch if not write.ended]
            raise

    def _flush_together(self, batch: Sequence[_Write]) -> None:
        together = [statement for write in batch for statement in write.statements]
        try:
            self._flushed(together)
        except Exception:  # noqa: BLE001 - each thread gets the error that is its own
            for write in batch:
                try:
                    self._flushed(write.statements)
                except Exception as error:  # noqa: BLE001
                    write.error = error
                write.ended = True
        else:
            for write in batch:
                write.ended = True

    def _flushed(self, statements: Sequence[Statement]) -> None:
        self._done(lambda connection: _transaction(connection, statements, "FULL"), writes=True)

    def erase(self, *statements: Statement, table: str | None = None) -> None:
        """Carry out deletions so that nothing of what they concern stays in the file or its log.

        Deleted rows are overwritten, but SQLite leaves copies behind when it moves rows to other
        pages: so all is written anew, or that one `table` alone, where the deletions concern no
        other; that is quick. Raises LockedError while other processes keep the log in use; the
        deletion stands.
        """

        def erased(connection: sqlite3.Connection) -> bool:
            anew = _rebuilding(connection, table) if table is not None else []
            _transaction(connection, [*statements, *anew], "FULL")
            if table is None:
                connection.execute("VACUUM")
            (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy

        if not self._done(erased, writes=True):
            raise LockedError(
                f"other runs use {self.path}: what was removed is still in its log",
                hint="Run it again when they have ended.",
            )

    def remains(self) -> list[Path]:
        """Damaged files that were set aside, with their logs."""
        return sorted(self.path.parent.glob(f"{glob.escape(self.path.name)}.damaged-*"))

    # --- what may go wrong ------------------------------------------------------------------------

    def _done(self, action: Callable[[sqlite3.Connection], _T], *, writes: bool = False) -> _T:
        """Do it in a sound file: one that is damaged or was moved away gives way to a new one."""
        with self._lock:
            for _ in range(_ATTEMPTS):
                connection = self._current(writes=writes)
                try:
                    result = self._patiently(lambda: action(connection))  # noqa: B023 - used now
                except sqlite3.Error as error:
                    self._mend(error)
                    continue
                # Written into a file that another process set aside meanwhile: once more.
                if not writes or _identity(self.path) == self._file:
                    return result
            raise self._failure("it does not stay in its place")

    def _current(self, *, writes: bool) -> sqlite3.Connection:
        if self._closed:
            raise self._failure("it was closed")
        now = time.monotonic()
        # Before each write; a question may be answered by what was there a moment ago.
        if writes or now - self._looked > _FRESH:
            self._looked = now
            if _identity(self.path) != self._file:
                self._connection.close()
                self._connection, self._file = self._opened()
        return self._connection

    def _patiently(self, action: Callable[[], _T]) -> _T:
        # SQLite waits by itself, except where it fears that two would wait for each other.
        until = time.monotonic() + self._patience
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not _named(error, "SQLITE_BUSY") or time.monotonic() > until:
                    raise
            time.sleep(0.01)

    def _mend(self, error: sqlite3.Error) -> None:
        """Begin a new file in place of a damaged one; raises for all that is no damage."""
        if isinstance(error, _MISTAKES):
            raise error
        if not _is_damage(error):
            self._fail(error)
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._set_aside(self._file)
        self._connection, self._file = self._opened()

    def _fail(self, error: Exception) -> NoReturn:
        number = getattr(error, "errno", None)
        if _named(error, "SQLITE_FULL"):
            number = errno.ENOSPC
        elif _named(error, "SQLITE_IOERR", "SQLITE_CANTOPEN"):
            number = _tried(self.path.parent)
        reason = str(error) if number is None else os.strerror(number)
        if number == errno.ENOSPC:
            raise OutputError(
                f"no space left on the disk that holds the state database {self.path}", hint=_HINT
            ) from error
        raise self._failure(reason) from error

    def _failure(self, reason: str) -> OutputError:
        return OutputError(f"cannot keep the state database {self.path}: {reason}", hint=_HINT)

    # --- opening ----------------------------------------------------------------------------------

    def _opened(self) -> tuple[sqlite3.Connection, _Identity]:
        for _ in range(_ATTEMPTS):
            try:
                self._make()
                file = _identity(self.path)
                connection = self._patiently(self._connected)
            except OSError as error:
                self._fail(error)
            except sqlite3.Error as error:
                if not _is_damage(error):
                    self._fail(error)
                self._set_aside(file)
                continue
            if file is not None and _identity(self.path) == file:
                return connection, file
            connection.close()
        raise self._failure("it does not stay in its place")

    def _make(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made with its mode, so that no other user can open it in between. One that exists is not
        # opened here: closing it would take away the locks that this process has on it.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def _connected(self) -> sqlite3.Connection:
        if 0 < self.path.stat().st_size < _LEAST_BYTES:
            raise schema.DamagedError("the file is too short")
        connection = sqlite3.connect(
            self.path, timeout=self._patience, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA secure_delete=ON").fetchall()
            if not schema.is_current(connection, self.path):
                with self._alone():
                    connection.execute("PRAGMA journal_mode=WAL").fetchall()
                    schema.bring_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self, damaged: _Identity | None) -> None:
        """Move the damaged file away, unless another process was faster."""
        try:
            with self._alone():
                if damaged is None or _identity(self.path) != damaged:
                    return
                if self._is_of_another_kind():
                    raise ConfigurationError(
                        f"{self.path} is no state database, and is left alone",
                        hint="--state names a file that asrcli may make.",
                    )
                aside = self._with(f".damaged-{time.time_ns()}")
                # The log goes first: what is written to one beside no file would be taken along.
                with contextlib.suppress(FileNotFoundError):
                    self._with("-wal").replace(aside.with_name(f"{aside.name}-wal"))
                self._with("-shm").unlink(missing_ok=True)
                self.path.replace(aside)
        except OSError as error:
            self._fail(error)
        self._warn(f"the state database was damaged; it is now {aside}, and a new one begins")

    def _is_of_another_kind(self) -> bool:
        """True for what was never a database: a recording, say, that was named by mistake."""
        with self.path.open("rb") as file:
            head = file.read(len(_MAGIC))
        named = self.path.suffix in {"", ".db", ".sqlite", ".sqlite3"}
        return bool(head) and head != _MAGIC and not named and not self._with("-wal").exists()

    def _with(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time makes the file, or sets it aside."""
        lock = KernelLock(self._with(".lock"))
        try:
            held = lock.acquire(wait=self._patience)
        except OSError:  # SQLite needs the same locks, and will say so
            yield
            return
        if not held:
            raise self._failure("another process is at work on it, and does not end")
        try:
            yield
        finally:
            lock.release()


class _Write:
    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements
        self.ended = False
        self.error: Exception | None = None


def _transaction(
    connection: sqlite3.Connection, statements: Sequence[Statement], synchronous: str
) -> int:
    """All or nothing; gives the number of the row that was inserted last."""
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("BEGIN IMMEDIATE")
    last = 0
    try:
        for sql, values in statements:
            last = connection.execute(sql, values).lastrowid or 0
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return last


def _rebuilding(connection: sqlite3.Connection, table: str) -> list[Statement]:
    """What writes a table anew; the pages that it had are overwritten when they are let go."""
    (made,) = connection.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
    ).fetchone()
    columns = made[made.index("(") :]
    return [
        (f"CREATE TABLE {table}_anew {columns}", ()),
        (f"INSERT INTO {table}_anew SELECT * FROM {table}", ()),  # noqa: S608 - names of ours
        (f"DROP TABLE {table}", ()),
        (f"ALTER TABLE {table}_anew RENAME TO {table}", ()),
    ]


def _identity(path: Path) -> _Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _tried(folder: Path) -> int | None:
    """Why nothing can be written into a folder, as SQLite does not say; None if it can."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            left = _PROBE_BYTES
            while left:
                left -= file.write(bytes(left)) or 0
    except OSError as error:
        return error.errno
    return None


def _named(error: Exception, *names: str) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(names)


def _is_damage(error: sqlite3.Error) -> bool:
    return (
        isinstance(error, schema.DamagedError)
        or _named(error, "SQLITE_CORRUPT", "SQLITE_NOTADB")
        or "no such table" in str(error)
    )
