"""The last resort: a system's `ffmpeg` program, for what the libraries of the wheel cannot open.

It is looked for on PATH only, gets an open file and never a name, the one demuxer that the content
calls for, no other protocol, no environment of ours, and a limit on time, memory and output.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from asrcli.errors import MissingHelperError, NotAudioError

__all__ = ["find_ffmpeg", "run_ffmpeg"]

_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP")
"""Variables that a child gets; keys and proxies are not among them."""
_MOST_MEMORY = 2 << 30
"""Bytes of address space."""


def find_ffmpeg(search_path: str | None = None) -> Path | None:
    """The first `ffmpeg` on `search_path`, by default PATH; the current folder is never searched.

    So relative entries of PATH count for nothing: they mean the current folder or one below it.
    """
    name = "ffmpeg.exe" if sys.platform == "win32" else "ffmpeg"
    entries = os.environ.get("PATH", "") if search_path is None else search_path
    for entry in entries.split(os.pathsep):
        candidate = Path(entry) / name
        if Path(entry).is_absolute() and candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    return None


def run_ffmpeg(
    file: BinaryIO,
    name: str,
    demuxer: str,
    *,
    track: int = 0,
    sample_rate: int,
    seconds: float,
    program: Path | None = None,
    patience: float | None = None,
) -> bytes:
    """Decode the start of an open file, up to `seconds` of it, to WAV of 16 bits.

    `name` is for messages. `patience` is how many seconds ffmpeg may take, by default a minute
    and a fifth of the length. Raises MissingHelperError, NotAudioError.
    """
    program = program or find_ffmpeg()
    if program is None:
        raise MissingHelperError(
            f"{name} needs ffmpeg, which is not installed",
            hint="Install ffmpeg (https://ffmpeg.org/download.html), or convert the file to WAV.",
        )
    # Twice 16 bits in up to 8 channels, and a header.
    most = round(seconds * sample_rate) * 16 + 65_536
    file.seek(0)
    with _child([str(program), *_arguments(demuxer, track, sample_rate, seconds)], file) as child:
        late = threading.Event()
        limit = 60 + 0.2 * seconds if patience is None else patience
        timer = threading.Timer(limit, _give_up, (child, late))
        timer.start()
        try:
            wav = child.stdout.read(most + 1) if child.stdout else b""
            failed = len(wav) <= most and child.wait() != 0
        finally:
            timer.cancel()
    if late.is_set():
        raise NotAudioError(f"{name}: ffmpeg was stopped after {limit:,.0f} s without a result")
    if failed or len(wav) > most or len(wav) <= 44:
        raise NotAudioError(f"{name}: ffmpeg cannot decode it either")
    return wav


def _arguments(demuxer: str, track: int, sample_rate: int, seconds: float) -> list[str]:
    return [
        *("-nostdin", "-hide_banner", "-loglevel", "quiet"),
        *("-protocol_whitelist", "cache,pipe", "-format_whitelist", demuxer, "-f", demuxer),
        # Through the cache it can go back, to an index at the end of a file.
        *("-t", f"{seconds:g}", "-i", "cache:pipe:0"),
        *("-map", f"0:a:{track}", "-vn", "-sn", "-dn"),
        *("-c:a", "pcm_s16le", "-ar", str(sample_rate), "-f", "wav", "pipe:1"),
    ]


@contextmanager
def _child(command: list[str], file: BinaryIO) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a process group of its own, which does not outlive the `with`."""
    with subprocess.Popen(
        command,
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={key: os.environ[key] for key in _KEPT if key in os.environ},
        start_new_session=True,
    ) as child:
        try:
            _limit_memory(child.pid)
            yield child
        finally:
            _kill(child)


def _limit_memory(pid: int) -> None:
    if sys.platform == "linux":
        import resource

        try:
            resource.prlimit(pid, resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
        except (ProcessLookupError, PermissionError):
            return  # It has ended, or has rights that we do not have.


def _give_up(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    _kill(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        child.kill()
        return
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
