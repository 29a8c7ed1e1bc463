"""Jobs at services, as far as this computer knows of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asrcli.errors import LockedError
from asrcli.state.database import Database, Statement
from asrcli.state.locks import KernelLock, lock_file
from asrcli.state.places import place_of

__all__ = ["INTENDED", "JobTable", "StoredJob"]

INTENDED = "intended"
"""It was about to be submitted; nobody knows whether that came through."""
_COLUMNS = (
    "key, id, provider, model, host, name, source, location, expires, options, state, created, "
    "submitted, updated, seconds, code, message, unproven, possible_duplicate, owner"
)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """One row; `key` is what was asked, `id` the service's name for it, None until it has one."""

    key: str
    id: str | None
    provider: str
    model: str
    host: str
    name: str
    """The input, as the user named it."""
    source: str | None
    """Its absolute path (`os.fsdecode`) or URL, where that was told."""
    location: str
    """What was submitted: a reference or a URL."""
    expires: datetime | None
    """When that is gone."""
    options: str
    """JSON."""
    state: str
    """`intended`, a state of the service in small letters, or `fetched`."""
    created: datetime
    submitted: datetime | None
    updated: datetime
    seconds: float
    code: str | None
    message: str | None
    """Why it failed."""
    unproven: bool
    possible_duplicate: bool
    owner: str
    """Who is about to submit it: a process, by a name that no other one has."""


class JobTable:
    """The jobs of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._claims: dict[str, KernelLock | None] = {}
        self._intents: dict[str, Statement] = {}

    def find(self, key: str) -> StoredJob | None:
        """The job for what was asked, or None."""
        return next(iter(self._select("WHERE key = ?", (key,))), None)

    def by_id(self, id: str) -> StoredJob | None:  # noqa: A002 - as the column
        """The job that a service calls so, or None."""
        return next(iter(self._select("WHERE id = ?", (id,))), None)

    def all(self, states: Collection[str] = ()) -> list[StoredJob]:
        """All of them, or those in certain states; the newest first."""
        marks = ", ".join("?" * len(states))
        wanted = f"WHERE state IN ({marks}) " if states else ""
        return self._select(f"{wanted}ORDER BY number DESC, created DESC", tuple(states))

    def ids(self) -> set[str]:
        """What services call them."""
        return {row[0] for row in self._database.rows("SELECT id FROM jobs WHERE id IS NOT NULL")}

    def intend(
        self,
        key: str,
        *,
        provider: str,
        model: str,
        host: str,
        name: str,
        location: str,
        options: str,
        seconds: float,
        owner: str,
        source: str | None = None,
        expires: datetime | None = None,
    ) -> None:
        """Write down that it is about to be submitted; on the disk when this returns.

        It may be submitted after that, and by nobody else until `submitted` or `withdraw`. Raises
        LockedError if another run is about to submit it, or has just done so; the intent of a run
        that died is taken over.
        """
        self._claim(key, name)
        now = self._database.clock()
        ends = expires.timestamp() if expires else None
        values = (
            key, None, provider, model, host, _text(name), _source(source), _text(location), ends,
            options, INTENDED, now, None, now, seconds, None, None, 0, 0, owner,
        )  # fmt: skip
        marks = ", ".join("?" * len(values))
        names = _COLUMNS.split(", ")
        replaced = ", ".join(f"{name} = excluded.{name}" for name in names if name != "key")
        number = "(SELECT coalesce(max(number), 0) + 1 FROM jobs)"
        sql = (
            f"INSERT INTO jobs ({_COLUMNS}, number) VALUES ({marks}, {number}) "  # noqa: S608
            f"ON CONFLICT (key) DO UPDATE SET {replaced} WHERE id IS NULL"
        )
        try:
            self._database.write_safely((sql, values))
            self._intents[key] = (sql, values)
            found = self.find(key)
        except BaseException:
            self._let_go(key)
            raise
        if found is not None and found.id is not None:
            self._let_go(key)
            raise _being_submitted(name)

    def submitted(
        self,
        key: str,
        id: str,  # noqa: A002 - as the column
        host: str,
        *,
        unproven: bool = False,
        possible_duplicate: bool = False,
    ) -> None:
        """The service has taken it; on the disk when this returns."""
        now = self._database.clock()
        # Once more, for the case that the file was damaged and set aside meanwhile.
        intent = [self._intents[key]] if key in self._intents else []
        try:
            self._database.write_safely(
                *intent,
                (
                    """UPDATE jobs SET id = ?, host = ?, state = 'pending', submitted = ?,
                    updated = ?, unproven = ?, possible_duplicate = ?, owner = '' WHERE key = ?""",
                    (id, host, now, now, unproven, possible_duplicate, key),
                ),
            )
        finally:
            self._let_go(key)

    def withdraw(self, key: str) -> None:
        """It was certainly not submitted: as if it had never been intended."""
        try:
            self._database.write(("DELETE FROM jobs WHERE key = ? AND id IS NULL", (key,)))
        finally:
            self._let_go(key)

    def update(
        self, key: str, state: str, *, code: str | None = None, message: str | None = None
    ) -> None:
        """How far it is."""
        said = None if message is None else _text(message)
        self._database.write(
            (
                "UPDATE jobs SET state = ?, updated = ?, code = ?, message = ? WHERE key = ?",
                (state, self._database.clock(), code, said, key),
            )
        )

    def forget(self, keys: Collection[str]) -> None:
        """Remove them, without a trace."""
        deletions = [("DELETE FROM jobs WHERE key = ?", (key,)) for key in keys]
        self._database.erase(*deletions, table="jobs")

    def close(self) -> None:
        """Let go of all that is about to be submitted; what was intended stays written down."""
        for key in list(self._claims):
            self._let_go(key)

    # --- one process at a time --------------------------------------------------------------------

    def _claim(self, key: str, name: str) -> None:
        with self._lock:
            if key in self._claims:
                return
            self._claims[key] = self._taken(key, name)

    def _taken(self, key: str, name: str) -> KernelLock | None:
        path = self._database.path
        folder = path.parent / "locks"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = KernelLock(lock_file(folder, b"job", place_of(path), key.encode()))
            held = lock.acquire()
        except OSError:
            # The database could be written, so this is rare; the row itself still says who was
            # first once the job has its id.
            return None
        if not held:
            raise _being_submitted(name)
        return lock

    def _let_go(self, key: str) -> None:
        with self._lock:
            lock = self._claims.pop(key, None)
            self._intents.pop(key, None)
        if lock is not None:
            lock.release()

    def _select(self, rest: str, values: Sequence[Any]) -> list[StoredJob]:
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM jobs {rest}", values)  # noqa: S608
        return [_job(row) for row in rows]


def _being_submitted(name: str) -> LockedError:
    return LockedError(
        f"another run submits the job for {name}",
        hint="The same command again waits for that job; nothing is sent twice.",
    )


def _source(source: str | None) -> bytes | None:
    if source is None or "://" in source:
        return None if source is None else os.fsencode(source)
    return place_of(Path(source))


def _text(value: str) -> str:
    """What can be stored: names of files need not be text."""
    return value.encode("utf-8", "backslashreplace").decode()


def _job(row: Sequence[Any]) -> StoredJob:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    for name in ("created", "submitted", "updated", "expires"):
        moment = values[name]
        values[name] = None if moment is None else datetime.fromtimestamp(moment, UTC)
    for name in ("unproven", "possible_duplicate"):
        values[name] = bool(values[name])
    if values["source"] is not None:
        values["source"] = os.fsdecode(values["source"])
    return StoredJob(**values)
