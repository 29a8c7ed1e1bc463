"""A segment as units: the words, or characters, between which a line or a cue may break.

Each unit has a time. It comes from the words of the segment where the model gave any; else, and
for what the model's words leave out, it is interpolated by display width, and only ever between
two times of that same segment.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple

from asrcli.output.width import character_width, clusters, display_width
from asrcli.transcript import Segment, Word

__all__ = ["Break", "Unit", "split_wide", "units"]


class Break(IntEnum):
    """How good a place is to break at; more is better."""

    INSIDE = 0
    """Between two parts of a word that is wider than a line."""
    WORD = 1
    CLAUSE = 2
    """After a comma and its like, or in a pause."""
    SENTENCE = 3


class Unit(NamedTuple):
    """What is not broken; a NamedTuple because a long text has millions."""

    text: str
    width: int
    """In cells."""
    spaced: bool
    """A space stands before it, unless it begins a line."""
    start: float
    end: float
    after: Break
    """How good a place its end is."""


class _Atom(NamedTuple):
    text: str
    spaced: bool


_PAUSE = 0.8
"""Seconds without a word that are as good a place to break as a comma."""
_LOOKAHEAD = 12
"""Words, or atoms of text, that are skipped at most to find the next ones that agree."""

_SENTENCE_ENDS = frozenset(".!?…。！？｡．।॥؟۔።")
_CLAUSE_ENDS = frozenset(",;:、，；：،؛፣—–")
_NOT_FIRST = frozenset(
    "、。，．・：；？！…‥ー々〻ゝゞヽヾ％〜～.,!?:;%ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ｡､"
)
_TITLES = frozenset({"mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "e.g.", "i.e.", "cf."})


def units(segment: Segment) -> list[Unit]:
    """The segment's text as units with times; it has a start and an end.

    Where the segment has words, units of the text are matched with them in order, whatever their
    case and punctuation. Text without a word of its own (a number that was spelt out) lies between
    the words around it, in proportion to its width.
    """
    atoms = _atoms(segment.text)
    assert segment.start is not None
    assert segment.end is not None
    end = max(segment.start, segment.end)
    if segment.words and atoms:
        timed = _timed_by_words(atoms, segment.words, segment.start, end)
    else:
        timed = _spread(atoms, segment.start, end)
    return _with_breaks(_in_order(timed))


def split_wide(found: Iterable[Unit], cells: int) -> Iterator[Unit]:
    """The units, with those wider than `cells` cut between characters; times inside are shares."""
    for unit in found:
        if unit.width <= cells:
            yield unit
            continue
        parts = [_Atom(text, spaced=False) for text in _chunks(unit.text, cells)]
        shares = _spread(parts, unit.start, unit.end)
        for index, (atom, start, end) in enumerate(shares):
            after = Break.INSIDE if index < len(parts) - 1 else unit.after
            width = display_width(atom.text)
            yield Unit(atom.text, width, unit.spaced and index == 0, start, end, after)


# --- text to atoms ----------------------------------------------------------------------------


def _atoms(text: str) -> list[_Atom]:
    found: list[_Atom] = []
    for word in text.split():
        for index, part in enumerate(_parts(word)):
            found.append(_Atom(part, spaced=bool(found) and index == 0))
    return found


def _parts(word: str) -> list[str]:
    """A word cut where scripts without spaces may break; a word of other scripts stays whole."""
    if word.isascii():
        return [word]
    parts: list[str] = []
    for cluster in clusters(word):
        if parts and not _breakable(parts[-1][-1], cluster[0]):
            parts[-1] += cluster
        else:
            parts.append(cluster)
    return parts


def _breakable(before: str, after: str) -> bool:
    if not (_stands_alone(before) or _stands_alone(after)):
        return False
    closing = after in _NOT_FIRST or unicodedata.category(after) in {"Pe", "Pf"}
    return not closing and unicodedata.category(before) not in {"Ps", "Pi"}


def _stands_alone(character: str) -> bool:
    # Hangul is as wide as Han and kana, but written with spaces.
    return character_width(character) == 2 and not "\uac00" <= character <= "\ud7a3"


def _chunks(text: str, cells: int) -> Iterator[str]:
    chunk = ""
    room = cells
    for cluster in clusters(text):
        width = display_width(cluster)
        if chunk and width > room:
            yield chunk
            chunk, room = "", cells
        chunk += cluster
        room -= width
    yield chunk


# --- atoms to times ---------------------------------------------------------------------------


_Timed = tuple[_Atom, float, float]


def _spread(atoms: Sequence[_Atom], start: float, end: float) -> list[_Timed]:
    """Share the time from start to end by display width."""
    widths = [display_width(atom.text) + atom.spaced for atom in atoms]
    total = sum(widths) or 1
    bounds = [start + (end - start) * done / total for done in accumulate(widths, initial=0)]
    return [(atom, *bound) for atom, bound in zip(atoms, pairwise(bounds), strict=True)]


def _timed_by_words(
    atoms: Sequence[_Atom], words: Sequence[Word], start: float, end: float
) -> list[_Timed]:
    of_atom = _match(atoms, words)
    timed: list[_Timed] = []
    last = -1  # the last word that was found in the text
    runs = [(index, [atom for atom, _ in run]) for index, run in _runs(atoms, of_atom)]
    for position, (index, run) in enumerate(runs):
        if index is not None:
            joined = run[0].text + "".join(" " * a.spaced + a.text for a in run[1:])
            timed.append((_Atom(joined, run[0].spaced), words[index].start, words[index].end))
            last = index
            continue
        following = runs[position + 1][0] if position + 1 < len(runs) else None
        until = len(words) if following is None else following
        if until - last > 1:  # words that the text writes in another way
            left, right = words[last + 1].start, words[until - 1].end
        else:
            left = words[last].end if last >= 0 else start
            right = words[until].start if until < len(words) else end
        timed += _spread(run, left, max(left, right))
    return timed


def _runs(
    atoms: Sequence[_Atom], of_atom: Sequence[int | None]
) -> Iterator[tuple[int | None, Iterator[tuple[_Atom, int | None]]]]:
    return groupby(zip(atoms, of_atom, strict=True), key=lambda pair: pair[1])


def _match(atoms: Sequence[_Atom], words: Sequence[Word]) -> list[int | None]:
    """For each atom the index of the word it belongs to, or None."""
    spoken = [
        (key, index)
        for index, word in enumerate(words)
        for part in _atoms(word.text)
        if (key := _key(part.text))
    ]
    keys = [_key(atom.text) for atom in atoms]
    found: list[int | None] = [None] * len(atoms)
    i = j = 0
    while i < len(keys) and j < len(spoken):
        if keys[i] == spoken[j][0]:
            found[i] = spoken[j][1]
            i, j = i + 1, j + 1
        else:
            di, dj = _next_agreement(keys[i : i + _LOOKAHEAD], spoken[j : j + _LOOKAHEAD])
            i, j = i + di, j + dj
    return found


def _next_agreement(keys: Sequence[str], spoken: Sequence[tuple[str, int]]) -> tuple[int, int]:
    """How many atoms and words to skip until two agree; one each if none do."""
    pairs = (
        (di + dj, di, dj)
        for di, key in enumerate(keys)
        for dj, (other, _) in enumerate(spoken)
        if key == other
    )
    _, di, dj = min(pairs, default=(2, 1, 1))
    return di, dj


def _key(text: str) -> str:
    """Letters and digits alone, without case."""
    if text.isalnum():
        return text.casefold()
    return "".join(filter(_is_spoken, text)).casefold()


def _is_spoken(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _in_order(timed: Iterable[_Timed]) -> Iterator[_Timed]:
    """The same with times that never run backwards, as some services' do."""
    now = float("-inf")
    for atom, start, end in timed:
        start = max(now, start)  # noqa: PLW2901
        end = now = max(start, end)  # noqa: PLW2901
        yield atom, start, end


# --- where to break ---------------------------------------------------------------------------


def _with_breaks(timed: Iterable[_Timed]) -> list[Unit]:
    found: list[Unit] = []
    for atom, start, end in timed:
        if found and found[-1].after < Break.CLAUSE and start - found[-1].end >= _PAUSE:
            found[-1] = found[-1]._replace(after=Break.CLAUSE)
        text, spaced = atom
        found.append(Unit(text, display_width(text), spaced, start, end, _break_after(text)))
    return found


def _break_after(text: str) -> Break:
    if text.isalnum():
        return Break.WORD
    bare = text.rstrip("\"'”’»）)]」』】〉》")
    last = bare[-1:]
    if last == "." and (bare.casefold() in _TITLES or (len(bare) == 2 and bare[0].isupper())):
        return Break.WORD
    if last in _SENTENCE_ENDS:
        return Break.SENTENCE
    return Break.CLAUSE if last in _CLAUSE_ENDS else Break.WORD
