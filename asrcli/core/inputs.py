"""What is to be transcribed: files, folders, patterns, standard input, URLs and references.

A folder is walked as it is needed, so that the first file is under way before the last is found.
"""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from asrcli.errors import (
    AsrError,
    EmptyFileError,
    FileUnreadableError,
    InputError,
    OutputError,
    UsageError,
)
from asrcli.providers.base import Reference

__all__ = [
    "AUDIO_SUFFIXES",
    "Filter",
    "Input",
    "expand",
    "in_shard",
    "materialize",
    "read_list",
    "read_reference",
    "spool",
]

AUDIO_SUFFIXES = frozenset(
    ".aac .aif .aifc .aiff .amr .avi .flac .flv .m4a .m4b .mka .mkv .mov .mp3 .mp4 .mpeg .mpg "
    ".oga .ogg .opus .wav .webm .wma .wmv".split()
)
"""What is looked at in a folder; a file that is named is looked at whatever its name."""

_BLOCK = 1 << 20
_MOST_LIST = 64_000_000
"""Bytes of a list of names."""
_LONGEST_NAME = 65_536
"""Bytes of one name in it: more than any file system takes, and than a URL that is signed has."""


@dataclass(slots=True, init=False)
class Input:
    """One thing to transcribe. There may be very many, so paths are kept as text."""

    name: str
    """As the user wrote it, or as it was found below a folder that the user wrote."""
    file: str | None
    """None for standard input, a URL or a reference."""
    reference: Reference | None
    below: str
    """Where its result goes below `-o DIR`, without the suffix of a format."""
    problem: AsrError | None
    """Why it cannot be used, where that is known without opening it."""

    def __init__(
        self,
        name: str,
        path: str | os.PathLike[str] | None = None,
        *,
        reference: Reference | None = None,
        output: str | os.PathLike[str] = "stdin",
        problem: AsrError | None = None,
    ) -> None:
        self.name = _as_utf8(name)
        self.file = None if path is None else os.fspath(path)
        self.reference = reference
        self.below = os.fspath(output)
        self.problem = problem

    @property
    def path(self) -> Path | None:
        """Where the recording is; None for standard input, a URL or a reference."""
        return None if self.file is None else Path(self.file)

    @property
    def output(self) -> PurePath:
        """`below` as a path."""
        return PurePath(self.below)

    @property
    def is_stdin(self) -> bool:
        """True for `-`."""
        return self.file is None and self.reference is None and self.problem is None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which files of a folder are taken. Patterns match the name or the path below the folder."""

    recursive: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow: bool = False

    def takes(self, below: str) -> bool:
        """True for a file that is to be transcribed; `below` has slashes between its parts."""
        if any(_matches(below, pattern) for pattern in self.exclude):
            return False
        if self.include:
            return any(_matches(below, pattern) for pattern in self.include)
        return os.path.splitext(below)[1].lower() in AUDIO_SUFFIXES


def _matches(below: str, pattern: str) -> bool:
    name = below.rpartition("/")[2]
    return fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(below, pattern)


def read_reference(text: str) -> Reference | None:
    """The reference or URL that a text is, or None if it is the name of a file."""
    if text.startswith("onemin:"):
        return Reference("onemin", text.removeprefix("onemin:"))
    if text.startswith("oss://"):
        return Reference("qwen", text)
    if text.startswith(("https://", "http://")):
        return Reference(None, text)
    return None


def expand(names: Iterable[str], which: Filter) -> Iterator[Input]:
    """All inputs, in the order in which they were named; the same file twice is taken once."""
    seen: set[str] = set()
    stdin = False
    for name in names:
        for found, identity in _expand_one(name, which):
            if found.is_stdin:
                if stdin:
                    raise UsageError("standard input (-) can be read once only")
                stdin = True
            if identity not in seen:
                seen.add(identity)
                yield found


def _as_utf8(name: str) -> str:
    """The name as text, also where the locale's encoding is a smaller one than the disk's."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "surrogateescape")


def _absolute(path: str) -> str:
    try:
        return os.path.normcase(Path(path).absolute())
    except OSError:  # the current folder is gone
        return path


def _expand_one(name: str, which: Filter) -> Iterator[tuple[Input, str]]:
    """The inputs behind a name, each with what tells it from all others."""
    if not name or "\0" in name:
        raise UsageError("an input has an empty name" if not name else "an input's name has a NUL")
    if name == "-":
        yield Input("-"), name
        return
    reference = read_reference(name)
    if reference is not None and not os.path.exists(name):
        shown = _without_user(name)
        yield Input(shown, reference=reference, output=_reference_output(reference)), name
    elif os.path.isdir(name):
        yield from _in_folder(name, which)
    elif not os.path.lexists(name) and glob.has_magic(name):
        yield from _by_pattern(name)
    else:
        yield _file(name)


def _file(name: str) -> tuple[Input, str]:
    return Input(name, name, output=Path(name).name), _absolute(name)


def _reference_output(reference: Reference) -> PurePath:
    # The last part of the path alone, and nothing that could lead out of the output folder.
    last = reference.location.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
    kept = "".join(c if c.isalnum() or c in "._-" else "_" for c in last).lstrip(".")
    return PurePath(kept or "audio")


def _without_user(url: str) -> str:
    """A URL without a user and a password: the name of an input is shown."""
    scheme, mark, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    return f"{scheme}{mark}{rest[:end].rpartition('@')[2]}{rest[end:]}"


def _by_pattern(pattern: str) -> Iterator[tuple[Input, str]]:
    found = sorted(glob.glob(pattern, recursive=True))
    files = [name for name in found if not Path(name).is_dir()]
    if not files:
        problem = FileUnreadableError(f"no file matches {pattern}")
        yield Input(pattern, problem=problem), pattern
    for name in files:
        yield _file(name)


def _in_folder(name: str, which: Filter) -> Iterator[tuple[Input, str]]:
    empty = True
    top, start = str(Path(name)), _absolute(name)
    top = "" if top == "." else os.path.join(top, "")
    for below, problem in _walk(name, which):
        local = below if os.sep == "/" else below.replace("/", os.sep)
        if problem is not None:
            empty = False
            yield Input(top + local if local else name, problem=problem), f"{start}{os.sep}{local}"
        elif which.takes(below):
            empty = False
            path = top + local
            yield Input(path, path, output=local), f"{start}{os.sep}{os.path.normcase(local)}"
    if empty:
        hint = None if which.recursive else "-r looks into the folders below, too."
        nothing = InputError(f"no audio files in the folder {name}", hint=hint)
        yield Input(name, problem=nothing), name


def _walk(folder: str, which: Filter) -> Iterator[tuple[str, AsrError | None]]:
    """Regular files, folder by folder in order of name; a FIFO or a device is never opened.

    Gives their paths below the folder, with slashes; and folders that cannot be read, with why.
    """
    visited: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        current = os.path.join(folder, below) if below else folder
        try:
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in visited:
                continue
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except FileNotFoundError:  # it was there a moment ago
            continue
        except OSError as error:
            said = f"cannot read the folder {current}: {error.strerror}"
            yield below, FileUnreadableError(said)
            continue
        visited.add((status.st_dev, status.st_ino))
        prefix = f"{below}/" if below else ""
        folders = []
        for entry in entries:
            try:
                is_folder = entry.is_dir(follow_symlinks=which.follow)
                is_file = entry.is_file(follow_symlinks=which.follow)
            except OSError:  # a link to itself
                continue
            if is_folder:
                folders.append(prefix + entry.name)
            elif is_file:
                yield prefix + entry.name, None
        if which.recursive:
            waiting.extend(reversed(folders))


def read_list(source: str | None, stdin: BinaryIO | None, *, null: bool) -> Iterator[str]:
    """Names from a file (or `-`): one a line, or each ended by NUL.

    In lines, blank ones and those that begin with `#` are skipped, and CRLF ends a line too; a name
    that begins with `#` is written `./#…`. Names are relative to the current folder. Raises
    UsageError with the number of a line that holds no name.
    """
    if source is None:
        return
    content = _read_all(source, stdin)
    if not null:
        content = content.removeprefix(b"\xef\xbb\xbf")
    for number, name in enumerate(content.split(b"\0" if null else b"\n"), 1):
        kept = name if null else name.removesuffix(b"\r")
        if not kept.strip() or (not null and kept.startswith(b"#")):
            continue
        place = f"{'name' if null else 'line'} {number} of the list {source!r}"
        if b"\0" in kept:
            hint = "-0 reads a list whose names end with NUL."
            raise UsageError(f"{place} has a NUL", hint=hint)
        if len(kept) > _LONGEST_NAME:
            raise UsageError(f"{place} is too long for a name: {len(kept):,} bytes")
        yield os.fsdecode(kept)


def _read_all(source: str, stdin: BinaryIO | None) -> bytes:
    try:
        if source == "-":
            content = stdin.read(_MOST_LIST + 1) if stdin is not None else b""
        else:
            with open(source, "rb") as file:
                content = file.read(_MOST_LIST + 1)
    except OSError as error:
        raise UsageError(f"cannot read the list {source!r}: {error.strerror}") from error
    if len(content) > _MOST_LIST:
        raise UsageError(f"the list {source!r} is longer than {_MOST_LIST:,} bytes")
    return content


# --- things that are not files ----------------------------------------------------------------


def materialize(found: Input, folder: Path, stdin: BinaryIO | None) -> Path:
    """A file that can be opened twice: the input itself, or what a pipe gave, kept in `folder`."""
    path = found.path
    if path is None:
        return spool(stdin, folder, name="standard input")
    try:
        is_fifo = stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return path  # the probe says what is wrong with it
    if is_fifo:
        with path.open("rb") as pipe:
            return spool(pipe, folder, name=found.name)
    return path


def spool(stream: BinaryIO | None, folder: Path, *, name: str) -> Path:
    """Copy a stream to disk, since formats such as M4A have to be read from both ends."""
    if stream is None or stream.closed:
        raise FileUnreadableError(f"{name} is closed")
    try:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            while block := _block(stream, name):
                file.write(block)
            empty = file.tell() == 0
    except OSError as error:
        raise OutputError(f"cannot keep {name} in {folder}: {error.strerror}") from error
    if empty:
        raise EmptyFileError(name)
    return Path(file.name)


def _block(stream: BinaryIO, name: str) -> bytes:
    try:
        return stream.read(_BLOCK)
    except OSError as error:
        raise FileUnreadableError(f"cannot read {name}: {error.strerror}") from error


def in_shard(found: Input, number: int, count: int) -> bool:
    """True if an input belongs to shard `number` (from 1) of `count`.

    It is decided by the SHA-256 of its path below the folder that was named, so that all machines
    agree, wherever the folder lies on each of them.
    """
    digest = hashlib.sha256(os.fsencode(found.below.replace(os.sep, "/"))).digest()
    return int.from_bytes(digest[:8], "big") % count == number - 1
