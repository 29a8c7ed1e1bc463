"""What is kept, for how long, and how it is forgotten."""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from asrcli.errors import LockedError
from asrcli.state.store import Output, Store, default_path
from tests.state.processes import TEXT, Child, answer, intend, send

# --- what is kept -----------------------------------------------------------------------------


def test_an_answer_is_known_to_the_next_run(path: Path) -> None:
    with closing(Store(path)) as store:
        store.remember_answer("k", answer())

    with closing(Store(path)) as store:
        assert store.answer("k") == answer()
        assert store.answer("another") is None


def test_file_and_folder_are_for_the_user_alone(path: Path) -> None:
    with closing(Store(path)) as store:
        store.remember_answer("k", answer())

        modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}

    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert modes["state.db-wal"] == 0o600
    assert set(modes.values()) == {0o600}


def test_names_with_any_bytes_and_any_words_can_be_kept(path: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/\xff\xfe\n'.txt"))
    with closing(Store(path)) as store:
        store.remember_output(odd, Output("s", "o", "d"))
        store.remember_answer("k", answer("\udcff \x00 日本"))
        intend(store, name=odd.name, source=str(odd))
        store.jobs.update("k", "failed", message=f"cannot read {odd}")

        assert store.output(odd) == Output("s", "o", "d")
        assert store.answer("k") == answer("\udcff \x00 日本")
        job = store.jobs.find("k")
        assert job is not None
        assert job.source == str(odd)
        assert job.name == "\\udcff\\udcfe\n'.txt"


def test_one_file_has_one_place_whatever_way_leads_there(path: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with closing(Store(path)) as store:
        store.remember_output(tmp_path / "link" / "a.txt", Output("s", "o", "d"))

        assert store.output(tmp_path / "real" / ".." / "real" / "a.txt") is not None


def test_the_hash_of_a_file_holds_as_long_as_the_file_looks_the_same(path: Path) -> None:
    with closing(Store(path)) as store:
        store.remember_digest(path, 10, 20, 30, "hash")

        assert store.digest(path, 10, 20, 30) == "hash"
        assert store.digest(path, 11, 20, 30) is None
        assert store.digest(path, 10, 21, 30) is None
        assert store.digest(path, 10, 20, 31) is None


def test_the_state_is_in_the_folder_for_state_unless_that_is_no_absolute_path() -> None:
    assert default_path({"XDG_STATE_HOME": "/s"}) == Path("/s/asrcli/state.db")
    assert default_path({"XDG_STATE_HOME": "s"}).is_absolute()


# --- clocks -----------------------------------------------------------------------------------


def test_an_upload_is_used_as_long_as_it_lives_long_enough(path: Path) -> None:
    now = [1000.0]
    with closing(Store(path, clock=lambda: now[0])) as store:
        store.remember_upload("k", "qwen", "oss://there", 2000.0)

        assert store.upload("k", spare=600.0) == ("qwen", "oss://there", 2000.0)
        now[0] = 1401.0
        assert store.upload("k", spare=600.0) is None


def test_after_the_clock_went_back_nobody_knows_how_old_an_upload_is(path: Path) -> None:
    now = [1000.0]
    with closing(Store(path, clock=lambda: now[0])) as store:
        store.remember_upload("k", "qwen", "oss://there", 2000.0)
        now[0] = 500.0

        assert store.upload("k", spare=600.0) is None


def test_jobs_and_entries_stay_in_order_when_the_clock_goes_back(path: Path) -> None:
    now = [1000.0]
    with closing(Store(path, clock=lambda: now[0])) as store:
        for key in ("first", "second", "third"):
            intend(store, key)
            send(store, key)
            now[0] -= 100.0

        assert [job.key for job in store.jobs.all()] == ["third", "second", "first"]
        assert [entry["digest"] for entry in store.ledger()] == ["first", "second", "third"]


# --- what left this computer ------------------------------------------------------------------


def test_an_entry_is_written_before_anything_is_sent_and_says_how_it_ended(path: Path) -> None:
    with closing(Store(path, clock=lambda: 7.0)) as store:
        first, second = send(store), send(store)
        store.sent(second, "failed", possible_duplicate=True)

        found = list(store.ledger())

    assert [(e["number"], e["state"], e["possible_duplicate"]) for e in found] == [
        (first, "sending", 0),
        (second, "failed", 1),
    ]
    assert found[0]["cost"] is None
    assert found[0]["sent"] == 7.0


# --- a million entries ------------------------------------------------------------------------


def test_a_million_entries_cost_neither_memory_nor_a_walk_through_them(
    path: Path, child: Child
) -> None:
    pytest.importorskip("resource", reason="needs ru_maxrss")
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(
            """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000)
            INSERT INTO ledger
            SELECT i, i, 'h', 'p', 'm', 1.0, 1, 'd', NULL, 'answered', 0 FROM n"""
        )
        connection.commit()

    megabytes, walked, *plans = child(WALKS).communicate()[0].splitlines()

    assert int(walked) == 100_000
    assert float(megabytes) < 60
    assert len(plans) >= 10
    assert [plan for plan in plans if "SCAN" in plan] == []


WALKS = """
import resource
store = Store(path)
asked = []
connection = store._database._connection
connection.set_trace_callback(asked.append)
def send():
    return store.sending(host="h", provider="p", model="m", seconds=1.0, size=1, digest="d",
                         cost=None)
store.remember_answer("k", Answer("p", "m", 1.0, "x"))
store.answer("k")
store.sent(send(), "answered")
store.remember_upload("k", "p", "l", None)
store.upload("k", spare=1.0)
store.remember_digest(path, 1, 2, 3, "d")
store.digest(path, 1, 2, 3)
store.output(path)
store.jobs.find("k")
connection.set_trace_callback(None)
walked = sum(1 for _ in store.ledger(since=900_002.0))
def peak():
    if sys.platform == "linux":  # where ru_maxrss of a child begins at that of its parent
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e3
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
say(peak())
say(walked)
for sql in asked:
    if sql.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
        say([row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + sql)])
"""


# --- forgetting -------------------------------------------------------------------------------


def traces(folder: Path) -> list[str]:
    files = (each for each in folder.rglob("*") if each.is_file())
    return [each.name for each in files if TEXT.encode() in each.read_bytes()]


def test_after_forgetting_no_file_holds_the_text(filled: Path) -> None:
    damaged = filled.with_name("state.db.damaged-1")
    damaged.write_bytes(TEXT.encode())
    with closing(Store(filled)) as store, closing(Store(filled)) as another:
        store.remember_answer("last", answer())
        another.answer("last")
        before = store.statistics()
        store.forget()
        after = store.statistics()

        assert traces(filled.parent) == []
        assert set(after.rows.values()) == {0}
        assert after.bytes < before.bytes / 3
        assert (before.remains, after.remains) == ((damaged,), ())
        assert another.answer("last") is None


def test_a_job_is_forgotten_without_a_trace_and_the_rest_stays_in_its_place(path: Path) -> None:
    dice = random.Random(5)
    with closing(Store(path)) as store:
        for number in range(300):
            # Rows of many sizes, in an order of their own: SQLite moves them from page to page.
            name = f"NAME-{number:03}-{'n' * dice.randrange(300)}"
            intend(store, key=f"{dice.random()}", name=name, source=f"/{name}")
        for number in range(150):
            store.remember_answer(str(number), answer(TEXT * 20))
        for number in range(150):
            store.remember_answer(str(number), answer("short"))
        jobs = store.jobs.all()
        before = path.stat().st_size
        store.jobs.forget([job.key for job in jobs[:150]])

        content = b"".join(file.read_bytes() for file in path.parent.iterdir() if file.is_file())
        assert [job.name for job in jobs[:150] if job.name[:8].encode() in content] == []
        assert store.jobs.all() == jobs[150:]
        assert path.stat().st_size >= before * 0.9  # the answers were not written anew


def test_one_recording_is_forgotten_with_all_that_was_made_of_it(
    path: Path, tmp_path: Path
) -> None:
    with closing(Store(path)) as store:
        store.remember_digest(tmp_path / "talk.wav", 1, 2, 3, "hash")
        store.remember_answer("whole", answer(source="hash"))
        store.remember_answer("other", answer("kept", source="another"))
        store.remember_output(tmp_path / "talk.txt", Output("hash", "o", "d"))
        intend(store, source=str(tmp_path / "talk.wav"))
        store.forget_files([tmp_path / "talk.wav"])

        assert traces(path.parent) == []
        assert store.answer("other") == answer("kept", source="another")
        assert store.output(tmp_path / "talk.txt") is None
        assert store.jobs.find("k") is None


def test_forgetting_says_so_where_another_run_still_reads(filled: Path) -> None:
    with (
        closing(Store(filled, patience=0.05)) as store,
        closing(sqlite3.connect(filled, isolation_level=None)) as reader,
    ):
        store.remember_answer("last", answer())
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM answers").fetchall()
        with pytest.raises(LockedError, match="other runs"):
            store.forget()
        reader.execute("ROLLBACK")
        store.forget()
        assert traces(filled.parent) == []
