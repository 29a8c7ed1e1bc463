"""The file itself: many writers, kills, damage, later versions, full disks."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from asrcli.errors import ConfigurationError, OutputError
from asrcli.state.database import Database, _Write
from asrcli.state.places import place_of
from asrcli.state.schema import SCHEMA, TABLES
from asrcli.state.store import Answer, Output, Store
from tests.state.processes import Child, answer, go, line, names_of_damaged, send

# --- many at once -----------------------------------------------------------------------------


def test_threads_that_write_at_once_lose_nothing(path: Path) -> None:
    with closing(Store(path)) as store:

        def work(name: int) -> None:
            for number in range(20):
                store.remember_answer(f"{name}-{number}", answer())
                store.sent(send(store), "answered")

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        rows = store.statistics().rows
    assert (rows["answers"], rows["ledger"]) == (160, 160)


def test_processes_that_begin_and_write_at_once_lose_nothing(path: Path, child: Child) -> None:
    writers = [child(WRITES, str(number)) for number in range(5)]
    for writer in writers:
        assert line(writer) == "ready"
    for writer in writers:
        go(writer)

    assert [line(writer) for writer in writers] == ["done"] * 5
    with closing(Store(path)) as store:
        rows = store.statistics().rows
        assert (rows["answers"], rows["ledger"]) == (100, 100)
        assert {entry["state"] for entry in store.ledger()} == {"answered"}


WRITES = """
say("ready")
sys.stdin.readline()
store = Store(path)
for number in range(20):
    store.remember_answer(f"{sys.argv[2]}-{number}", Answer("p", "m", 1.0, "x" * 3000))
    store.sent(store.sending(host="h", provider="p", model="m", seconds=1.0, size=1, digest="d",
                             cost=None), "answered")
store.close()
say("done")
"""


def test_what_was_kept_before_a_kill_is_there_after_it(path: Path, child: Child) -> None:
    told = []
    for number in range(4):
        writer = child(WRITES_ON, str(number))
        told += [line(writer) for _ in range(5 + number)]
        writer.kill()
        assert writer.stdout is not None
        told += writer.stdout.read().split()

    with closing(Store(path, warn=pytest.fail)) as store:
        assert len(told) >= 26
        assert [key for key in told if store.answer(key) is None] == []
        assert names_of_damaged(path) == []


WRITES_ON = """
store = Store(path)
number = 0
while True:
    number += 1
    key = f"{sys.argv[2]}-{number}"
    store.remember_answer(key, Answer("p", "m", 1.0, "x" * 20000))
    say(key)
"""


def test_a_signal_that_stops_one_writer_does_not_lose_the_answer_of_another(path: Path) -> None:
    class Stopped:
        def __conform__(self, protocol: object) -> str:
            raise KeyboardInterrupt

    with closing(Database(path)) as database:
        sql = "INSERT INTO vocabularies VALUES (?, 1.0, 'id')"
        other = threading.Thread(target=database.write_safely, args=((sql, ("other",)),))
        with database._flushing:
            other.start()
            while not database._waiting:
                other.join(0.001)
            database._waiting.append(_Write([(sql, (Stopped(),))]))
            with pytest.raises(KeyboardInterrupt):
                database._flush()
            database._waiting.pop()
        other.join()

        assert database.rows("SELECT key FROM vocabularies") == [("other",)]


def test_one_write_that_cannot_be_does_not_spoil_those_of_others(path: Path) -> None:
    with closing(Database(path)) as database:
        good = _Write([("INSERT INTO vocabularies VALUES ('good', 1.0, 'id')", ())])
        bad = _Write([("INSERT INTO vocabularies VALUES ('bad', 1.0, NULL)", ())])
        database._waiting += [bad, good]
        database._flush()

        assert isinstance(bad.error, sqlite3.IntegrityError)
        assert good.error is None
        assert database.rows("SELECT key FROM vocabularies") == [("good",)]


def test_a_store_that_was_closed_says_so(path: Path) -> None:
    store = Store(path)
    store.close()
    store.close()

    with pytest.raises(OutputError, match="closed"):
        store.answer("k")


# --- damage -----------------------------------------------------------------------------------


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.parent.mkdir()
    path.touch()

    with closing(Store(path, warn=pytest.fail)) as store:
        store.remember_answer("k", answer())
        assert store.answer("k") == answer()


@pytest.mark.parametrize("junk", [b"\0" * 8192, b"junk" * 3000, b"x", b"SQLite format 3\0" * 300])
def test_junk_is_set_aside_with_a_note_and_a_new_file_begins(path: Path, junk: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(junk)
    notes: list[str] = []

    with closing(Store(path, warn=notes.append)) as store:
        store.remember_answer("k", answer())

    with closing(Store(path, warn=notes.append)) as store:
        assert store.answer("k") == answer()
    (aside,) = names_of_damaged(path)
    assert (path.parent / aside).read_bytes() == junk
    (note,) = notes
    assert aside in note


def test_a_torn_file_is_set_aside_when_that_is_noticed_and_the_run_goes_on(filled: Path) -> None:
    os.truncate(filled, filled.stat().st_size // 2)
    notes: list[str] = []

    with closing(Store(filled, warn=notes.append)) as store:
        for number in range(300):
            store.answer(str(number))
        store.remember_answer("new", answer())

    with closing(Store(filled, warn=notes.append)) as store:
        assert store.answer("new") == answer()
    assert len(notes) == len(names_of_damaged(filled)) == 1


def test_damage_in_the_middle_of_a_run_is_noted_once_and_the_run_goes_on(filled: Path) -> None:
    notes: list[str] = []
    with closing(Store(filled, warn=notes.append)) as store:
        spoil(filled)
        for number in range(300):
            store.answer(str(number))
            store.remember_answer(f"new-{number}", answer())
        assert len(notes) == 1
        assert store.answer("new-299") == answer()


def test_damage_met_by_a_write_loses_nothing_of_what_is_written(filled: Path) -> None:
    notes: list[str] = []
    with closing(Store(filled, warn=notes.append)) as store:
        spoil(filled)
        for number in range(300):
            store.remember_answer(str(number), answer("new"))
            if notes:
                break

        assert len(notes) == 1
        assert store.answer(str(number)) == answer("new")


def spoil(path: Path) -> None:
    """Overwrite all pages but those of the schema."""
    with path.open("r+b") as file:
        file.seek(16 * 4096)
        file.write(b"\xa5" * (path.stat().st_size - 16 * 4096))


def test_processes_that_meet_a_damaged_file_at_once_set_it_aside_once(
    path: Path, child: Child
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"junk" * 3000)
    meeting = [child(MEETS, str(number)) for number in range(4)]
    for process in meeting:
        assert line(process) == "ready"
    for process in meeting:
        go(process)
    said = [process.communicate()[0].split() for process in meeting]

    assert sorted(word for words in said for word in words) == ["done"] * 4 + ["note"]
    assert len(names_of_damaged(path)) == 1
    with closing(Store(path)) as store:
        assert all(store.answer(str(number)) is not None for number in range(4))


MEETS = """
say("ready")
sys.stdin.readline()
store = Store(path, warn=lambda _: say("note"))
store.remember_answer(sys.argv[2], Answer("p", "m", 1.0, "x"))
store.close()
say("done")
"""


def test_a_file_that_another_process_set_aside_is_not_written_any_more(path: Path) -> None:
    with closing(Store(path)) as store, closing(Store(path)) as another:
        store.remember_answer("old", answer())
        path.rename(path.with_name("aside"))
        another.remember_answer("b", answer())
        store.remember_answer("a", answer())

        assert another.answer("a") == answer()
        assert store.answer("b") == answer()
        assert store.answer("old") is None


# --- files that are not to be touched ---------------------------------------------------------


def test_a_file_of_a_later_version_is_left_alone(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA + 1}")
    before = path.read_bytes()

    with pytest.raises(ConfigurationError, match="later version") as error:
        Store(path)

    assert error.value.exit_status == 2
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE photos (name)")
    before = path.read_bytes()

    with pytest.raises(ConfigurationError, match="another program"):
        Store(path)

    assert path.read_bytes() == before


def test_a_file_of_an_earlier_version_is_brought_up_to_date(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """CREATE TABLE answers (key TEXT PRIMARY KEY, created REAL, provider TEXT, model TEXT,
            seconds REAL, content TEXT) WITHOUT ROWID;
            INSERT INTO answers VALUES ('k', 1.0, 'p', 'm', 2.0, '"said"');
            PRAGMA user_version=1;"""
        )

    with closing(Store(path, warn=pytest.fail)) as store:
        assert store.answer("k") == Answer("p", "m", 2.0, "said")
        assert set(store.statistics().rows) == set(TABLES)


def test_results_of_version_2_are_known_and_can_be_rewritten(path: Path, tmp_path: Path) -> None:
    result = tmp_path / "talk.txt"
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """DROP TABLE outputs;
            CREATE TABLE outputs (path BLOB PRIMARY KEY, created REAL NOT NULL,
            source TEXT NOT NULL, options TEXT NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;
            PRAGMA user_version=2;"""
        )
        values = (place_of(result), 1.0, "s", "o", "d")
        connection.execute("INSERT INTO outputs VALUES (?, ?, ?, ?, ?)", values)
        connection.commit()

    with closing(Store(path, warn=pytest.fail)) as store:
        assert store.outputs(result) == (Output("s", "o", "d"), None)
        store.intend_output(result, Output("s", "new", "e"))
        assert store.outputs(result) == (Output("s", "o", "d"), Output("s", "new", "e"))
        store.finish_output(result)
        assert store.outputs(result) == (Output("s", "new", "e"), None)


def test_a_file_that_lacks_tables_of_its_own_version_is_damaged(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE uploads")
    notes: list[str] = []

    with closing(Store(path, warn=notes.append)) as store:
        assert store.upload("k", spare=0.0) is None
    assert len(notes) == 1


# --- what cannot be written -------------------------------------------------------------------


def test_a_full_disk_is_an_error_with_a_reason_and_nothing_is_lost(
    path: Path, child: Child
) -> None:
    pytest.importorskip("resource", reason="needs RLIMIT_FSIZE")
    said = child(FILLS).communicate()[0].splitlines()

    assert said[0].startswith(f"8 cannot keep the state database {path}: ")
    assert said[1] == "still there"
    assert said[2] == "and goes on"
    with closing(Store(path, warn=pytest.fail)) as store:
        assert store.answer("later") is not None


FILLS = """
import resource
store = Store(path)
store.remember_answer("first", Answer("p", "m", 1.0, "x"))
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
try:
    for number in range(100):
        store.remember_answer(str(number), Answer("p", "m", 1.0, "x" * 20000))
except AsrError as error:
    say(error.exit_status, error)
if store.answer("first") and all(store.answer(str(kept)) for kept in range(number)):
    say("still there")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
store.remember_answer("later", Answer("p", "m", 1.0, "x" * 20000))
say("and goes on")
store.close()
"""


@pytest.mark.parametrize("name", ["file/state.db", "folder"])
def test_a_place_where_no_file_can_be_is_an_error_with_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()

    with pytest.raises(OutputError, match=name) as error:
        Store(tmp_path / name)
    assert error.value.hint is not None
    assert "--state" in error.value.hint


def test_a_process_that_never_lets_go_is_not_waited_for_without_end(path: Path) -> None:
    with (
        closing(Store(path, patience=0.05)) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutputError, match="locked"):
            store.remember_answer("k", answer())
        other.execute("ROLLBACK")
        store.remember_answer("k", answer())
        assert store.answer("k") == answer()
