"""What the installed program remembers: keys that never lie, damaged databases, shards, clocks."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.altered import GENERATION, altered, begin, spoken, variants
from tests.cli.conftest import Served
from tests.cli.machine import used_memory
from tests.emulators.dashscope.app import DashScope
from tests.emulators.onemin import OneMin
from tests.emulators.troubles import Gate
from tests.program import run
from tests.recordings import recording

WELCOME = recording("welcome")
NUMBER = recording("number")
FLASH = ("-m", "qwen3-asr-flash")


def calls(qwen: Served[DashScope]) -> int:
    return len(qwen.service.requests.to(*GENERATION.split()))


# --- F04: files that change -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["grows", "shrinks", "changes"])
def test_f04_a_file_that_changes_while_it_is_sent_fails_and_no_answer_is_kept_for_it(
    qwen: Served[DashScope], welcome: Path, how: str
) -> None:
    whole = welcome.read_bytes()
    gate = Gate()
    qwen.service.failures.add(gate, route=GENERATION)
    process = begin("transcribe", *FLASH, welcome, env=qwen.env)
    assert gate.arrived.wait(30)
    welcome.write_bytes(
        {
            "grows": whole + bytes(32_000),
            "shrinks": whole[: len(whole) // 2],
            "changes": NUMBER.path.read_bytes(),
        }[how]
    )
    gate.open()
    out, err = process.communicate(timeout=60)
    welcome.write_bytes(whole)
    restored = run("transcribe", *FLASH, welcome, env=qwen.env)

    assert (process.returncode, out) == (7, "")
    assert "changed" in err
    assert restored.out == f"{WELCOME.text}\n"
    assert calls(qwen) == 2


REPLACED = """
import shutil
from asrcli.core.memory import Memory
plain = Memory.upload_key
def replaced(self, *given):
    shutil.copyfile({other!r}, {path!r})
    return plain(self, *given)
Memory.upload_key = replaced
"""


@pytest.mark.parametrize("command", ["transcribe", "upload"])
def test_f04_a_file_that_is_replaced_before_its_upload_is_not_taken_for_what_it_was(
    onemin: Served[OneMin], welcome: Path, command: str
) -> None:
    code = REPLACED.format(other=str(NUMBER.path), path=str(welcome))

    changed = run(command, welcome, env=onemin.env, command=altered(code))
    shutil.copyfile(WELCOME.path, welcome)
    ran = run("transcribe", welcome, env=onemin.env)

    assert changed.status == 7, changed.err
    assert "changed" in changed.err
    assert (ran.status, ran.out) == (0, f"{WELCOME.text}\n")


# --- C09: several at once ---------------------------------------------------------------------


def test_c09_shards_on_one_database_do_each_its_part_and_none_twice(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    made = variants(18, tmp_path / "in")
    state, out = tmp_path / "state.db", tmp_path / "out"
    command = ("transcribe", *FLASH, "--state", state, tmp_path / "in", "-o", out)

    shards = [begin(*command, "--shard", f"{n}/3", env=qwen.env) for n in (1, 2, 3)]
    ended = [(shard.communicate(timeout=60), shard.returncode) for shard in shards]
    whole = run(*command, env=qwen.env)

    assert [status for _, status in ended] == [0, 0, 0], ended
    assert whole.status == 0
    assert "18 skipped" in whole.err
    assert calls(qwen) == len(made)
    for path in made:
        assert (out / f"{path.stem}.txt").read_text("utf-8") == f"{spoken(path).text}\n"
    with closing(sqlite3.connect(state)) as database:
        assert database.execute("SELECT count(*) FROM answers").fetchone() == (18,)
        assert database.execute("SELECT DISTINCT state FROM ledger").fetchall() == [("answered",)]


def test_c09_two_processes_that_want_the_same_at_the_same_moment_ask_once(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    gate = Gate()
    qwen.service.failures.add(gate, route=GENERATION)
    command = ("transcribe", "-v", *FLASH, "--state", tmp_path / "state.db", welcome)
    first = begin(*command, env=qwen.env)
    assert gate.arrived.wait(30)
    second = begin(*command, env=qwen.env)
    assert second.stderr is not None
    while "since" not in second.stderr.readline():  # it has chosen its way, and is about to ask
        assert second.poll() is None
    gate.open()
    ended = [process.communicate(timeout=60)[0] for process in (first, second)]

    assert ended == [f"{WELCOME.text}\n"] * 2
    assert calls(qwen) == 1


def test_equal_recordings_of_one_run_are_asked_for_once(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in "abcdef":
        shutil.copyfile(WELCOME.path, tmp_path / "in" / f"{name}.wav")

    ran = run("transcribe", *FLASH, "-j", "6", tmp_path / "in", "--no-headings", env=qwen.env)

    assert (ran.status, ran.out) == (0, f"{WELCOME.text}\n" * 6), ran.err
    assert calls(qwen) == 1


# --- D: damage, clocks, size ------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["torn", "empty", "junk"])
def test_d07_a_damaged_database_is_set_aside_with_a_note_and_the_work_is_done(
    qwen: Served[DashScope], tmp_path: Path, damage: str
) -> None:
    made = variants(4, tmp_path / "in")
    state = tmp_path / "state.db"
    command = ("transcribe", *FLASH, "--state", state, tmp_path / "in", "--no-headings")
    run(*command, env=qwen.env)
    content = state.read_bytes()
    if damage == "torn":
        state.write_bytes(content[:5000])
    elif damage == "empty":
        state.write_bytes(b"")
    else:
        state.write_bytes(bytes(range(256)) * 64)

    ran = run(*command, env=qwen.env)
    before = calls(qwen)
    again = run(*command, env=qwen.env)

    text = "".join(f"{spoken(path).text}\n" for path in made)
    assert (ran.status, ran.out) == (0, text)
    assert (again.status, again.out, calls(qwen)) == (0, text, before)
    if damage != "empty":
        assert ran.err.count("was damaged; it is now") == 1
        (aside,) = tmp_path.glob("state.db.damaged-*")
        assert aside.stat().st_size > 0
    assert "damaged" not in again.err


def test_d07_a_database_of_a_later_version_is_left_alone(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state.db"
    run("transcribe", *FLASH, "--state", state, welcome, env=qwen.env)
    with closing(sqlite3.connect(state)) as database:
        database.execute("PRAGMA user_version=1000")
    content = state.read_bytes()
    before = calls(qwen)

    ran = run("transcribe", *FLASH, "--state", state, "--overwrite", welcome, env=qwen.env)

    assert ran.status == 2
    assert "later version" in ran.err
    assert "--state" in ran.err
    assert state.read_bytes() == content
    assert calls(qwen) == before


BACKWARD = """
import time
plain, plain_ns = time.time, time.time_ns
time.time = lambda: plain() - 30 * 86_400
time.time_ns = lambda: plain_ns() - 30 * 86_400 * 10**9
"""


def test_d09_a_clock_that_goes_back_changes_neither_what_is_known_nor_the_order(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    first, second = variants(2, tmp_path / "in")
    state, out = tmp_path / "state.db", tmp_path / "out"
    options = ("--state", state, "-o", f"{out}/")
    run("transcribe", *FLASH, first, *options, env=qwen.env)
    qwen.service.failures.add(Gate(limit=0.0), route=GENERATION)

    back = run(
        "transcribe", *FLASH, first, second, *options, env=qwen.env, command=altered(BACKWARD)
    )
    again = run("transcribe", *FLASH, first, second, *options, env=qwen.env)

    assert (back.status, again.status) == (0, 0), back.err
    assert "1 skipped" in back.err
    assert "2 skipped" in again.err
    assert calls(qwen) == 2
    with closing(sqlite3.connect(state)) as database:
        rows = database.execute("SELECT sent FROM ledger ORDER BY number").fetchall()
    assert rows[1] < rows[0]  # by its number it is the second all the same


ROWS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
INSERT INTO {table} ({columns}) SELECT {values} FROM n
"""


def fill(database: Path, table: str, count: int, **values: str) -> None:
    """Add rows as of many runs; each value is an SQL expression of `i`."""
    columns = ", ".join(values)
    sql = ROWS.format(count=count, table=table, columns=columns, values=", ".join(values.values()))
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(sql)
        connection.commit()


def test_d10_a_million_rows_are_no_burden(qwen: Served[DashScope], tmp_path: Path) -> None:
    made = variants(3, tmp_path / "in")
    state = tmp_path / "state.db"
    command = ("transcribe", *FLASH, "--state", state, tmp_path / "in", "-f", "jsonl")
    run(*command, env=qwen.env)
    fill(
        state, "ledger", 1_000_000, sent="i", host="'h'", provider="'qwen'", model="'m'",
        seconds="1.0", bytes="i", digest="'d'", cost="0.1", state="'answered'",
    )  # fmt: skip
    fill(
        state, "outputs", 100_000, path="CAST('/x/' || i AS BLOB)", created="i", source="'s'",
        options="'o'", digest="'d'",
    )  # fmt: skip

    status, out, err, most = used_memory(*command, env=qwen.env)

    assert status == 0, err
    assert [json.loads(line)["reused"] for line in out.splitlines()] == [True] * len(made)
    assert calls(qwen) == len(made)
    assert most < 300_000_000


def test_a_recording_that_is_named_as_the_state_is_left_alone(
    qwen: Served[DashScope], welcome: Path
) -> None:
    before = welcome.read_bytes()

    ran = run("transcribe", "-m", "qwen3-asr-flash", "--state", welcome, welcome, env=qwen.env)

    assert ran.status == 2, ran.err
    assert "no state database" in ran.err
    assert welcome.read_bytes() == before
    assert not qwen.server.connections_opened
