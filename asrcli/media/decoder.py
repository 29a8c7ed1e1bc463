"""A process that looks into recordings and decodes them: what `asrcli.media.isolated` starts.

A job is a line of JSON on stdin; `load` has the libraries loaded, and is not answered. An answer
on stdout is made of parts: one byte that says what it is, its length as four bytes, its content.
`SAMPLES` are a block of mono float32 in the order of this machine; `DONE`, `ERROR` (one of ours)
and `FAILURE` (anything else) are JSON, and the last part of an answer. The process ends when
stdin does, and when its parent is gone.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from asrcli.errors import AsrError
from asrcli.media.children import end_with_parent, limit_resources

__all__ = ["DONE", "ERROR", "FAILURE", "HEAD", "SAMPLES", "main"]

HEAD = struct.Struct("<cI")
SAMPLES, DONE, ERROR, FAILURE = b"S", b"D", b"E", b"F"


def main() -> None:
    """Do the jobs that come, until no more can; the last argument is the lifeline."""
    end_with_parent(int(sys.argv[-1]))
    limit_resources()
    try:
        with _private_stdout() as answers:
            while line := sys.stdin.buffer.readline():
                _answer(json.loads(line), answers)
    except BrokenPipeError:
        os._exit(0)  # nobody wants it; nor does anybody want to read that


def _private_stdout() -> IO[bytes]:
    """Stdout, out of the reach of whatever a library may print."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "wb")


def _answer(job: dict[str, Any], answers: IO[bytes]) -> None:
    kind = job.pop("do")
    if kind == "load":
        _load()
        return
    try:
        path = Path(job.pop("path"))
        last = _probe(path, job) if kind == "probe" else _decode(path, job, answers)
        _write(answers, DONE, json.dumps(last).encode())
    except AsrError as error:
        said = {"class": type(error).__name__, "args": error.args, "state": vars(error)}
        _write(answers, ERROR, json.dumps(said, default=str).encode())
    except BrokenPipeError:
        raise
    except MemoryError:
        _write(answers, FAILURE, json.dumps("it takes too much memory").encode())
    except Exception as error:  # noqa: BLE001 - a damaged file must not look like a lost process
        _write(answers, FAILURE, json.dumps(f"{type(error).__name__}: {error}").encode())


def _load() -> None:
    """Load what most recordings need; one that needs what cannot be loaded will tell."""
    import asrcli.media.decode
    import asrcli.media.probe  # noqa: F401 - to be there

    for package in ("av", "soxr", "soundfile"):
        with suppress(ImportError, OSError):
            import_module(package)


def _decode(path: Path, job: dict[str, Any], answers: IO[bytes]) -> dict[str, int]:
    from asrcli.media.decode import blocks

    count = 0
    with closing(blocks(path, **job)) as found:
        for block in found:
            count += len(block)
            _write(answers, SAMPLES, block.tobytes())
    return {"samples": count}


def _probe(path: Path, job: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    from asrcli.media.probe import probe

    found = asdict(probe(path, **job))
    del found["path"]
    return found


def _write(answers: IO[bytes], kind: bytes, content: bytes) -> None:
    answers.write(HEAD.pack(kind, len(content)) + content)
    answers.flush()
