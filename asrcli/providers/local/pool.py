"""Engines in processes of their own, one thread of ours to each of them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from asrcli.errors import ServiceError
from asrcli.providers.local.engine import Heard
from asrcli.providers.local.worker import LIFELINE, read_message, write_message

__all__ = ["Pool"]

_START = (
    "import json, sys; "
    "sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from asrcli.providers.local.worker import main; "
    "main()"
)
"""What a worker runs. It is no child of `multiprocessing`, which would run the main module of the
program again, and needs one that can be."""

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PROXY", re.IGNORECASE)
_DYING = 2.0
"""Seconds a process may take to end after it closed its stdout."""
_PIPES: dict[str, Any] = {
    "stdin": subprocess.PIPE,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.DEVNULL,
}


@dataclass(slots=True)
class _Task:
    pcm: bytes
    future: Future[list[Heard]] = field(default_factory=Future)


class Pool:
    """Up to `most` workers for any number of threads; they start as they are needed."""

    def __init__(self, most: int, *, command: tuple[str, ...] = ()) -> None:
        self.most = most
        self._command = command or (sys.executable, "-c", _START)
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = 0
        self._threads: list[threading.Thread] = []
        self._workers: set[_Worker] = set()
        self._closed = False

    @property
    def started(self) -> bool:
        """True once anything was submitted."""
        return bool(self._threads)

    @property
    def workers(self) -> list[int]:
        """The ids of the processes that run."""
        with self._lock:
            return [worker.pid for worker in self._workers]

    def submit(self, pcm: bytes) -> Future[list[Heard]]:
        """Have an utterance decoded; the future raises ServiceError if its worker dies."""
        task = _Task(pcm)
        with self._lock:
            if self._closed:
                raise _stopped()
            self._unfinished += 1
            self._tasks.put(task)
            if len(self._threads) < min(self._unfinished, self.most):
                thread = threading.Thread(target=self._labor, daemon=True)
                self._threads.append(thread)
                thread.start()
        return task.future

    def close(self) -> None:
        """End all workers at once; what they work on, and what waits for them, fails."""
        with self._lock:
            self._closed = True
            workers, threads = list(self._workers), list(self._threads)
            for _ in threads:
                self._tasks.put(None)
        for worker in workers:
            worker.kill()
        for thread in threads:
            thread.join(1.0)  # its process is dead; what is left of the work is not waited for

    def _labor(self) -> None:
        worker: _Worker | None = None
        while (task := self._tasks.get()) is not None:
            if task.future.set_running_or_notify_cancel():
                try:
                    worker = worker or self._start()
                    task.future.set_result(worker.decode(task.pcm))
                except Exception as error:  # noqa: BLE001 - raised where the words are waited for
                    self._ended(worker)
                    worker = None
                    task.future.set_exception(error)
            with self._lock:
                self._unfinished -= 1
        self._ended(worker)

    def _start(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise _stopped()
            worker = _Worker(self._command)
            self._workers.add(worker)
            return worker

    def _ended(self, worker: _Worker | None) -> None:
        if worker is not None:
            worker.end()
            with self._lock:
                self._workers.discard(worker)


class _Worker:
    """A process that runs `asrcli.providers.local.worker`."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._lifeline: int | None = None
        self._greeting: bytes | None = json.dumps(sys.path).encode() + b"\n"
        try:
            self._process = self._begin(command)
        except OSError as error:
            self._let_go()
            raise ServiceError("local", f"cannot start an engine: {error}") from error
        self.pid = self._process.pid

    def decode(self, pcm: bytes) -> list[Heard]:
        """Wait for the words; raises ServiceError if the engine fails or its process ends."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        message = None
        with contextlib.suppress(OSError):  # it is gone, which the missing answer tells as well
            if self._greeting is not None:
                stdin.write(self._greeting)
                self._greeting = None
            write_message(stdin, pcm)
            message = read_message(stdout)
        if message is None:
            raise ServiceError("local", f"its engine stopped working ({self._fate()})")
        return _read_answer(message)

    def kill(self) -> None:
        """End the process; whoever waits for its answer gets none."""
        self._process.kill()

    def end(self) -> None:
        """End the process and forget it; only for the thread that owns the worker."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not sent is not missed
                pipe.close()
        self._let_go()

    def _begin(self, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        if sys.platform == "win32":
            apart = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
            env = _without_secrets(os.environ)
            return subprocess.Popen(command, env=env, creationflags=apart, **_PIPES)
        theirs, self._lifeline = os.pipe()
        try:
            # A group of its own: Ctrl-C at the terminal does not reach it, not even at its start.
            return subprocess.Popen(
                command,
                env={**_without_secrets(os.environ), LIFELINE: str(theirs)},
                pass_fds=(theirs,),
                process_group=0,
                **_PIPES,
            )
        finally:
            os.close(theirs)

    def _let_go(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def _fate(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_DYING)
        self._process.kill()
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit status {code}"


def _read_answer(message: bytes) -> list[Heard]:
    try:
        answer = json.loads(message)
        if "words" in answer:
            return [Heard(*word) for word in answer["words"]]
        failure = str(answer["error"])
    except (KeyError, TypeError, ValueError):
        failure = "its answer is no answer"
    raise ServiceError("local", f"its engine failed: {failure}")


def _without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables without keys and proxies: a worker has no use for them."""
    return {name: value for name, value in environ.items() if not _SECRET.search(name)}


def _stopped() -> ServiceError:
    return ServiceError("local", "it was stopped")
