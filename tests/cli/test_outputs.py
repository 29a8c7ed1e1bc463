"""Outputs of the installed program: where they go, who holds them, disks and readers that fail."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jsonschema
import pytest

from asrcli.output.records import schema
from tests.cli.altered import GENERATION, altered, begin, spoken, until, variants
from tests.cli.conftest import Served
from tests.cli.machine import small_disk, without_rights
from tests.emulators.dashscope.app import DashScope
from tests.emulators.troubles import Delay, Gate
from tests.program import COMMAND, Ran, environment, run
from tests.recordings import recording

WELCOME = recording("welcome")
FLASH = ("-m", "qwen3-asr-flash")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def calls(qwen: Served[DashScope]) -> int:
    return len(qwen.service.requests.to(*GENERATION.split()))


def assert_told(ran: Ran, status: int, *said: str) -> None:
    assert ran.status == status, ran.err
    for words in said:
        assert words in ran.err
    assert "Traceback" not in ran.err
    assert "a bug" not in ran.err


# --- F12: what is there already ---------------------------------------------------------------


def test_f12_what_is_finished_is_skipped_and_what_is_not_ours_is_refused(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ("transcribe", *FLASH, welcome, "-o", out / "w.txt")
    out.mkdir()
    (out / "w.txt").write_text("mine", "utf-8")

    refused = run(*command, env=qwen.env)
    before = calls(qwen)
    replaced = run(*command, "--overwrite", env=qwen.env)
    skipped = run(*command, "-v", env=qwen.env)

    assert_told(refused, 8, "w.txt exists")
    assert before == 0
    assert (replaced.status, skipped.status) == (0, 0)
    assert "skipped" in skipped.err
    assert calls(qwen) == 1
    assert (out / "w.txt").read_text("utf-8") == f"{WELCOME.text}\n"


# --- T: readers and terminals -----------------------------------------------------------------


@linux
def test_t01_a_reader_that_leaves_ends_it_quietly_and_what_was_paid_for_is_kept(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    made = variants(8, tmp_path / "in")
    script = 'shopt -s lastpipe; "$@" | { head -n 1 >/dev/null; exec <&-; }; exit ${PIPESTATUS[0]}'
    command = [*COMMAND, "transcribe", *FLASH, "-j", "1", "-f", "jsonl", *map(str, made)]
    done = subprocess.run(
        ["bash", "-c", script, "bash", *command],
        env=environment(**qwen.env), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    before = calls(qwen)
    again = run("transcribe", *FLASH, "-f", "jsonl", *made, env=qwen.env)

    assert (done.returncode, done.stderr) == (141, "")
    reused = [json.loads(line).get("reused", False) for line in again.out.splitlines()]
    kept = sum(reused)
    assert again.status == 0
    assert reused == [True] * kept + [False] * (len(made) - kept)
    assert kept >= before - 1 >= 0  # the one call that was under way may be made again
    assert calls(qwen) == before + len(made) - kept


def _is_longer(shown: bytearray, before: int) -> bool:
    return len(shown) > before


def sized(leader: int, columns: int) -> None:
    import struct
    import termios

    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 20, columns, 0, 0))


@linux
def test_t08_a_narrow_terminal_or_one_that_changes_neither_breaks_it_nor_wraps_data(
    qwen: Served[DashScope], welcome: Path
) -> None:
    import pty
    import threading

    gate = Gate()
    qwen.service.failures.add(gate, route=GENERATION)
    leader, follower = pty.openpty()
    sized(leader, 0)
    shown = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(leader, 4096):
                shown.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    process = begin(
        "transcribe", *FLASH, welcome, env=qwen.env | {"TERM": "xterm"}, stderr=follower
    )
    os.close(follower)
    assert gate.arrived.wait(30)
    for width in (20, 7, 300, 0, 20):
        sized(leader, width)
        process.send_signal(signal.SIGWINCH)
        until(partial(_is_longer, shown, len(shown)))  # it has been painted anew
    gate.open()
    out, _ = process.communicate(timeout=60)
    reader.join()
    os.close(leader)

    assert (process.returncode, out) == (0, f"{WELCOME.text}\n")
    assert b"Traceback" not in shown


NOISY = """
import logging, warnings
import asrcli.media.probe as probe
logging.basicConfig(level=logging.DEBUG)
warnings.simplefilter("always")
plain = probe.probe
def noisy(*given, **named):
    warnings.warn("a library is old", DeprecationWarning)
    logging.getLogger("library").error("a library speaks")
    return plain(*given, **named)
probe.probe = noisy
"""


def test_t11_every_line_of_stdout_is_a_record_whatever_libraries_say(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    variants(3, tmp_path / "in")
    (tmp_path / "in" / "bad.wav").write_bytes(b"RIFF")

    ran = run(
        "transcribe", *FLASH, "-v", "-f", "jsonl", tmp_path / "in",
        env=qwen.env | {"PYTHONWARNINGS": "always"}, command=altered(NOISY),
    )  # fmt: skip

    records = [json.loads(line) for line in ran.out.splitlines()]
    assert sorted(record["status"] for record in records) == ["failed", "ok", "ok", "ok"]
    for record in records:
        jsonschema.validate(record, schema())
    assert "a library speaks" in ran.err


# --- C: several at once -----------------------------------------------------------------------


def test_c01_one_run_writes_a_file_and_another_says_so_and_does_the_rest(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    first, second = variants(2, tmp_path / "in")
    out = tmp_path / "out"
    out.mkdir()
    gate = Gate()
    qwen.service.failures.add(gate, route=GENERATION)
    holder = begin("transcribe", *FLASH, first, "-o", f"{out}/", env=qwen.env)
    assert gate.arrived.wait(30)

    alone = run("transcribe", *FLASH, first, "-o", out, env=qwen.env)
    batch = run("transcribe", *FLASH, first, second, "-o", out, env=qwen.env)
    gate.open()
    _, err = holder.communicate(timeout=60)

    assert_told(alone, 11, f"{first.stem}.txt")
    assert_told(batch, 11, f"{first.stem}.txt")
    assert (holder.returncode, err) == (0, "")
    for path in (first, second):
        assert (out / f"{path.stem}.txt").read_text("utf-8") == f"{spoken(path).text}\n"
    assert calls(qwen) == 2


@linux
def test_c02_the_lock_of_a_run_that_was_killed_is_free(
    qwen: Served[DashScope], welcome: Path
) -> None:
    gate = Gate()
    qwen.service.failures.add(gate, route=GENERATION)
    command = ("transcribe", *FLASH, welcome, "-o", welcome.parent / "w.txt")
    holder = begin(*command, env=qwen.env)
    assert gate.arrived.wait(30)
    holder.kill()
    holder.communicate()
    gate.open()

    ran = run(*command, env=qwen.env)

    assert (ran.status, ran.err) == (0, "")
    assert (welcome.parent / "w.txt").read_text("utf-8") == f"{WELCOME.text}\n"


WITHOUT_LOCKS = """
import errno, fcntl
def flock(descriptor, operation):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""


@linux
def test_c03_without_locks_a_file_beside_the_result_stands_for_it_with_a_warning(
    qwen: Served[DashScope], welcome: Path
) -> None:
    out = welcome.parent / "out"
    out.mkdir()
    gate = Gate()
    qwen.service.failures.add(gate, route=GENERATION)
    command = ("transcribe", *FLASH, welcome, "-o", out / "w.txt")
    holder = begin(*command, env=qwen.env, command=altered(WITHOUT_LOCKS))
    assert gate.arrived.wait(30)
    other = run(*command, env=qwen.env, command=altered(WITHOUT_LOCKS))
    gate.open()
    _, err = holder.communicate(timeout=60)

    assert_told(other, 11, "w.txt")
    assert holder.returncode == 0
    assert err.count("no locks") == 1
    assert [path.name for path in out.iterdir()] == ["w.txt"]


def test_c05_jobs_of_one_work_more_than_64_are_clamped_and_nonsense_is_refused(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    made = variants(3, tmp_path / "in")

    one = run("transcribe", *FLASH, "-j", "1", *made[:2], env=qwen.env)
    many = run("transcribe", *FLASH, "-j", "10000", made[2], env=qwen.env)
    nonsense = [run("transcribe", "-j", text, *made, env=qwen.env) for text in ("0", "nan")]

    assert (one.status, many.status) == (0, 0)
    assert "64" in many.err
    assert [ran.status for ran in nonsense] == [2, 2]
    assert calls(qwen) == 3


@linux
def test_c06_few_open_files_lower_it_or_are_refused_and_leave_no_half_state(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    made = variants(80, tmp_path / "in")
    command = ("transcribe", *FLASH, "-j", "64", tmp_path / "in", "-o", tmp_path / "out")

    limited = run(*command, env=qwen.env, command=["prlimit", "--nofile=64", *COMMAND])
    before = calls(qwen)
    again = run(*command, env=qwen.env)

    assert limited.status in {0, 2}, limited.err
    assert "Traceback" not in limited.err
    if limited.status == 2:
        assert before == 0
    assert again.status == 0, again.err
    assert calls(qwen) == len(made)
    for path in made:
        text = (tmp_path / "out" / f"{path.stem}.txt").read_text("utf-8")
        assert text == f"{spoken(path).text}\n"


@linux
def test_c07_a_reader_that_is_slow_slows_the_work(qwen: Served[DashScope], tmp_path: Path) -> None:
    made = variants(60, tmp_path / "in")
    read, write = os.pipe()
    size = fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    command: list[str | Path] = ["transcribe", *FLASH, "-j", "2", "-f", "jsonl", *made]
    process = begin(*command, env=qwen.env, stdout=write)
    os.close(write)

    def waits_for_the_reader() -> bool:
        call = Path(f"/proc/{process.pid}/syscall").read_text("utf-8").split()
        return call[:2] == ["1", "0x1"]  # write, to standard output

    until(waits_for_the_reader)
    shortest, lines, ahead = 300, 0, 2 * 2 + 1
    with os.fdopen(read, encoding="utf-8") as stream:
        for line in stream:
            assert len(line) > shortest
            lines += 1
            # What the reader's buffer and the pipe hold, and what waits for its turn.
            assert calls(qwen) <= lines + (8192 + size) // shortest + ahead
    _, err = process.communicate(timeout=60)

    assert (process.returncode, lines, err.count("60 ok")) == (0, 60, 1)


def test_c08_results_come_in_the_order_of_the_inputs_whatever_takes_longer(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    made = variants(12, tmp_path / "in")
    dice = random.Random(8)
    delays = [Delay(dice.random() / 5) for _ in made]
    qwen.service.failures.add(*delays, route=GENERATION)

    ran = run("transcribe", *FLASH, "-j", "6", "-f", "jsonl", *made, env=qwen.env)

    records = [json.loads(line) for line in ran.out.splitlines()]
    assert [(r["name"], r["text"]) for r in records] == [(str(p), spoken(p).text) for p in made]


def test_c08_unordered_results_come_as_they_finish_and_all_of_them(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    made = variants(4, tmp_path / "in")
    gate = Gate()
    qwen.service.failures.add(gate, route=GENERATION)
    command: list[str | Path] = [
        "transcribe",
        *FLASH,
        "--unordered",
        "-j",
        "2",
        "-f",
        "jsonl",
        *made,
    ]
    process = begin(*command, env=qwen.env)
    assert process.stdout is not None
    early = [json.loads(process.stdout.readline())["name"] for _ in range(3)]
    gate.open()
    rest, _ = process.communicate(timeout=60)
    late = [json.loads(line)["name"] for line in rest.splitlines()]

    assert process.returncode == 0
    assert len(late) == 1
    assert sorted(early + late) == sorted(map(str, made))


# --- D: disks ---------------------------------------------------------------------------------


def filled(folder: Path, *, spare: int = 0) -> Path:
    """A file that takes the room that is left on a disk, but for some bytes."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        size = 65_536
        while size:
            try:
                file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2
        file.truncate(file.tell() - spare)
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", size=4_000_000) as folder:
        yield folder


@linux
@pytest.mark.parametrize("what", ["outputs", "state", "temporary files"])
def test_d01_a_full_disk_stops_the_run_with_8_and_once_there_is_room_it_goes_on(
    qwen: Served[DashScope], tmp_path: Path, disk: Path, what: str
) -> None:
    made = variants(6, tmp_path / "in")
    out, state, temporary = tmp_path / "out", tmp_path / "state.db", tmp_path / "temporary"
    if what == "outputs":
        out = disk / "out"
    elif what == "state":
        state = disk / "state.db"
    else:
        temporary = disk
    temporary.mkdir(exist_ok=True)
    out.mkdir()
    env = qwen.env | {"TMPDIR": str(temporary)}
    options = ("-j", "1", "--state", state, "-o", f"{out}/")
    warm = variants(1, tmp_path / "warm", ["letter"])
    assert run("transcribe", *FLASH, *warm, *options, env=env).status == 0
    inputs = [*made, "-"] if what == "temporary files" else made
    stdin = WELCOME.path.read_bytes() * (4 if what == "temporary files" else 1)
    # Python looks for another folder if it cannot write a word into the one for temporary files.
    filler = filled(disk, spare=32_768 if what == "temporary files" else 0)

    failed = run("transcribe", *FLASH, *inputs, *options, env=env, stdin=stdin)
    between = calls(qwen)
    filler.unlink()
    mended = run("transcribe", *FLASH, *inputs, *options, env=env, stdin=stdin)

    assert_told(failed, 8, "state database" if what == "state" else "o space left")
    assert mended.status == 0, mended.err
    assert "damaged" not in mended.err
    if what != "temporary files":
        assert between - 1 <= 1  # the first failure stops the run
    for path in made:
        assert (out / f"{path.stem}.txt").read_text("utf-8") == f"{spoken(path).text}\n"
    assert calls(qwen) == 1 + len(inputs)


FAILING = """
import errno, os
from asrcli.output.files import Disk
def fail(self, *given):
    raise OSError({number}, os.strerror({number}))
Disk.{call} = fail
"""


@pytest.mark.parametrize(
    ("number", "call", "said"),
    [
        (errno.EDQUOT, "write", "quota"),
        (errno.EIO, "sync", "input/output error"),
        (errno.EROFS, "open", "read-only"),
    ],
)
def test_d02_a_disk_that_fails_ends_it_with_8_the_path_and_the_reason_and_costs_once(
    qwen: Served[DashScope], tmp_path: Path, number: int, call: str, said: str
) -> None:
    made = variants(3, tmp_path / "in")
    out = tmp_path / "out"
    command: list[str | Path] = ["transcribe", *FLASH, "-j", "1", *made, "-o", out]

    failed = run(*command, env=qwen.env, command=altered(FAILING.format(number=number, call=call)))
    left = list(out.iterdir())
    before = calls(qwen)
    mended = run(*command, env=qwen.env)

    assert_told(failed, 8, f"{made[0].stem}.txt", said)
    assert left == []
    assert before == 1
    assert mended.status == 0, mended.err
    assert calls(qwen) == len(made)


def test_d03_an_output_folder_is_made_or_refused_before_anything_is_sent(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    deep = tmp_path / "a" / "b" / "welcome.txt"
    made = run("transcribe", *FLASH, welcome, "-o", deep, env=qwen.env)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    before = calls(qwen)
    command = without_rights()

    for target in (closed / "x.txt", closed / "new" / "x.txt", deep / "x.txt"):
        ran = run("transcribe", *FLASH, welcome, "-o", target, env=qwen.env, command=command)
        assert_told(ran, 8, str(target.parent.name))

    assert (made.status, deep.read_text("utf-8")) == (0, f"{WELCOME.text}\n")
    assert calls(qwen) == before == 1


@linux
def test_d04_temporary_files_on_another_disk_are_no_matter(
    qwen: Served[DashScope], welcome: Path, disk: Path
) -> None:
    env = qwen.env | {"TMPDIR": str(disk)}
    inputs: list[str | Path] = [welcome, "-"]

    ran = run(
        "transcribe", *FLASH, *inputs, "-o", welcome.parent / "out", env=env,
        stdin=recording("number").path.read_bytes(),
    )  # fmt: skip

    assert ran.status == 0, ran.err
    out = welcome.parent / "out"
    assert sorted(path.name for path in out.iterdir()) == ["stdin.txt", "welcome.txt"]
    assert list(disk.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="needs names of 255 bytes")
def test_d05_a_name_of_254_bytes_is_written(qwen: Served[DashScope], welcome: Path) -> None:
    target = welcome.parent / f"{'𝄞' * 62}xx.txt"

    ran = run("transcribe", *FLASH, welcome, "-o", target, env=qwen.env)
    again = run("transcribe", *FLASH, welcome, "-o", target, env=qwen.env)

    assert (ran.status, again.status) == (0, 0), ran.err
    assert target.read_text("utf-8") == f"{WELCOME.text}\n"
    assert {p.name for p in welcome.parent.iterdir()} == {"welcome.wav", target.name}
    assert calls(qwen) == 1


@linux
def test_d06_a_link_is_not_written_through_and_a_folder_takes_the_file(
    qwen: Served[DashScope], welcome: Path
) -> None:
    folder = welcome.parent / "out.txt"
    folder.mkdir()
    (folder / "welcome.txt").symlink_to(welcome.parent / "elsewhere")

    linked = run("transcribe", *FLASH, welcome, "-o", folder, env=qwen.env)
    before = calls(qwen)
    (folder / "welcome.txt").unlink()
    inside = run("transcribe", *FLASH, welcome, "-o", folder, env=qwen.env)
    printed = run("transcribe", *FLASH, welcome, "-o", "/dev/stdout", env=qwen.env)

    assert_told(linked, 8, "symbolic link")
    assert not (welcome.parent / "elsewhere").exists()
    assert before == 0
    assert (inside.status, printed.status) == (0, 0)
    assert (folder / "welcome.txt").read_text("utf-8") == printed.out == f"{WELCOME.text}\n"


# --- the same again ---------------------------------------------------------------------------


def test_d08_an_edited_output_is_kept_and_told_and_a_deleted_one_is_written_without_a_call(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    edited, deleted = variants(2, tmp_path / "in")
    out = tmp_path / "out"
    command = ("transcribe", *FLASH, edited.parent, "-o", out)
    run(*command, env=qwen.env)
    (out / f"{edited.stem}.txt").write_text("my own words\n", "utf-8")
    (out / f"{deleted.stem}.txt").unlink()

    ran = run(*command, env=qwen.env)
    replaced = run(*command, "--overwrite", env=qwen.env)

    assert ran.status == 0
    assert "was changed" in ran.err
    assert (out / f"{deleted.stem}.txt").read_text("utf-8") == f"{spoken(deleted).text}\n"
    assert replaced.status == 0
    assert (out / f"{edited.stem}.txt").read_text("utf-8") == f"{spoken(edited).text}\n"
    assert calls(qwen) == 2


def test_d08_an_edited_output_is_kept_also_where_another_one_is_missing(
    qwen: Served[DashScope], welcome: Path
) -> None:
    out = welcome.parent / "out"
    command = ("transcribe", *FLASH, welcome, "-o", out, "-f", "text", "-f", "srt")
    run(*command, env=qwen.env)
    (out / "welcome.txt").write_text("my own words\n", "utf-8")
    (out / "welcome.srt").unlink()

    ran = run(*command, env=qwen.env)

    assert (out / "welcome.txt").read_text("utf-8") == "my own words\n"
    assert "was changed" in ran.err
    assert ran.status in {0, 8}


def test_overwriting_and_another_format_are_made_from_what_was_answered(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    made = variants(3, tmp_path / "in")
    out = tmp_path / "out"
    command = ("transcribe", *FLASH, tmp_path / "in", "-o", out)
    run(*command, env=qwen.env)
    for path in made:
        (out / f"{path.stem}.txt").write_text("x", "utf-8")

    over = run(*command, "--overwrite", env=qwen.env)
    other = run(*command, "-f", "json", env=qwen.env)
    before = calls(qwen)
    fresh = run(*command, "--overwrite", "--no-cache", env=qwen.env)

    assert (over.status, other.status, fresh.status) == (0, 0, 0), other.err
    assert (before, calls(qwen)) == (3, 6)
    for path in made:
        assert (out / f"{path.stem}.txt").read_text("utf-8") == f"{spoken(path).text}\n"
        assert json.loads((out / f"{path.stem}.json").read_text("utf-8"))["reused"] is True


def test_more_than_the_most_cost_of_all_inputs_together_is_refused(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    variants(3, tmp_path / "in")
    rows = run("transcribe", *FLASH, "-n", "-f", "jsonl", tmp_path / "in", env=qwen.env).out
    each = [r["cost"] for r in map(json.loads, rows.splitlines()) if r["type"] == "plan"]
    command = ("transcribe", *FLASH, tmp_path / "in", "-o", tmp_path / "out", "--max-cost")

    refused = run(*command, f"{max(each) * 1.5:.9f}", env=qwen.env)
    before = calls(qwen)
    taken = run(*command, f"{sum(each) * 1.01:.9f}", env=qwen.env)
    free = run(*command, "0.000000001", "--overwrite", env=qwen.env)

    assert_told(refused, 2, "cost")
    assert before == 0
    assert (taken.status, free.status) == (0, 0), free.err
    assert calls(qwen) == 3


# --- results that are rewritten, and plans that cost too much ---------------------------------

KILLED = """
import os, signal
from asrcli.core.memory import Memory
Memory.wrote = lambda self, path: os.kill(os.getpid(), signal.SIGKILL)
"""


def test_d08_a_result_that_a_killed_run_had_just_rewritten_is_known_as_ours(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    result = tmp_path / "welcome.json"
    command: list[str | Path] = ["transcribe", *FLASH, welcome, "-o", result]
    first = run(*command, env=qwen.env)
    old = result.read_bytes()
    killed = run(*command, "--overwrite", env=qwen.env, command=altered(KILLED))
    new = result.read_bytes()

    again = run(*command, env=qwen.env)
    changed = run(*command, "--track", "0", "--normalize", env=qwen.env)
    result.write_bytes(old)
    edited = run(*command, "--overwrite", "--no-cache", env=qwen.env)

    assert (first.status, killed.status) == (0, -signal.SIGKILL)
    assert old != new
    assert again.status == 0, again.err
    assert "its results are there" in again.err
    assert changed.status == 0, changed.err  # other options: it is rewritten without a question
    assert edited.status == 0, edited.err


def test_what_lacks_pieces_is_ours_and_is_completed_by_the_same_command(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    result = tmp_path / "welcome.txt"
    command: list[str | Path] = ["transcribe", *FLASH, welcome, "-o", result]
    code = (
        "from dataclasses import replace\n"
        "from asrcli.core.recognize import Recognizer\n"
        "from asrcli.errors import ServiceError\n"
        "whole = Recognizer.recognize\n"
        "def partly(self, *given):\n"
        "    return replace(whole(self, *given), error=ServiceError('qwen', 'a piece failed'))\n"
        "Recognizer.recognize = partly\n"
    )
    partly = run(*command, env=qwen.env, command=altered(code))
    whole = run(*command, env=qwen.env)
    again = run(*command, env=qwen.env)

    assert partly.status == 3, partly.err
    assert whole.status == 0, whole.err
    assert "its results are there" not in whole.err
    assert "its results are there" in again.err


@linux
def test_d01_an_answer_that_comes_while_the_disk_of_the_state_is_full_is_used(
    qwen: Served[DashScope], welcome: Path, disk: Path
) -> None:
    gate = Gate()
    qwen.service.failures.add(gate, route=GENERATION)
    command = ("transcribe", *FLASH, "--state", disk / "state.db", welcome)
    process = begin(*command, env=qwen.env)
    assert gate.arrived.wait(30)
    filler = filled(disk)
    gate.open()
    out, err = process.communicate(timeout=60)
    filler.unlink()
    mended = run(*command, env=qwen.env)

    assert (process.returncode, out) == (0, f"{WELCOME.text}\n"), err
    said = f"no space left on the disk that holds the state database {disk / 'state.db'}"
    assert err.count(said) == 1
    assert "not remembered" in err
    assert (mended.status, mended.out) == (0, f"{WELCOME.text}\n"), mended.err
    assert calls(qwen) == 2


def test_a_plan_that_costs_too_much_is_shown_and_ends_as_the_run_would(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    variants(3, tmp_path / "in")
    command = ("transcribe", *FLASH, tmp_path / "in", "-n", "--max-cost")

    refused = run(*command, "0.0000001", env=qwen.env)
    taken = run(*command, "100", env=qwen.env)

    assert refused.out == taken.out
    assert refused.out.count(".wav") == 3
    assert (refused.status, taken.status) == (2, 0)
    (line,) = [line for line in refused.err.splitlines() if "refused" in line]
    assert "cost" in line
    assert "refused" not in taken.err
    assert calls(qwen) == 0


@pytest.mark.parametrize("formats", [("-f", "srt,vtt"), ("-f", "srt", "-f", "vtt")])
def test_several_formats_go_to_a_folder_and_elsewhere_the_way_out_is_named(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path, formats: tuple[str, ...]
) -> None:
    written = run("transcribe", *formats, welcome, "-o", tmp_path / "out", env=qwen.env)
    refused = run("transcribe", *formats, welcome, env=qwen.env)

    assert written.status == 0, written.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"welcome.srt", "welcome.vtt"}
    assert_told(refused, 2, "srt, vtt", "Add -o DIR")


@pytest.mark.parametrize("named", ["x.json", "x.json/", "x"])
def test_an_output_named_like_a_file_that_becomes_a_folder_is_told(
    qwen: Served[DashScope], welcome: Path, number: Path, tmp_path: Path, named: str
) -> None:
    out = f"{tmp_path}/{named}"
    ran = run("transcribe", *FLASH, welcome, number, "-o", out, env=qwen.env)
    again = run("transcribe", *FLASH, welcome, number, "-o", out, env=qwen.env)

    assert ran.status == 0, ran.err
    assert Path(out, "welcome.txt").read_text("utf-8") == f"{WELCOME.text}\n"
    assert ran.err.count("will be a folder") == (1 if named == "x.json" else 0)
    assert "folder" not in again.err
