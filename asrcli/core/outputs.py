"""Where results go: names, folders, collisions; decided before any work is done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from asrcli.core.inputs import Input
from asrcli.errors import OutputError, UsageError

__all__ = ["Destination", "Target", "prepare_folders", "refuse_inputs"]

_NEED_FOLDER = frozenset({"json", "srt", "vtt"})
"""Formats of which several do not make one stream."""


@dataclass(frozen=True, slots=True)
class Target:
    """One file to write."""

    path: Path
    format: str


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
                raise UsageError("several formats need a folder to go to", hint="Add -o DIR.")
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
            return [[Target(self.file, self.formats[0])] for _ in inputs]
        folder = self.folder or Path()
        stems = Counter(_folded(_stem(i.output)) for i in inputs)
        plan = []
        for one in inputs:
            alone = stems[_folded(_stem(one.output))] == 1
            base = _stem(one.output) if alone else one.output
            plan.append([Target(folder / f"{base}{suffixes[kind]}", kind) for kind in self.formats])
        _refuse_collisions(inputs, plan)
        return plan


def refuse_inputs(targets: Sequence[Target], inputs: Sequence[Input]) -> None:
    """Raise UsageError where a result would be written over one of the recordings."""
    taken = {_file_of(i.path): i.name for i in inputs if i.path is not None}
    taken.pop(None, None)
    for target in targets:
        if (name := taken.get(_file_of(target.path))) is not None:
            raise UsageError(
                f"{target.path} is the recording {name} itself", hint="Name another output."
            )


def prepare_folders(targets: Sequence[Target]) -> None:
    """Make the folders that results go to; raises OutputError where one cannot be written."""
    for folder in dict.fromkeys(target.path.parent for target in targets):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
        if not os.access(folder, os.W_OK):
            raise OutputError(f"cannot write into the folder {folder}")


def _file_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _stem(path: PurePath) -> PurePath:
    return path.with_suffix("") if path.suffix else path


def _folded(path: PurePath) -> str:
    # Where case does not tell files apart, `A.wav` and `a.wav` would be one.
    return path.as_posix().casefold()


def _refuse_collisions(inputs: Sequence[Input], plan: list[list[Target]]) -> None:
    taken: dict[str, str] = {}
    for one, targets in zip(inputs, plan, strict=True):
        for target in targets:
            other = taken.setdefault(_folded(target.path), one.name)
            if other != one.name:
                raise UsageError(
                    f"{other} and {one.name} would both be written to {target.path}",
                    hint="Transcribe them into different folders.",
                )
