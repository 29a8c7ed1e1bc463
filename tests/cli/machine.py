"""What tests of files need of the machine: a user without rights, a disk that is full, memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import NO_RIGHT
from tests.program import COMMAND, environment

__all__ = ["small_disk", "used_memory", "without_rights"]

_MOST_FILLED = 256 << 20
"""Bytes of shared memory that a test may take for itself."""


def without_rights() -> list[str]:
    """The command as somebody whom the modes of files concern: root without its powers."""
    if os.name == "nt":
        pytest.skip("needs modes of POSIX")
    if os.geteuid() != 0:
        return COMMAND
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root may read everything, and setpriv is not installed")
    return [setpriv, "--bounding-set=-all", "--inh-caps=-all", *COMMAND]


@contextmanager
def small_disk(folder: Path, *, size: int) -> Iterator[Path]:
    """A disk that has room for so many bytes: one of its own, or shared memory that is filled."""
    root = [] if getattr(os, "geteuid", lambda: 1)() == 0 else ["sudo", "-n"]
    command = [*root, "mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "none", str(folder)]
    folder.mkdir()
    if shutil.which(command[0]) is None or _failed(command):
        with _filled(Path("/dev/shm"), size) as filled:
            yield filled
        return
    try:
        yield folder
    finally:
        subprocess.run([*root, "umount", "--lazy", str(folder)], check=True)


def _failed(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


@contextmanager
def _filled(disk: Path, size: int) -> Iterator[Path]:
    """A folder on a disk on which all room but so many bytes is taken."""
    free = shutil.disk_usage(disk).free if disk.is_mount() else 0
    if not size < free <= _MOST_FILLED:
        pytest.skip(f"{NO_RIGHT} to mount a small disk")
    with tempfile.TemporaryDirectory(dir=disk) as folder, tempfile.TemporaryFile(dir=disk) as taken:
        os.posix_fallocate(taken.fileno(), 0, free - size)
        yield Path(folder)


def used_memory(
    *arguments: str | Path, env: Mapping[str, str], script: str = '"$@"'
) -> tuple[int, str, str, int]:
    """Run a script in which `"$@"` is the command; status, streams, and the most bytes it had.

    The bytes are those of the largest of its processes.
    """
    resource = pytest.importorskip("resource")
    code = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(['bash', '-c', *sys.argv[1:]])\n"
        "most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "open(sys.argv[2], 'w').write(str(most))\n"
        "sys.exit(done.returncode)\n"
    )
    note = Path(os.environ["HOME"]) / "memory"
    python = str(Path(COMMAND[0]).with_name("python"))
    assert resource is not None
    done = subprocess.run(
        [python, "-c", code, script, str(note), *COMMAND, *map(str, arguments)],
        env=environment(**env), capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    out, err = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    return done.returncode, out, err, int(note.read_text("utf-8")) * unit
