"""The tables of the state, and whether a file holds them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from asrcli.errors import ConfigurationError

__all__ = ["SCHEMA", "TABLES", "DamagedError", "bring_up", "is_current"]

SCHEMA = 3
"""`user_version` of the file; raised with every change of the tables."""

TABLES = ("answers", "uploads", "outputs", "files", "vocabularies", "ledger", "jobs")

_CREATE = """
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

_ADDED = {
    "answers": ("source TEXT NOT NULL DEFAULT ''",),
    # What is about to be written over a result: a run may be killed before it says that it was.
    "outputs": ("next_source TEXT", "next_options TEXT", "next_digest TEXT"),
    # The order in which jobs came: clocks go back.
    "jobs": ("number INTEGER NOT NULL DEFAULT 0", "source BLOB", "submitted REAL", "expires REAL"),
}
"""Columns that came after a table was first made."""


class DamagedError(sqlite3.DatabaseError):
    """The file says that it is of this version, and lacks tables all the same."""


def is_current(connection: sqlite3.Connection, path: Path) -> bool:
    """True if the tables are there, False if they have to be made or brought up to date.

    Raises ConfigurationError for a file that is to be left alone: of a later version, or of another
    program; DamagedError and other errors of SQLite for one that cannot be used.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    tables = {name for (name,) in rows}
    if tables and not tables & {"answers", "ledger", "jobs"}:
        raise ConfigurationError(
            f"{path} is a database of another program",
            hint="Use another file for the state: --state PATH.",
        )
    if version > SCHEMA:
        raise ConfigurationError(
            f"the state database {path} is of a later version of asrcli",
            hint="Update asrcli, or use another one: --state PATH.",
        )
    if version == SCHEMA and not tables >= set(TABLES):
        raise DamagedError("tables are missing")
    return bool(version == SCHEMA)


def bring_up(connection: sqlite3.Connection) -> None:
    """Make what is missing, in one transaction; nothing if another process was faster."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in filter(str.strip, _CREATE.split(";")):
            connection.execute(statement)
        for table, columns in _ADDED.items():
            there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            for column in columns:
                if column.split()[0] not in there:
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
        connection.execute(f"PRAGMA user_version={SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
