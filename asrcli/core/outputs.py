"""Where results go: names, folders, collisions; decided before any work is done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asrcli.core.inputs import Input
from asrcli.errors import OutputError, UsageError

__all__ = ["Destination", "Target", "existing", "prepare_folders", "refuse_inputs"]

_NEED_FOLDER = frozenset({"json", "srt", "vtt"})
"""Formats of which several do not make one stream."""


@dataclass(frozen=True, slots=True)
class Target:
    """One file to write; there may be very many, so its path is kept as text."""

    file: str
    format: str

    @property
    def path(self) -> Path:
        """Where it is written."""
        return Path(self.file)


@dataclass(frozen=True, slots=True)
class Destination:
    """Standard output, one file, or a folder."""

    formats: tuple[str, ...]
    file: Path | None = None
    folder: Path | None = None

    @classmethod
    def choose(
        cls, output: str | None, formats: Sequence[str], *, several: bool, by_suffix: str | None
    ) -> Destination:
        """Read `-o` and `-f`; `several` inputs make `-o` a folder, `by_suffix` is its own format.

        Raises UsageError where several results cannot go to one place.
        """
        kinds = tuple(dict.fromkeys(formats)) or ((by_suffix,) if by_suffix else ("text",))
        if output is None or output == "-":
            if len(kinds) > 1:
                raise UsageError(
                    f"several formats ({', '.join(kinds)}) need a folder to go to",
                    hint="Add -o DIR, or ask for one format.",
                )
            if several and kinds[0] in _NEED_FOLDER:
                raise UsageError(
                    f"{kinds[0]} of several inputs needs a folder to go to",
                    hint="Add -o DIR, or take -f jsonl, which is one record a line.",
                )
            return cls(kinds)
        if not output:
            raise UsageError("the output has an empty name", hint="-o FILE, -o DIR/ or -o -.")
        path = Path(output)
        ends = (os.sep, *filter(None, [os.altsep]))
        if os.path.isdir(output) or output.endswith(ends) or several or len(kinds) > 1:
            if os.path.exists(output) and not os.path.isdir(output):
                raise OutputError(
                    f"{output} is a file, and several results need a folder", hint="Name another."
                )
            return cls(tuple(formats) or ("text",), folder=path)
        return cls(kinds, file=path)

    @property
    def to_stdout(self) -> bool:
        """True when results are printed."""
        return self.file is None and self.folder is None

    def targets(self, inputs: Sequence[Input], suffixes: dict[str, str]) -> list[list[Target]]:
        """The files of each input; `suffixes` gives that of each format. Raises for a collision.

        `x.wav` becomes `x.txt`, and `x.wav.txt` where an `x.mp3` beside it would become the same.
        """
        if self.to_stdout:
            return [[] for _ in inputs]
        if self.file is not None:
            return [[Target(str(self.file), self.formats[0])] for _ in inputs]
        top = str(self.folder or "")
        top = f"{top}{os.sep}" if top and not top.endswith(os.sep) else top
        stems = [_stem(i.below) for i in inputs]
        folded = [_folded(stem) for stem in stems]
        counts = Counter(folded)
        plan = []
        for one, stem, key in zip(inputs, stems, folded, strict=True):
            base = top + (stem if counts[key] == 1 else one.below)
            plan.append([Target(base + suffixes[kind], kind) for kind in self.formats])
        if len(counts) < len(stems):
            _refuse_collisions(inputs, plan)
        return plan


def existing(targets: Iterable[Target]) -> list[Target]:
    """Those targets whose name is taken; each folder is read once, however many there are."""
    taken: dict[str, set[str]] = {}
    found = []
    for target in targets:
        folder, name = os.path.split(target.file)
        if folder not in taken:
            taken[folder] = {_folded(entry) for entry in _listed(folder)}
        if _folded(name) in taken[folder] and os.path.lexists(target.file):
            found.append(target)
    return found


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder or os.curdir)
    except OSError:  # it is not there yet; or the first result will say what is wrong with it
        return []


def refuse_inputs(targets: Sequence[Target], inputs: Sequence[Input]) -> None:
    """Raise UsageError where a result would be written over one of the recordings.

    `targets` are those that exist.
    """
    if not targets:
        return
    taken = {_file_of(i.file): i.name for i in inputs if i.file is not None}
    taken.pop(None, None)
    for target in targets:
        if (name := taken.get(_file_of(target.file))) is not None:
            raise UsageError(
                f"{target.file} is the recording {name} itself", hint="Name another output."
            )


def prepare_folders(targets: Iterable[Target]) -> list[Path]:
    """Make the folders that results go to; raises OutputError where one cannot be written."""
    folders = [Path(name) for name in dict.fromkeys(os.path.dirname(t.file) for t in targets)]
    for folder in folders:
        if not folder.is_absolute() and not _here():
            raise OutputError("the current folder is gone", hint="Change to another one.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
        if not os.access(folder, os.W_OK):
            raise OutputError(f"cannot write into the folder {folder}")
    return folders


def _here() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _file_of(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _stem(path: str) -> str:
    return os.path.splitext(path)[0]


def _folded(path: str) -> str:
    # Where case does not tell files apart, `A.wav` and `a.wav` would be one.
    return path.casefold()


def _refuse_collisions(inputs: Sequence[Input], plan: list[list[Target]]) -> None:
    taken: dict[str, str] = {}
    for one, targets in zip(inputs, plan, strict=True):
        for target in targets:
            other = taken.setdefault(_folded(target.file), one.name)
            if other != one.name:
                raise UsageError(
                    f"{other} and {one.name} would both be written to {target.file}",
                    hint="Transcribe them into different folders.",
                )
