"""Signals: what stops a run leaves nothing half done, and the next one goes on from there."""

from __future__ import annotations

import base64
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.altered import GENERATION, altered, begin, spoken, until, variants
from tests.cli.conftest import Served
from tests.emulators.dashscope import faults
from tests.emulators.dashscope.app import DashScope
from tests.emulators.service import Received
from tests.emulators.troubles import Drop, Gate
from tests.program import COMMAND, run
from tests.recordings import concatenate, recording

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of POSIX")

WELCOME = recording("welcome").text + "\n"
FLASH = ("-m", "qwen3-asr-flash")
KILLS = int(os.environ.get("ASRCLI_TEST_KILLS", "12"))
"""How often a batch is killed; more take longer, and find more."""
HIDDEN, SHOWN = b"\x1b[?25l", b"\x1b[?25h"
"""What a terminal gets to hide its cursor, and to show it."""
SOON = 10.0
"""Seconds in which a run that was stopped has to be gone: two, on a machine with nothing to do."""


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The folder for temporary files of the program, and for nothing else."""
    path = tmp_path / "temporary"
    path.mkdir()
    return path


@pytest.fixture
def env(qwen: Served[DashScope], temporary: Path) -> dict[str, str]:
    return qwen.env | {"TMPDIR": str(temporary)}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


@pytest.fixture
def gate(qwen: Served[DashScope]) -> Iterator[Gate]:
    """Holds the first call to the service; opened at the latest when the test is over."""
    held = Gate()
    qwen.service.failures.add(held, route=GENERATION)
    yield held
    held.open()


def assert_stopped(
    process: subprocess.Popen[str],
    temporary: Path,
    out: Path,
    number: signal.Signals = signal.SIGINT,
) -> None:
    """It ends soon with its status, says so, and leaves no file behind."""
    began = time.monotonic()
    said, err = process.communicate(timeout=60)
    assert time.monotonic() - began < SOON
    assert (process.returncode, said or "") == (128 + number, ""), err
    assert "stopping" in err
    assert "Traceback" not in err
    assert list(temporary.iterdir()) == []
    assert list(out.iterdir()) == []


# --- G01: one signal, wherever it comes ---------------------------------------------------------


def test_g01_while_it_waits_for_its_input(env: dict[str, str], temporary: Path, out: Path) -> None:
    process = begin("transcribe", "-", "-o", f"{out}/", env=env, stdin=subprocess.PIPE)
    until(lambda: any(temporary.glob("asrcli-*/*")))  # it has begun to read
    process.send_signal(signal.SIGINT)

    assert_stopped(process, temporary, out)


def test_g01_while_it_uploads(
    qwen: Served[DashScope], welcome: Path, env: dict[str, str], temporary: Path, out: Path
) -> None:
    qwen.service.failures.append(Drop("stall", reading=1000))
    process = begin("transcribe", *FLASH, welcome, "-o", f"{out}/", env=env)
    until(lambda: not len(qwen.service.failures))
    process.send_signal(signal.SIGINT)

    assert_stopped(process, temporary, out)


def test_g01_while_it_waits_before_another_try(
    qwen: Served[DashScope], welcome: Path, env: dict[str, str], temporary: Path, out: Path
) -> None:
    qwen.service.failures.append(faults.rate_quota(retry_after="60"))
    process = begin("transcribe", *FLASH, welcome, "-o", f"{out}/", env=env)
    until(lambda: qwen.service.requests and qwen.service.requests[0].status == 429)
    process.send_signal(signal.SIGINT)

    assert_stopped(process, temporary, out)
    assert len(qwen.service.requests) == 1


def test_g01_while_it_polls_and_the_next_run_waits_for_the_same_job(
    qwen: Served[DashScope], welcome: Path, env: dict[str, str], temporary: Path, out: Path
) -> None:
    held = Gate()
    qwen.service.failures.add(held, route="GET /api/v1/tasks/*")
    command = ("transcribe", "-m", "qwen3-asr-flash-filetrans", welcome, "-o", f"{out}/")
    process = begin(*command, env=env)
    until(held.arrived.is_set)
    process.send_signal(signal.SIGINT)
    assert_stopped(process, temporary, out)
    held.open()

    again = run(*command, env=env)

    assert again.status == 0, again.err
    assert (out / "welcome.txt").read_text("utf-8") == WELCOME
    assert qwen.service.billed(welcome) == 1


HANGING_DECODER = """
import asrcli.media.isolated as isolated
isolated._START = '''
import json, os, sys, time
sys.path[:] = json.loads(sys.argv[1])
import asrcli.media.decoder as decoder
def decode(path, job, answers):
    os.mkdir(f"{path}.{os.getpid()}")  # it may not write files
    time.sleep(600)
decoder._decode = decode
decoder.main()
'''
"""


def test_g01_g07_while_it_decodes_and_the_decoder_ends_as_well(
    welcome: Path, env: dict[str, str], temporary: Path, out: Path
) -> None:
    process = begin(
        "transcribe", *FLASH, "--channel", "0", welcome, "-o", f"{out}/",
        env=env, command=altered(HANGING_DECODER),
    )  # fmt: skip
    until(lambda: any(welcome.parent.glob("welcome.wav.*")))
    (told,) = welcome.parent.glob("welcome.wav.*")
    process.send_signal(signal.SIGINT)

    assert_stopped(process, temporary, out)
    until(lambda: not is_running(int(told.suffix[1:])), limit=SOON)


def is_running(process: int) -> bool:
    """False also for one that has ended, and that nobody has asked about."""
    try:
        os.kill(process, 0)
        status = Path(f"/proc/{process}/stat").read_text("utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


SLOW_DISK = """
import os, time, pathlib
import asrcli.output.files as files
def sync(self, descriptor):
    pathlib.Path(os.environ["MARK"]).touch()
    time.sleep(0.3)
files.Disk.sync = sync
"""


def test_g01_while_it_writes_its_result_is_whole_or_not_there(
    qwen: Served[DashScope],
    welcome: Path,
    env: dict[str, str],
    temporary: Path,
    out: Path,
    tmp_path: Path,
) -> None:
    mark = tmp_path / "mark"
    process = begin(
        "transcribe", *FLASH, welcome, "-o", f"{out}/",
        env=env | {"MARK": str(mark)}, command=altered(SLOW_DISK),
    )  # fmt: skip
    until(mark.exists)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert [(p.name, p.read_text("utf-8")) for p in out.iterdir()] in (
        [],
        [("welcome.txt", WELCOME)],
    )
    again = run("transcribe", *FLASH, welcome, "-o", f"{out}/", env=env)
    assert again.status == 0, again.err
    assert [(p.name, p.read_text("utf-8")) for p in out.iterdir()] == [("welcome.txt", WELCOME)]
    assert qwen.service.billed(welcome) == 1
    assert list(temporary.iterdir()) == []


# --- other signals ------------------------------------------------------------------------------


def test_g02_a_second_one_ends_it_at_once(
    welcome: Path, env: dict[str, str], gate: Gate, out: Path
) -> None:
    process = begin("transcribe", *FLASH, welcome, "-o", f"{out}/", env=env)
    until(gate.arrived.is_set)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    # A shell says 130 for both.
    assert process.returncode in {130, -signal.SIGINT}
    assert list(out.iterdir()) == []


def test_g03_sigterm_ends_it_as_ctrl_c_does_but_with_143(
    welcome: Path, env: dict[str, str], gate: Gate, temporary: Path, out: Path
) -> None:
    process = begin("transcribe", *FLASH, welcome, "-o", f"{out}/", env=env)
    until(gate.arrived.is_set)
    process.send_signal(signal.SIGTERM)

    assert_stopped(process, temporary, out, signal.SIGTERM)


IN_TERMINAL = 'exec "$0" "$@" <"$TERMINAL" 2>"$TERMINAL"'
"""For a shell that leads a session: the terminal it opens is that of the session."""


def in_terminal(
    terminal: int, *arguments: str | Path, env: dict[str, str]
) -> subprocess.Popen[str]:
    """The program in a session of its own, with that terminal as its standard error."""
    return begin(
        *arguments,
        env=env | {"TERMINAL": os.ttyname(terminal), "TERM": "xterm"},
        command=["sh", "-c", IN_TERMINAL, *COMMAND],
        start_new_session=True,
    )


def test_g04_a_terminal_that_is_gone_ends_it_with_129(
    welcome: Path, env: dict[str, str], gate: Gate, temporary: Path, out: Path
) -> None:
    near, far = os.openpty()
    process = in_terminal(far, "transcribe", *FLASH, welcome, "-o", f"{out}/", env=env)
    until(gate.arrived.is_set)
    os.close(far)
    os.close(near)
    process.communicate(timeout=60)

    assert process.returncode == 129
    assert list(temporary.iterdir()) == []
    assert list(out.iterdir()) == []


def test_g04_nohup_is_respected(
    welcome: Path, env: dict[str, str], gate: Gate, temporary: Path
) -> None:
    process = begin("transcribe", *FLASH, welcome, env=env, command=["nohup", *COMMAND])
    until(gate.arrived.is_set)
    process.send_signal(signal.SIGHUP)
    gate.open()
    said, err = process.communicate(timeout=60)

    assert (process.returncode, said) == (0, WELCOME), err
    assert list(temporary.iterdir()) == []


WITH_JOBS = """
exec <"$TERMINAL" 2>"$TERMINAL"
set -m
"$0" "$@"
echo "status $?" >&2
read -r
fg >/dev/null
"""


def test_g06_it_can_be_stopped_for_a_while_and_leaves_the_terminal_as_it_was(
    welcome: Path, env: dict[str, str], gate: Gate
) -> None:
    near, far = os.openpty()
    shown = _Shown(near)
    process = begin(
        "transcribe", *FLASH, welcome,
        env=env | {"TERMINAL": os.ttyname(far), "TERM": "xterm"},
        command=["bash", "-c", WITH_JOBS, *COMMAND],
        start_new_session=True,
    )  # fmt: skip
    until(gate.arrived.is_set)
    until(lambda: HIDDEN in shown.bytes)
    os.write(near, b"\x1a")
    until(lambda: b"status " in shown.bytes)
    screen = shown.bytes.partition(b"status ")[0]
    os.write(near, b"\n")
    gate.open()
    said, _ = process.communicate(timeout=60)
    os.close(far)
    shown.thread.join(10)
    os.close(near)

    assert screen.rfind(SHOWN) > screen.rfind(HIDDEN)
    assert (process.returncode, said) == (0, WELCOME)


class _Shown:
    """Reads what a terminal is given."""

    def __init__(self, near: int) -> None:
        self.bytes = b""
        self.thread = threading.Thread(target=self._read, args=(near,), daemon=True)
        self.thread.start()

    def _read(self, near: int) -> None:
        try:
            while data := os.read(near, 4096):
                self.bytes += data
        except OSError:  # nobody has the other end any more
            pass


# --- kills and bugs -----------------------------------------------------------------------------


def test_g05_a_batch_that_is_killed_again_and_again_ends_whole_and_is_paid_for_once(
    qwen: Served[DashScope], env: dict[str, str], tmp_path: Path, out: Path
) -> None:
    dice = random.Random(int(os.environ.get("ASRCLI_TEST_SEED", "7")))
    files = variants(50, tmp_path / "in", names=("number", "welcome"))
    service = qwen.service
    lock = threading.Lock()

    def hesitating(request: Received) -> httpx.Response:
        with lock:
            pause = dice.uniform(0, 0.05)
        service.sleep(pause)
        return service.answer(request)

    service.failures.add(hesitating, route=GENERATION, times=math.inf)
    command: list[str | Path] = ["transcribe", *FLASH, "-j", "4", *files, "-o", f"{out}/"]
    exposed: dict[bytes, int] = {}
    kills = 0
    for _ in range(KILLS):
        before = len(service.requests)
        process = begin(*command, env=env)
        wanted = before + dice.randint(0, max(1, 100 // KILLS))
        while len(service.requests) < wanted and process.poll() is None:
            time.sleep(0.002)
        time.sleep(dice.uniform(0, 0.05))  # any moment will do
        process.kill()
        process.communicate()
        if process.returncode == 0:
            break
        kills += 1
        for content in {request.content for request in service.requests[before:]}:
            exposed[content] = exposed.get(content, 0) + 1
        for path in out.glob("*.txt"):
            name = path.with_suffix(".wav").name
            assert path.read_text("utf-8") == spoken(Path(name)).text + "\n"

    done = run(*command, env=env)
    idle = len(service.requests)
    again = run(*command, env=env)

    assert (done.status, again.status) == (0, 0), done.err
    assert len(service.requests) == idle
    assert sorted(path.name for path in out.iterdir()) == [f"{p.stem}.txt" for p in files]
    for path in files:
        assert (out / f"{path.stem}.txt").read_text("utf-8") == spoken(path).text + "\n"
    paid = {path: service.billed(path) for path in files}
    assert min(paid.values()) == 1
    assert sum(paid.values()) <= len(files) + 4 * kills
    contents = {request.content for request in service.requests}
    assert len(contents) == len(files)
    for path in files:
        sound = base64.b64encode(path.read_bytes())
        (content,) = [each for each in contents if sound in each]
        assert paid[path] <= 1 + exposed.get(content, 0)


KILLED_AFTER_WRITING = """
import os, signal
import asrcli.output.files as files
files.Disk.sync_folder = lambda self, folder: os.kill(os.getpid(), signal.SIGKILL)
"""


def test_g05_a_run_killed_right_after_it_wrote_a_result_knows_it_for_its_own(
    qwen: Served[DashScope], welcome: Path, env: dict[str, str], out: Path
) -> None:
    command: list[str | Path] = ["transcribe", *FLASH, "-f", "json", welcome, "-o", f"{out}/"]
    killed = run(*command, env=env, command=altered(KILLED_AFTER_WRITING))
    written = (out / "welcome.json").read_bytes()

    again = run(*command, env=env)

    assert killed.status == -signal.SIGKILL
    assert again.status == 0, again.err
    assert (out / "welcome.json").read_bytes() == written
    assert len(qwen.service.requests) == 1


def test_g05_what_a_killed_run_kept_for_itself_is_removed_by_the_next(
    qwen: Served[DashScope],
    env: dict[str, str],
    gate: Gate,
    temporary: Path,
    tmp_path: Path,
) -> None:
    clips = [recording(name).path for name in ("welcome", "planet", "report", "bridge")] * 12
    path = concatenate(clips, tmp_path / "long.wav", gap=0.5)
    process = begin("transcribe", *FLASH, path, env=env)
    until(gate.arrived.is_set)
    left = list(temporary.iterdir())
    process.kill()
    process.communicate()
    gate.open()

    ran = run("transcribe", *FLASH, path, env=env)

    assert left
    assert ran.status == 0, ran.err
    assert list(temporary.iterdir()) == []


BROKEN = """
import asrcli.core.recognize as recognize
usual = recognize.Recognizer.recognize
def broken(self, found, *rest):
    if found.name.endswith("003-letter.wav"):
        raise ZeroDivisionError("secret")
    return usual(self, found, *rest)
recognize.Recognizer.recognize = broken
"""


def test_g10_a_bug_in_one_thread_ends_the_run_with_1_and_what_is_written_is_whole(
    env: dict[str, str], tmp_path: Path, temporary: Path, out: Path
) -> None:
    files = variants(8, tmp_path / "in")

    ran = run(
        "transcribe", *FLASH, "-j", "4", *files, "-o", f"{out}/",
        env=env, command=altered(BROKEN),
    )  # fmt: skip

    assert ran.status == 1
    assert "report" in ran.err
    assert "ZeroDivisionError" in ran.err
    assert "secret" not in ran.err
    assert "Traceback" not in ran.err
    for path in out.iterdir():
        assert path.read_text("utf-8") == spoken(path).text + "\n"
    assert list(temporary.iterdir()) == []
