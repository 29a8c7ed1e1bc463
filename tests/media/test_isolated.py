"""Decoding in children: the same samples and errors, and no child that can do any harm."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from asrcli.errors import AsrError, EmptyFileError, FileUnreadableError, NotAudioError, UsageError
from asrcli.media.children import Child
from asrcli.media.conversation import BrokenError, Decoder, Limits
from asrcli.media.decode import blocks
from asrcli.media.isolated import Decoders, blocks_isolated, probe_isolated
from asrcli.media.probe import probe
from tests.recordings import DAMAGES, damage, recording, side_by_side

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

SPOKEN = recording("number")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and named pipes of POSIX")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone enforces or promises it")

FAKE = """
import json, os, signal, struct, sys

def part(kind, content):
    sys.stdout.buffer.write(struct.pack("<cI", kind, len(content)) + content)
    sys.stdout.buffer.flush()

SECOND = bytes(64_000)
sys.stdin.buffer.readline()
"""
HANG = "\nwhile sys.stdin.read(): pass\n"


def fake(does: str, *arguments: str) -> tuple[str, ...]:
    """A command that runs in place of the decoder, and `does` this when it has got a job."""
    return (sys.executable, "-I", "-S", "-c", FAKE + does, *arguments)


def stream(
    command: tuple[str, ...], *, limits: Limits | None = None, duration: float = 0.0
) -> list[Samples]:
    """All that a fake decoder gives for a WAV."""
    with Decoders(1, command=command, limits=limits) as decoders:
        found = list(
            blocks_isolated(SPOKEN.path, container="wav", duration=duration, decoders=decoders)
        )
        assert len(decoders.children) == 1
    return found


@pytest.fixture(scope="module")
def decoders() -> Generator[Decoders, None, None]:
    with Decoders(2) as made:
        yield made


def assert_same(found: list[Samples], expected: list[Samples]) -> None:
    assert [block.dtype for block in found] == [block.dtype for block in expected]
    assert [block.tobytes() for block in found] == [block.tobytes() for block in expected]


# --- the same as in this process --------------------------------------------------------------


@pytest.mark.parametrize("container", ["wav", "flac", "mp3", "m4a", "ogg", "opus", "mkv"])
def test_a_child_gives_the_same_samples(
    made: Callable[[str], Path], decoders: Decoders, container: str
) -> None:
    path = made(container)

    found = blocks_isolated(
        path, container=container, duration=probe(path).duration, decoders=decoders
    )

    assert_same(list(found), list(blocks(path, container=container)))


def test_a_child_is_told_of_rate_channel_and_length_of_blocks(
    decoders: Decoders, tmp_path: Path
) -> None:
    path = side_by_side([SPOKEN.path, recording("planet").path], tmp_path / "two.wav")

    found = blocks_isolated(
        path,
        container="wav",
        duration=0.0,
        sample_rate=8_000,
        channel=1,
        block_seconds=0.1,
        decoders=decoders,
    )

    assert_same(
        list(found),
        list(blocks(path, container="wav", sample_rate=8_000, channel=1, block_seconds=0.1)),
    )


def test_one_recording_needs_no_decoders_of_its_own() -> None:
    found = blocks_isolated(SPOKEN.path, container="wav", duration=SPOKEN.seconds)

    assert_same(list(found), list(blocks(SPOKEN.path, container="wav")))


@pytest.mark.parametrize("container", ["wav", "mp3", "m4a", "ogg"])
def test_a_child_finds_out_the_same_about_a_file(
    made: Callable[[str], Path], decoders: Decoders, container: str
) -> None:
    assert probe_isolated(made(container), decoders=decoders) == probe(made(container))


@LINUX
@pytest.mark.parametrize("name", ["t\u00f6ne \u97f3\n.wav", os.fsdecode(b"t\xf6ne.wav")])
def test_any_name_of_a_file_reaches_the_child(
    decoders: Decoders, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(SPOKEN.path.read_bytes())

    assert probe_isolated(path, decoders=decoders) == probe(path)


def outcome(act: Callable[[], object]) -> object:
    """What it gives, or the error that it raises, as far as two of them can be compared."""
    try:
        return act()
    except AsrError as error:
        return type(error), str(error), error.args, error.hint, vars(error)


@pytest.mark.parametrize("container", ["mp3", "m4a", "ogg", "flac"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_ends_in_a_child_as_it_does_here(
    made: Callable[[str], Path], decoders: Decoders, tmp_path: Path, container: str, kind: str
) -> None:
    path = damage(made(container), kind, tmp_path)

    def here() -> object:
        duration = probe(path).duration
        return duration, [block.tobytes() for block in blocks(path, container=container)]

    def there() -> object:
        duration = probe_isolated(path, decoders=decoders).duration
        found = blocks_isolated(path, container=container, duration=duration, decoders=decoders)
        return duration, [block.tobytes() for block in found]

    assert outcome(there) == outcome(here)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(None, FileUnreadableError), (b"", EmptyFileError), (b"hi", NotAudioError)],
)
def test_errors_come_through_as_they_are_and_the_child_stays(
    decoders: Decoders, tmp_path: Path, content: bytes | None, kind: type[AsrError]
) -> None:
    probe_isolated(SPOKEN.path, decoders=decoders)
    children = decoders.children
    path = tmp_path / "x.wav"
    if content is not None:
        path.write_bytes(content)

    found = outcome(lambda: probe_isolated(path, decoders=decoders))

    assert found == outcome(lambda: probe(path))
    assert isinstance(found, tuple)
    assert found[0] is kind
    assert decoders.children == children


def test_a_channel_that_is_not_there_is_the_same_mistake(decoders: Decoders) -> None:
    with pytest.raises(UsageError, match="no channel 3") as caught:
        next(
            blocks_isolated(
                SPOKEN.path, container="wav", duration=0.0, channel=3, decoders=decoders
            )
        )

    assert caught.value.hint == "It has one, number 0."


# --- children that break ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        pytest.param("os.kill(os.getpid(), signal.SIGSEGV)", "crashed .SIGSEGV", marks=POSIX),
        pytest.param(
            "part(b'S', SECOND); os.kill(os.getpid(), signal.SIGKILL)",
            "crashed .SIGKILL",
            marks=POSIX,
        ),
        ("sys.exit(0)", r"ended early \(exit status 0\)"),
        ("part(b'S', SECOND); sys.exit(0)", "ended early"),
        ("sys.exit('no \\x1b[2J memory')", r"exit status 1: no \[2J memory\)"),
        ("part(b'S', SECOND); part(b'D', b'{\"samples\": 32000}')", "lost count"),
        ("part(b'D', b'{}')", "lost count"),
        ("part(b'F', b'\"ValueError: 7\"')", "ValueError: 7"),
    ],
)
def test_a_child_that_breaks_costs_the_recording_and_itself(does: str, reason: str) -> None:
    core = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
    quiet = core if sys.platform != "win32" else ""

    with Decoders(1, command=fake(quiet + does)) as decoders:
        with pytest.raises(NotAudioError, match=f"^number.wav cannot be decoded: .*{reason}"):
            list(blocks_isolated(SPOKEN.path, container="wav", duration=0.0, decoders=decoders))

        assert decoders.children == []


@pytest.mark.parametrize(
    "does",
    [
        "sys.stdout.buffer.write(b'Traceback (most recent call last)' * 1000)",
        "part(b'S', SECOND + bytes(4))",
        "part(b'S', bytes(6))",
        "part(b'S', b'')",
        "part(b'S'[:1], SECOND) or sys.stdout.buffer.write(struct.pack('<cI', b'S', 0xFFFF_FFFF))",
        "sys.stdout.buffer.write(struct.pack('<cI', b'D', 0xFFFF_FFFF))",
        "part(b'Q', b'{}')",
        "part(b'D', b'{')",
        "part(b'D', b'[]')",
        "part(b'E', b'{}')",
        'part(b\'E\', b\'{"class": "StoppedBySignal", "args": [2], "state": {}}\')',
        'part(b\'E\', b\'{"class": "RemoteError", "args": ["x", "y"], "state": {}}\')',
        'part(b\'E\', b\'{"class": "InputError", "args": 7, "state": {}}\')',
        'part(b\'E\', b\'{"class": "annotations", "args": [], "state": {}}\')',
    ],
)
def test_garbage_is_not_believed(does: str) -> None:
    with pytest.raises(NotAudioError, match="its decoder gave no answer"):
        stream(fake(f"{does}\nsys.stdout.flush(){HANG}"))


def test_a_child_that_breaks_while_it_looks_costs_that_file() -> None:
    with (
        Decoders(1, command=fake("part(b'D', b'{\"size\": 1}')" + HANG)) as decoders,
        pytest.raises(NotAudioError, match="its decoder gave no answer"),
    ):
        probe_isolated(SPOKEN.path, decoders=decoders)


def test_after_a_child_that_broke_there_is_another(tmp_path: Path) -> None:
    good = "part(b'S', SECOND); part(b'D', b'{\"samples\": 16000}')" + HANG
    once = (
        "import pathlib; first = pathlib.Path(sys.argv[1])\n"
        f"if first.exists():\n first.unlink(); sys.exit(3)\n{good}"
    )
    first = tmp_path / "first"
    first.touch()

    with Decoders(1, command=fake(once, str(first))) as decoders:

        def decode() -> int:
            found = blocks_isolated(SPOKEN.path, container="wav", duration=0, decoders=decoders)
            return sum(len(block) for block in found)

        with pytest.raises(NotAudioError, match="exit status 3"):
            decode()
        assert decode() == 16_000


def test_ten_megabytes_on_stderr_are_read_and_forgotten() -> None:
    does = "sys.stderr.write('x' * 10_000_000); part(b'D', b'{\"samples\": 0}')" + HANG

    assert stream(fake(does)) == []


# --- children that take too long --------------------------------------------------------------


@pytest.mark.parametrize(
    "limits", [Limits(base=0.2), Limits(quiet=0.2)], ids=["in all", "without a sound"]
)
@pytest.mark.parametrize(
    "does",
    [
        HANG,
        "sys.stdout.buffer.write(struct.pack('<cI', b'S', 64_000) + b'12345'); sys.stdout.flush()"
        + HANG,
        "while True: sys.stderr.write('x' * 1000)",
    ],
    ids=["silent", "in a block", "talking"],
)
def test_a_child_that_hangs_is_stopped(limits: Limits, does: str) -> None:
    with Decoders(1, command=fake(does), limits=limits) as decoders:
        with pytest.raises(NotAudioError, match=r"^number.wav cannot be .* stopped after [\d.]+ s"):
            list(blocks_isolated(SPOKEN.path, container="wav", duration=0.0, decoders=decoders))

        assert decoders.children == []


def test_a_child_that_hangs_while_it_looks_is_stopped() -> None:
    with (
        Decoders(1, command=fake(HANG), limits=Limits(quiet=0.2)) as decoders,
        pytest.raises(NotAudioError, match="stopped after"),
    ):
        probe_isolated(SPOKEN.path, decoders=decoders)


def test_no_clock_runs_while_a_child_waits_for_us() -> None:
    now = [0.0]
    does = "for _ in range(9): part(b'S', SECOND)\npart(b'D', b'{\"samples\": 144000}')" + HANG

    with Decoders(1, command=fake(does), clock=lambda: now[0]) as decoders:
        count = 0
        for block in blocks_isolated(SPOKEN.path, container="wav", duration=9.0, decoders=decoders):
            count += len(block)
            now[0] += 1_000.0

    assert count == 144_000


class Silent(Child):
    """A child that says nothing; it keeps how long it was given."""

    patience = 0.0

    def __init__(self) -> None:
        self.now = 0.0

    def send(self, message: bytes) -> None:
        self.now += 1_000.0  # what passes before we wait for an answer does not count

    def receive_into(self, target: memoryview, patience: float) -> int:
        self.patience = patience
        self.now += patience
        raise TimeoutError


@pytest.mark.parametrize(
    ("limits", "seconds", "patience"),
    [
        (Limits(), 0.0, 60.0),
        (Limits(quiet=10_000.0), 3_600.0, 780.0),
        (Limits(), 3_600.0, 60.0),
        (Limits(base=1.0, share=0.5), 100.0, 51.0),
    ],
)
def test_a_child_has_a_minute_and_a_fifth_of_the_length_and_no_minute_of_silence(
    limits: Limits, seconds: float, patience: float
) -> None:
    child = Silent()
    decoder = Decoder(child, lambda: child.now)
    decoder.begin(SPOKEN.path, {"do": "blocks"}, limits, seconds=seconds)

    with pytest.raises(BrokenError, match=f"stopped after {patience:,.1f} s"):
        next(decoder.blocks(16_000, 16_000))
    assert child.patience == patience


# --- too little and too much ------------------------------------------------------------------


def test_half_of_a_recording_is_not_taken_for_all_of_it(decoders: Decoders) -> None:
    found = blocks_isolated(
        SPOKEN.path, container="wav", duration=SPOKEN.seconds * 2.1, decoders=decoders
    )

    with pytest.raises(NotAudioError, match=r"^number.wav cannot be decoded: of its .* s, only"):
        list(found)


def test_a_child_that_never_ends_its_sound_is_stopped() -> None:
    with pytest.raises(NotAudioError, match=r"it lasts 1\.0 s, and 63\.0 s came out of it"):
        stream(fake("while True: part(b'S', SECOND)"), duration=1.0)


@LINUX
def test_a_child_cannot_take_all_memory_nor_write_a_file(tmp_path: Path) -> None:
    program = (
        "import sys; from asrcli.media.children import limit_resources; limit_resources()\n"
        "try: bytearray(2 << 30)\n"
        "except MemoryError: print('no memory')\n"
        "try: open(sys.argv[1], 'wb', buffering=0).write(b'x')\n"
        "except OSError: print('no file')\n"
        "bytearray(200 << 20)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout == "no memory\nno file\n"


# --- what a child has, and when it ends -------------------------------------------------------


def test_a_child_has_no_keys_and_no_files_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("DASHSCOPE_API_KEY", "HTTPS_PROXY", "PYTHONPATH", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, "secret")
    does = (
        "held = None\n"
        "try: held = os.fstat(int(sys.argv[1])).st_size\n"
        "except OSError: pass\n"
        "found = [held, 'secret' in repr(os.environ), 'PATH' in os.environ]\n"
        "part(b'F', json.dumps(found).encode())"
    )
    with (tmp_path / "ours").open("wb") as ours:
        if sys.platform != "win32":
            os.set_inheritable(ours.fileno(), True)

        with pytest.raises(NotAudioError, match=r": \[None, False, True\]"):
            stream(fake(does, str(ours.fileno())))


def test_nothing_starts_before_the_first_block_is_asked_for() -> None:
    with Decoders(1) as decoders:
        blocks_isolated(SPOKEN.path, container="wav", duration=0.0, decoders=decoders)

        assert decoders.children == []


def test_a_child_can_be_started_ahead() -> None:
    with Decoders(2) as decoders:
        decoders.warm()
        decoders.warm()
        children = decoders.children
        probe_isolated(SPOKEN.path, decoders=decoders)

        assert len(children) == 1
        assert decoders.children == children


@pytest.fixture
def signs(tmp_path: Path) -> Generator[tuple[Path, Callable[[], None]], None, None]:
    """A pipe that processes hold open for writing, and a wait until none of them is left."""
    path = tmp_path / "signs"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def wait_for_end() -> None:
        while select.select([reader], [], [], 60)[0]:
            if not os.read(reader, 100):
                return
        raise AssertionError("there is still a process")

    yield path, wait_for_end
    os.close(reader)


@POSIX
def test_closing_early_ends_the_child_and_what_it_started(
    signs: tuple[Path, Callable[[], None]],
) -> None:
    path, wait_for_end = signs
    does = (
        "import subprocess\n"
        "own = 'import sys; held = open(sys.argv[1], chr(119)); print(1, flush=True)\\n'\n"
        "own += 'while True: pass'\n"
        "other = subprocess.Popen([sys.executable, '-c', own, sys.argv[1]], stdout=-1)\n"
        "other.stdout.readline(); part(b'S', SECOND)"
    )
    with Decoders(1, command=fake(does + HANG, str(path))) as decoders:
        found = blocks_isolated(SPOKEN.path, container="wav", duration=0.0, decoders=decoders)
        next(found)
        found.close()

        assert decoders.children == []
        wait_for_end()


PARENT = """
import sys
from pathlib import Path
from asrcli.media.isolated import Decoders, blocks_isolated
decoders = Decoders(1, command=tuple(sys.argv[2:]))
found = blocks_isolated(Path(sys.argv[1]), container="wav", duration=0.0, decoders=decoders)
next(found)
print("decoding", flush=True)
next(found)
"""
BUSY = "import re; re.match('(a+)+$', 'a' * 100 + 'b')"
"""A loop in C that never lets go of Python's lock."""


@LINUX
@pytest.mark.parametrize("work", ["while True: pass", BUSY])
def test_a_child_dies_with_its_parent_in_the_middle_of_its_work(
    signs: tuple[Path, Callable[[], None]], work: str
) -> None:
    path, wait_for_end = signs
    does = (
        f"sys.path[:] = {sys.path!r}\n"
        "from asrcli.media.children import end_with_parent; end_with_parent(int(sys.argv[-1]))\n"
        "held = open(sys.argv[1], 'w')\n"
        f"part(b'S', SECOND)\n{work}"
    )
    command = [sys.executable, "-c", PARENT, str(SPOKEN.path), *fake(does, str(path))]

    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"decoding\n"
        parent.kill()
        wait_for_end()


@POSIX
def test_an_idle_child_that_was_killed_is_replaced() -> None:
    with Decoders(1) as decoders:
        expected = probe_isolated(SPOKEN.path, decoders=decoders)
        (child,) = decoders.children
        os.kill(child, signal.SIGKILL)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)

        assert probe_isolated(SPOKEN.path, decoders=decoders) == expected
        assert decoders.children != [child]


# --- many threads -----------------------------------------------------------------------------


def test_threads_share_as_many_children_as_there_may_be(made: Callable[[str], Path]) -> None:
    paths = [made(container) for container in ("mp3", "wav", "ogg", "flac")] * 4
    seen: set[int] = set()

    with Decoders(2) as decoders:

        def decode(path: Path) -> list[bytes]:
            found = blocks_isolated(
                path, container=path.suffix[1:], duration=0.0, decoders=decoders
            )
            first = next(found).tobytes()
            seen.update(decoders.children)
            return [first, *(block.tobytes() for block in found)]

        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(decode, paths))

    assert len(seen) <= 2
    assert found == [
        [block.tobytes() for block in blocks(path, container=path.suffix[1:])] for path in paths
    ]


def test_closing_stops_those_who_decode_and_those_who_wait() -> None:
    decoders = Decoders(1, command=fake("part(b'S', SECOND)" + HANG))
    decoding = threading.Event()

    def decode() -> None:
        for _ in blocks_isolated(SPOKEN.path, container="wav", duration=0.0, decoders=decoders):
            decoding.set()

    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(decode), threads.submit(decode)]
        assert decoding.wait(60)
        decoders.close()
        failures = [future.exception(timeout=60) for future in futures]

    assert [type(failure) for failure in failures] == [FileUnreadableError] * 2
    assert {str(failure) for failure in failures} == {"number.wav: decoding it was stopped"}
    with pytest.raises(FileUnreadableError, match="stopped"):
        probe_isolated(SPOKEN.path, decoders=decoders)
    assert decoders.children == []


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadableError, match="no process can be started"):
        stream((str(tmp_path / "nothing"),))
