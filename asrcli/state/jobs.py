"""Jobs at services, as far as this computer knows of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asrcli.state.database import Database

__all__ = ["INTENDED", "JobTable", "StoredJob"]

INTENDED = "intended"
"""It was about to be submitted; nobody knows whether that came through."""
_COLUMNS = (
    "key, id, provider, model, host, name, location, options, state, created, updated, seconds, "
    "code, message, unproven, possible_duplicate, owner"
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
    location: str
    """What was submitted: a reference or a URL."""
    options: str
    """JSON."""
    state: str
    """`intended`, a state of the service in small letters, or `fetched`."""
    created: datetime
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

    def find(self, key: str) -> StoredJob | None:
        """The job for what was asked, or None."""
        return next(iter(self._select("WHERE key = ?", (key,))), None)

    def by_id(self, id: str) -> StoredJob | None:  # noqa: A002 - as the column
        """The job that a service calls so, or None."""
        return next(iter(self._select("WHERE id = ?", (id,))), None)

    def all(self) -> list[StoredJob]:
        """All of them, the newest first."""
        return self._select("ORDER BY created DESC", ())

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
    ) -> None:
        """Write down that it is about to be submitted; on the disk when this returns."""
        now = self._database.clock()
        values = (
            key, None, provider, model, host, name, location, options, INTENDED, now, now, seconds,
            None, None, 0, 0, owner,
        )  # fmt: skip
        marks = ", ".join("?" * len(values))
        self._database.write_safely(
            (f"INSERT OR REPLACE INTO jobs ({_COLUMNS}) VALUES ({marks})", values)  # noqa: S608
        )

    def submitted(
        self,
        key: str,
        id: str,  # noqa: A002 - as the column
        host: str,
        *,
        unproven: bool,
        possible_duplicate: bool,
    ) -> None:
        """The service has taken it; on the disk when this returns."""
        self._database.write_safely(
            (
                """UPDATE jobs SET id = ?, host = ?, state = 'pending', updated = ?, unproven = ?,
                possible_duplicate = ?, owner = '' WHERE key = ?""",
                (id, host, self._database.clock(), unproven, possible_duplicate, key),
            )
        )

    def update(
        self, key: str, state: str, *, code: str | None = None, message: str | None = None
    ) -> None:
        """How far it is."""
        self._database.write(
            (
                "UPDATE jobs SET state = ?, updated = ?, code = ?, message = ? WHERE key = ?",
                (state, self._database.clock(), code, message, key),
            )
        )

    def forget(self, keys: Collection[str]) -> None:
        """Remove them, without a trace."""
        self._database.erase([("DELETE FROM jobs WHERE key = ?", (key,)) for key in keys])

    def _select(self, rest: str, values: Sequence[Any]) -> list[StoredJob]:
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM jobs {rest}", values)  # noqa: S608
        return [_job(row) for row in rows]


def _job(row: Sequence[Any]) -> StoredJob:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    for name in ("created", "updated"):
        values[name] = datetime.fromtimestamp(values[name], UTC)
    for name in ("unproven", "possible_duplicate"):
        values[name] = bool(values[name])
    return StoredJob(**values)
