"""One run for each result file: held by real processes, which are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from asrcli.errors import LockedError
from asrcli.state.locks import Claims, KernelLock, OutputLocks

HOLDS = """
import sys
from pathlib import Path
from asrcli.state.locks import OutputLocks
with OutputLocks(Path(sys.argv[1])).hold(Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.readline()
print("let go", flush=True)
"""
TAKES_TURNS = """
import os, sys
from pathlib import Path
from asrcli.errors import LockedError
from asrcli.state.locks import OutputLocks
locks, target = OutputLocks(Path(sys.argv[1])), Path(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
had = together = 0
while had < 40:
    try:
        with locks.hold(target):
            try:
                os.close(os.open(target, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                together += 1
            else:
                had += 1
                target.unlink()
    except LockedError:
        pass
print(together, flush=True)
"""
Child = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "asrcli" / "locks"


@pytest.fixture
def child() -> Iterator[Child]:
    """Start a Python with a program; it has said its first word when this returns."""
    started = []

    def start(program: str, *arguments: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip() in {"held", "ready"}
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_file_that_another_run_writes_is_refused_and_other_files_go_on(
    folder: Path, tmp_path: Path, child: Child
) -> None:
    child(HOLDS, folder, tmp_path / "a.txt")
    locks = OutputLocks(folder, warn=pytest.fail)

    with (
        pytest.raises(LockedError, match=r"a\.txt") as error,
        locks.hold(tmp_path / "a.txt"),
    ):
        pytest.fail("it was held twice")
    assert error.value.exit_status == 11
    with locks.hold(tmp_path / "b.txt"):
        pass


def test_a_lock_is_free_when_its_holder_ends(folder: Path, tmp_path: Path, child: Child) -> None:
    holder = child(HOLDS, folder, tmp_path / "a.txt")
    assert holder.communicate("\n")[0] == "let go\n"

    with OutputLocks(folder).hold(tmp_path / "a.txt"):
        pass


def test_a_lock_is_free_when_its_holder_is_killed(
    folder: Path, tmp_path: Path, child: Child
) -> None:
    holder = child(HOLDS, folder, tmp_path / "a.txt")
    holder.kill()
    holder.wait()

    with OutputLocks(folder, warn=pytest.fail).hold(tmp_path / "a.txt"):
        pass


def test_a_lock_is_free_after_an_error(folder: Path, tmp_path: Path) -> None:
    locks = OutputLocks(folder)
    with pytest.raises(KeyError), locks.hold(tmp_path / "a.txt"):
        raise KeyError

    with locks.hold(tmp_path / "a.txt"):
        pass


def test_a_folder_with_two_names_has_one_lock(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    locks = OutputLocks(folder)

    with locks.hold(tmp_path / "real" / "a.txt"), pytest.raises(LockedError):
        locks.hold(tmp_path / "link" / "a.txt").__enter__()


def test_processes_that_take_turns_are_never_in_it_together(
    folder: Path, tmp_path: Path, child: Child
) -> None:
    runs = [child(TAKES_TURNS, folder, tmp_path / "a.txt") for _ in range(3)]
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("\n")
        run.stdin.flush()

    assert [run.communicate()[0] for run in runs] == ["0\n"] * 3


def test_lock_files_are_gone_when_nobody_needs_them(folder: Path, tmp_path: Path) -> None:
    with OutputLocks(folder).hold(tmp_path / "a.txt"):
        assert [each.stat().st_mode & 0o777 for each in folder.iterdir()] == [0o600]

    assert list(folder.iterdir()) == []


def test_what_killed_runs_left_is_swept_after_a_day_unless_it_is_held(
    folder: Path, tmp_path: Path, child: Child
) -> None:
    folder.mkdir(parents=True)
    old, young = folder / "old.lock", folder / "young.lock"
    for file in (old, young):
        file.touch()
    child(HOLDS, folder, tmp_path / "held.txt")
    (held,) = {*folder.iterdir()} - {old, young}
    for file in (old, held):
        os.utime(file, (0, 0))

    with OutputLocks(folder).hold(tmp_path / "a.txt"):
        left = {*folder.iterdir()}

    assert old not in left
    assert {young, held} <= left


def test_a_lock_may_be_let_go_by_another_name_of_the_same_file(tmp_path: Path) -> None:
    first, second = KernelLock(tmp_path / "l"), KernelLock(tmp_path / "l")

    assert first.acquire()
    assert not second.acquire()
    assert not second.acquire(wait=0.02)
    first.release()
    assert second.acquire()
    second.release()


def test_without_locks_a_file_beside_the_result_stands_for_one_and_a_warning_says_so(
    tmp_path: Path, child: Child
) -> None:
    nowhere = tmp_path / "file"
    nowhere.touch()
    target = tmp_path / ("长" * 80 + ".txt")
    holder = child(HOLDS, nowhere / "locks", target)
    warnings: list[str] = []
    locks = OutputLocks(nowhere / "locks", warn=warnings.append)

    for _ in range(2):
        with pytest.raises(LockedError, match="another run") as error:
            locks.hold(target).__enter__()
        assert error.value.hint is not None
        assert str(tmp_path / ".asrcli-") in error.value.hint
    assert len(warnings) == 1
    assert str(nowhere / "locks") in warnings[0]

    holder.communicate("\n")
    with locks.hold(target):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_file_beside_the_result_is_taken_over_when_its_holder_was_killed(
    tmp_path: Path, child: Child
) -> None:
    nowhere = tmp_path / "file"
    nowhere.touch()
    holder = child(HOLDS, nowhere / "locks", tmp_path / "a.txt")
    holder.kill()
    holder.wait()

    with OutputLocks(nowhere / "locks").hold(tmp_path / "a.txt"):
        pass


def test_where_nothing_can_be_written_the_result_itself_has_to_say_why(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.touch()

    with OutputLocks(nowhere / "locks").hold(nowhere / "a.txt"):
        pass


# --- what is asked for ------------------------------------------------------------------------

ASKS = """
import sys
from pathlib import Path
from asrcli.state.locks import Claims
with Claims(Path(sys.argv[1])).hold("key"):
    print("held", flush=True)
    sys.stdin.readline()
print("let go", flush=True)
"""


def test_what_another_process_asks_for_is_waited_for_and_other_things_are_not(
    tmp_path: Path, child: Child
) -> None:
    database = tmp_path / "state.db"
    holder = child(ASKS, database)
    assert holder.stdin is not None
    assert holder.stdout is not None
    looks = []

    def stop() -> bool:
        looks.append(holder.poll())
        if len(looks) == 2:
            holder.stdin.write("\n")  # type: ignore[union-attr]
            holder.stdin.flush()  # type: ignore[union-attr]
        return False

    with Claims(database).hold("another key"):
        pass
    with Claims(database).hold("key", stop=stop):
        assert holder.stdout.readline() == "let go\n"
    assert len(looks) >= 2
    assert list((tmp_path / "locks").iterdir()) == []


def test_a_run_that_is_given_up_waits_for_nobody(tmp_path: Path, child: Child) -> None:
    child(ASKS, tmp_path / "state.db")
    with Claims(tmp_path / "state.db").hold("key", stop=lambda: True):
        pass


def test_what_a_killed_process_asked_for_is_free(tmp_path: Path, child: Child) -> None:
    holder = child(ASKS, tmp_path / "state.db")
    holder.kill()
    holder.wait()

    with Claims(tmp_path / "state.db").hold("key", stop=lambda: pytest.fail("it is taken")):
        pass


def test_two_threads_of_one_process_take_turns(tmp_path: Path) -> None:
    claims, inside = Claims(tmp_path / "state.db"), []

    def work() -> None:
        for _ in range(50):
            with claims.hold("key"):
                inside.append(1)
                assert len(inside) == 1
                inside.pop()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(2)]:
            done.result()


def test_where_there_are_no_locks_nobody_waits(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file", "utf-8")
    with Claims(tmp_path / "state.db").hold("key", stop=lambda: pytest.fail("it waits")):
        pass
