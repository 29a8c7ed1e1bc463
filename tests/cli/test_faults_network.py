"""A network that fails, and answers that break the rules of HTTP, seen by who runs the program."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.altered import GENERATION, altered, begin, spoken, until, variants
from tests.cli.conftest import Served
from tests.emulators.dashscope.app import DashScope
from tests.emulators.troubles import After, Delay, Drip, Drop, Failure, Raw
from tests.program import Ran, run
from tests.recordings import recording

WELCOME = recording("welcome").text + "\n"


def impatient(seconds: float, *, speed: float = 100.0) -> list[str]:
    """The program with a shorter idle limit, and another least speed in bytes a second."""
    return altered(
        "import functools, asrcli.transport.connection as c\n"
        f"c.Connection = functools.partial(c.Connection, idle_timeout={seconds}, min_speed={speed})"
    )


def assert_failed(ran: Ran, status: int, *said: str) -> None:
    """Nothing came out, one line says why, and no line is empty or a traceback."""
    assert (ran.status, ran.out) == (status, ""), ran.err
    for words in said:
        assert words in ran.err
    assert 1 <= len(ran.err.splitlines()) <= 3
    assert "Traceback" not in ran.err
    assert not any(line.rstrip().endswith(":") for line in ran.err.splitlines())


# --- N: the network -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [Drop("reset"), Drop("close"), Drop("reset", writing=40)], ids=["n04", "n05", "n06"]
)
def test_n04_n05_n06_a_connection_lost_once_is_got_over_by_one_more_call(
    qwen: Served[DashScope], welcome: Path, fault: Failure
) -> None:
    qwen.service.failures.add(fault, route=GENERATION)

    ran = run("transcribe", welcome, env=qwen.env)

    assert (ran.status, ran.out) == (0, WELCOME), ran.err
    assert len(qwen.service.requests) == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (After(Drop("reset")), "reset"),
        (After(Drop("close")), "closed"),
        (Drop("reset", writing=40), "reset"),
    ],
    ids=["n04", "n05", "n06"],
)
def test_n04_n05_n06_a_connection_lost_again_ends_it_with_6_and_is_paid_twice_at_most(
    qwen: Served[DashScope], welcome: Path, fault: Failure, said: str
) -> None:
    qwen.service.failures.add(fault, route=GENERATION, times=9)

    ran = run("transcribe", welcome, env=qwen.env)

    assert_failed(ran, 6, said)
    assert qwen.service.billed(welcome) == 2


def test_n07_an_answer_that_stalls_is_asked_for_once_more_and_then_ends_with_6(
    qwen: Served[DashScope], welcome: Path
) -> None:
    qwen.service.failures.add(Drop("stall", writing=0), route=GENERATION, times=9)

    ran = run("transcribe", welcome, env=qwen.env, command=impatient(0.5))

    assert_failed(ran, 6)
    assert len(qwen.service.requests) == 2


def test_n07_an_answer_that_stalls_for_longer_than_the_timeout_ends_with_10(
    qwen: Served[DashScope], welcome: Path
) -> None:
    qwen.service.failures.add(Drop("stall", writing=0), route=GENERATION)

    ran = run("transcribe", "--timeout", "0.5", welcome, env=qwen.env)

    assert_failed(ran, 10, "--timeout")
    assert len(qwen.service.requests) == 1


def test_n08_an_answer_that_drips_is_too_slow(qwen: Served[DashScope], welcome: Path) -> None:
    qwen.service.failures.add(Drip(0.1), route=GENERATION, times=9)

    ran = run("transcribe", welcome, env=qwen.env, command=impatient(0.5))

    assert_failed(ran, 6, "slow")
    assert len(qwen.service.requests) == 2


def sparse_wav(path: Path, *, size: int) -> Path:
    """A WAV of silence that takes no room on the disk."""
    head = (
        b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
        + (1).to_bytes(2, "little") + (1).to_bytes(2, "little") + (16_000).to_bytes(4, "little")
        + (32_000).to_bytes(4, "little") + (2).to_bytes(2, "little") + (16).to_bytes(2, "little")
        + b"data" + size.to_bytes(4, "little")
    )  # fmt: skip
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
    return path


def test_n09_an_upload_that_nobody_takes_is_begun_anew_from_the_start_of_the_file(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    path = sparse_wav(tmp_path / "large.wav", size=40_000_000)
    qwen.service.failures.add(Drop("stall", reading=100_000), route="POST /oss-file")

    ran = run(
        "upload", "-m", "qwen3-asr-flash-filetrans", path, env=qwen.env, command=impatient(0.5)
    )

    assert ran.status == 0, ran.err
    assert ran.out.startswith("oss://")
    (stored,) = [r for r in qwen.service.requests if r.method == "POST"]
    assert stored.form[-1].size == path.stat().st_size


class Gateway:
    """A way to a server on loopback that can be slow, and be shut and opened again."""

    def __init__(self, upstream: int, *, speed: float = 0.0) -> None:
        """`speed` in bytes a second on the way up; 0 is as fast as it goes."""
        self._upstream = upstream
        self._speed = speed
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.port = 0
        self.open()

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        if self._speed:  # what the system holds for us would count as sent
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept, self._listener)

    def shut(self) -> None:
        """Refuse connections, and cut those that are there."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._sockets:
                _end(each)

    def close(self) -> None:
        self.shut()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._start(self._serve, listener.accept()[0])

    def _serve(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._upstream)) as far:
            with self._lock:
                self._sockets |= {near, far}
            back = threading.Thread(target=self._carry, args=(far, near, 0.0), daemon=True)
            back.start()
            self._carry(near, far, self._speed)
            back.join(10)
            with self._lock:
                self._sockets -= {near, far}

    def _carry(self, source: socket.socket, target: socket.socket, speed: float) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(8192):
                target.sendall(data)
                if speed:
                    time.sleep(len(data) / speed)
        _end(source)
        _end(target)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def gateway(
    qwen: Served[DashScope], *, speed: float = 0.0
) -> Iterator[tuple[Gateway, dict[str, str]]]:
    made = Gateway(qwen.server.port, speed=speed)
    url = f"http://127.0.0.1:{made.port}/api/v1"
    try:
        yield made, qwen.env | {"DASHSCOPE_HTTP_BASE_URL": url}
    finally:
        made.close()


def test_n10_a_slow_line_is_no_reason_to_give_up(qwen: Served[DashScope], welcome: Path) -> None:
    size = welcome.stat().st_size * 4 // 3
    with gateway(qwen, speed=size / 1.5) as (_, env):
        ran = run("transcribe", "--timeout", "0", welcome, env=env, command=impatient(0.6))

    assert (ran.status, ran.out) == (0, WELCOME), ran.err
    assert len(qwen.service.requests) == 1


def test_n11_calls_that_take_their_time_are_made_at_once(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    dice = random.Random(5)
    files = variants(48, tmp_path / "in")
    answered = qwen.service.answer
    qwen.service.failures.add(
        *[Delay(0.3 + dice.uniform(-0.1, 0.1), answered) for _ in files],
        route=GENERATION,
    )

    ran = run("transcribe", "-j", "8", "--no-headings", *files, env=qwen.env)

    assert ran.status == 0, ran.err
    assert ran.out == "".join(f"{spoken(path).text}\n" for path in files)
    assert qwen.service.most_at_once == 8


def test_n12_a_network_that_goes_and_comes_back_is_waited_for_and_told_once(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    files = variants(16, tmp_path / "in")
    with gateway(qwen) as (way, env):
        process = begin("transcribe", "--no-headings", "-j", "4", *files, env=env)
        until(lambda: len(qwen.service.requests) >= 3)
        way.shut()
        assert process.stderr is not None
        lines: list[str] = []
        while not lines or "network" not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], "it ended"
        way.open()
        out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert out == "".join(f"{spoken(path).text}\n" for path in files)
    assert ("".join(lines) + err).count("waiting for the network") == 1


# --- P: the protocol ----------------------------------------------------------------------------

BODY = json.dumps({"output": {"choices": [{"message": {"content": [{"text": "wrong"}]}}]}}).encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CUT = {
    "p07": OK + b"Content-Length: 9999\r\n\r\n" + BODY,
    "p08": OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(BODY), BODY),
}
PACKED = gzip.compress(BODY)
DAMAGED = PACKED[:20] + bytes([PACKED[20] ^ 0xFF]) + PACKED[21:]


@pytest.mark.parametrize("kind", CUT)
def test_p07_p08_an_answer_that_is_cut_is_asked_for_once_more_and_never_believed(
    qwen: Served[DashScope], welcome: Path, kind: str
) -> None:
    qwen.service.failures.add(Raw(CUT[kind]), route=GENERATION, times=3)

    failed = run("transcribe", welcome, env=qwen.env)
    mended = run("transcribe", welcome, env=qwen.env)

    assert_failed(failed, 6)
    assert (mended.status, mended.out) == (0, WELCOME), mended.err
    assert len(qwen.service.requests) == 4


@pytest.mark.parametrize(
    "head",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"Content-Length: 4\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
        b"Content-Length: -5\r\n\r\n" + BODY,
    ],
    ids=["chunk size", "two lengths", "negative length"],
)
def test_p09_an_answer_against_the_rules_ends_with_9(
    qwen: Served[DashScope], welcome: Path, head: bytes
) -> None:
    qwen.service.failures.add(Raw(OK + head), route=GENERATION, times=9)

    assert_failed(run("transcribe", welcome, env=qwen.env), 9)


def test_p12_damaged_gzip_ends_with_9_after_one_more_call(
    qwen: Served[DashScope], welcome: Path
) -> None:
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(DAMAGED)
    qwen.service.failures.add(Raw(OK + head + DAMAGED), route=GENERATION, times=9)

    assert_failed(run("transcribe", welcome, env=qwen.env), 9)
    assert len(qwen.service.requests) == 2


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Half a megabyte that would be 512 when unpacked."""
    import zlib

    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(1 << 20)
    head = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + 511 * again


TELL_PEAK = """
import atexit, os
def tell():
    with open("/proc/self/status") as status, open(os.environ["PEAK"], "w") as peak:
        peak.write(next(line for line in status if line.startswith("VmHWM")).split()[1])
leave = os._exit
os._exit = lambda status: (tell(), leave(status))
atexit.register(tell)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux tells it")
def test_p13_a_bomb_is_an_answer_too_large_and_takes_no_memory(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path, bomb: bytes
) -> None:
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    qwen.service.failures.add(Raw(OK + head + bomb), route=GENERATION, times=9)
    peak = tmp_path / "peak"

    ran = run("transcribe", welcome, env=qwen.env | {"PEAK": str(peak)}, command=altered(TELL_PEAK))

    assert_failed(ran, 9, "large")
    assert int(peak.read_text()) < 150_000


def test_p14_brackets_without_end_are_an_unreadable_answer(
    qwen: Served[DashScope], welcome: Path
) -> None:
    deep = httpx.Response(200, headers={"content-type": "application/json"}, content=b"[" * 100_000)
    qwen.service.failures.add(deep, route=GENERATION, times=9)

    assert_failed(run("transcribe", welcome, env=qwen.env), 9)
