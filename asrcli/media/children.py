"""A process of ours for work that may crash or hang: it has no keys, and ends when we do.

The child has a process group of its own, pipes for stdin, stdout and stderr, the few variables of
the environment that a program needs to start, and nothing else of ours that is open.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

__all__ = ["Child", "end_with_parent", "limit_resources"]

_KEPT = (
    *("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP"),
    *("LANG", "LC_ALL", "LC_CTYPE"),  # how names of files are spelled
)
"""Variables that a child gets; keys and proxies are not among them."""
_DYING = 2.0
"""Seconds a process may take to end after it closed its stdout."""
_LAST_WORDS = 2_000
"""Bytes of stderr that are kept; the rest is read and forgotten."""
_DRAINED = 1 << 16
_MOST_MEMORY = 1 << 30
"""Bytes that a child may allocate."""
_PIPES: dict[str, Any] = {
    "stdin": subprocess.PIPE,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.PIPE,
    "bufsize": 0,
}


class Child:
    """A running process. One thread owns it; any thread may `kill` it.

    The command gets one more argument, which it hands to `end_with_parent`. Raises OSError if it
    cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._lifeline: int | None = None
        self._lock = threading.Lock()
        self._stderr_tail = b""
        try:
            self._process = self._begin([*command])
        except BaseException:
            self._let_go()
            raise
        self.pid = self._process.pid
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._stdout: Any = self._process.stdout
        self._listened: list[Any] = [self._stdout, self._process.stderr]

    def send(self, message: bytes) -> None:
        """Write to its stdin; raises OSError if it is gone."""
        view = memoryview(message)
        while view:
            view = view[self._stdin.write(view) :]

    def receive_into(self, target: memoryview, patience: float) -> int:
        """Wait for output and read some; return how many bytes, 0 if there will be no more.

        Raises TimeoutError after `patience` seconds without any. Stderr is read on the way.
        """
        until = time.monotonic() + patience
        while True:
            ready = _ready(self._listened, max(0.0, until - time.monotonic()))
            for pipe in ready:
                if pipe is not self._stdout:
                    self._drain(pipe)
            if self._stdout in ready:
                return int(self._stdout.readinto(target))
            if time.monotonic() >= until:
                raise TimeoutError

    def ended(self) -> bool:
        """True if the process is no more."""
        with self._lock:
            return self._process.poll() is not None

    def fate(self) -> str:
        """How it ended, as a clause, once it closed its stdout: with its last words, if any."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_DYING)
        while len(self._listened) > 1 and self._listened[1] in _ready(self._listened[1:], 0.0):
            self._drain(self._listened[1])
        self.kill()
        code = self._process.wait()
        if code < 0:
            return f"crashed ({_signal_name(-code)})"
        if code > 0x7FFF_FFFF:  # how Windows counts exceptions
            return f"crashed (0x{code:08X})"
        words = self._stderr_tail.decode(errors="replace").strip().splitlines()[-1:]
        said = "".join(c for c in words[0][:200] if c.isprintable()) if words else ""
        return f"ended early (exit status {code}{f': {said}' if said else ''})"

    def kill(self) -> None:
        """End the process and all of its group, at once; its output ends as well."""
        with self._lock:
            # Until it is waited for, nobody else can have its number.
            if self._process.returncode is not None:
                return
            _kill_group(self._process)

    def end(self) -> None:
        """Kill the process and forget it; only for the thread that owns it."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        self._let_go()

    def _begin(self, command: list[str]) -> subprocess.Popen[bytes]:
        lifeline, self._lifeline = _lifeline()
        try:
            return _start(command, lifeline)
        finally:
            if self._lifeline is not None:
                os.close(lifeline)

    def _drain(self, pipe: Any) -> None:
        said = pipe.read(_DRAINED)
        if not said:
            self._listened.remove(pipe)
        self._stderr_tail = (self._stderr_tail + said)[-_LAST_WORDS:]

    def _let_go(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


def _without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: environ[name] for name in _KEPT if name in environ}
    # Sound is added up in one thread; OpenBLAS would start one for each core.
    return kept | {"OPENBLAS_NUM_THREADS": "1"}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


if sys.platform == "win32":

    def _lifeline() -> tuple[int, int | None]:
        return os.getpid(), None

    def _start(command: list[str], lifeline: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command, str(lifeline)],
            env=_without_secrets(os.environ),
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW,
            **_PIPES,
        )

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        process.kill()

    def _ready(pipes: Sequence[Any], seconds: float) -> list[Any]:
        """Those of the pipes that can be read from at once; waits until one can, or `seconds`.

        Pipes of Windows cannot be waited for together: they are asked in turn.
        """
        until = time.monotonic() + seconds
        asked = 0
        while True:
            ready = [pipe for pipe in pipes if _has_something(pipe)]
            if ready or time.monotonic() >= until:
                return ready
            # The rest of a block comes at once, the next one after some thousand samples.
            time.sleep(0 if asked < 200 else 0.001)
            asked += 1

    def _has_something(pipe: Any) -> bool:
        import _winapi
        import msvcrt

        try:
            return int(_winapi.PeekNamedPipe(msvcrt.get_osfhandle(pipe.fileno()))[0]) > 0
        except OSError:
            return True  # its other end is closed, which reading will tell

else:

    def _lifeline() -> tuple[int, int | None]:
        """What a child watches, and what we hold: two ends of a pipe."""
        return os.pipe()

    def _start(command: list[str], lifeline: int) -> subprocess.Popen[bytes]:
        # A session of its own: no key at the terminal reaches it, and killing it no one else.
        return subprocess.Popen(
            [*command, str(lifeline)],
            env=_without_secrets(os.environ),
            pass_fds=(lifeline,),
            start_new_session=True,
            **_PIPES,
        )

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def _ready(pipes: Sequence[Any], seconds: float) -> list[Any]:
        """Those of the pipes that can be read from at once; waits until one can, or `seconds`."""
        import select

        poll = select.poll()
        for pipe in pipes:
            poll.register(pipe.fileno(), select.POLLIN)
        events = poll.poll(math.ceil(min(seconds, 3_600.0) * 1_000))
        found = {descriptor for descriptor, _ in events}
        return [pipe for pipe in pipes if pipe.fileno() in found]


# --- in the child -----------------------------------------------------------------------------


def end_with_parent(lifeline: int) -> None:
    """In a child: end at once when the parent does, even if it is killed.

    `lifeline` is the last argument of the command. PR_SET_PDEATHSIG of Linux will not do: it
    counts the thread that started the child for its parent, and that one may end long before.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to deal with
    threading.Thread(target=_wait_and_end, args=(lifeline,), daemon=True).start()
    _have_signal_sent(lifeline)


if sys.platform == "win32":

    def _wait_and_end(lifeline: int) -> None:
        # Reading stdin in a thread would make libraries that are loaded meanwhile wait for it.
        import _winapi

        try:
            parent = _winapi.OpenProcess(0x0010_0000, False, lifeline)  # SYNCHRONIZE
        except OSError:
            return  # stdin has ended, or will end with the parent
        _winapi.WaitForSingleObject(parent, _winapi.INFINITE)
        os._exit(0)

    def _have_signal_sent(lifeline: int) -> None:
        """Windows sends none: a child that holds Python's lock ends when it lets go of it."""

else:

    def _wait_and_end(lifeline: int) -> None:
        os.read(lifeline, 1)
        os._exit(0)

    def _have_signal_sent(lifeline: int) -> None:
        """Have SIGIO sent at the end of the lifeline: the thread may wait for Python's lock."""
        import fcntl

        signal.signal(signal.SIGIO, signal.SIG_DFL)  # that is, end the process
        try:
            fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
            flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
            fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
        except OSError:
            return  # the thread is there


if sys.platform == "win32":

    def limit_resources() -> None:
        """In a child: nothing that this system has."""

else:

    def limit_resources() -> None:
        """In a child: no core file, no byte written to any other, and no more than this memory.

        Memory is what is allocated (RLIMIT_DATA, which only Linux enforces): libraries that are
        loaded reserve far more address space than they use, so a limit on it would be a guess.
        """
        import resource

        limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}
        if sys.platform == "linux":
            limits[resource.RLIMIT_DATA] = _MOST_MEMORY
        for kind, limit in limits.items():
            _, most = resource.getrlimit(kind)
            allowed = limit if most == resource.RLIM_INFINITY else min(limit, most)
            resource.setrlimit(kind, (allowed, allowed))
