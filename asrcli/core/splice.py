"""Two texts of sound that partly was the same: where to go over from one to the other.

The words at the seam were heard twice, but at the very edges: there a word may have been cut in
half, and be missing or misheard. The two are aligned as sequences are, by dynamic programming.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Token", "agreement", "splice", "tokens"]

_MOST = 60
"""Words on either side that are compared; more than anybody says in a shared stretch."""
_WRONG = 0.8
"""What a word costs that only one has, or the other has differently; one that agrees gives 1."""
_RAGGED = (0.0, 0.3, 0.8, 1.5)
"""What so many words cost that are left out at a ragged edge."""
_TOO_MANY, _TOO_FEW = 1.1, 0.3
"""What each word more or less than expected in the shared stretch costs."""
_LEAST = 0.25
"""With a smaller sum nothing agrees: a single word needs to be near both edges."""
_APART = 0.75
"""Seconds between the times of what may be the same word, as models are not exact."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word with the punctuation after it; one character in scripts without spaces."""

    key: str
    """What is compared: letters and digits in lower case."""
    begin: int
    end: int
    """Where it is in its text."""
    time: float | None = None
    """Seconds of the recording in its middle, where that is known."""


_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Myanmar, Khmer
    "\u2e80-\u312f\u3190-\ua4cf\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"  # Han, kana
)
_WORD = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")


def tokens(text: str) -> list[Token]:
    """The words of a text; punctuation by itself belongs to the word before it."""
    found: list[Token] = []
    for match in _WORD.finditer(text):
        key = _key(match.group())
        if key:
            found.append(Token(key, match.start(), match.end()))
        elif found:
            found[-1] = Token(found[-1].key, found[-1].begin, match.end())
    return found


def splice(left: str, right: str, *, expected: float | None = None) -> tuple[str, str]:
    """The two texts without what both have at the seam; one after the other, each word is once.

    `expected` is how many words the shared sound is likely to hold; it decides between
    alignments that are equally good, as of "no no no no". Where nothing agrees, nothing is taken.
    """
    ours, theirs = tokens(left), tokens(right)
    found = agreement(ours, theirs, expected=expected)
    if found is None:
        return left, right
    return left[: ours[found[0]].end].rstrip(), right[theirs[found[1]].end :].lstrip()


def agreement(
    left: Sequence[Token],
    right: Sequence[Token],
    *,
    expected: float | None = None,
    seam: float | None = None,
) -> tuple[int, int] | None:
    """The indices of one word in both, from where to go over; None where nothing agrees.

    Of all words that agree it is the one nearest to `seam`, a time in seconds, if all have times,
    else the middle one: the farthest from both edges.
    """
    tail, head = left[-_MOST:], right[:_MOST]
    pairs = _aligned(tail, head, expected)
    if not pairs:
        return None
    pair = pairs[len(pairs) // 2]
    if seam is not None:
        timed = [(abs(t - seam), p) for p in pairs if (t := tail[p[0]].time) is not None]
        if len(timed) == len(pairs):
            pair = min(timed)[1]
    return pair[0] + len(left) - len(tail), pair[1]


def _aligned(
    tail: Sequence[Token], head: Sequence[Token], expected: float | None
) -> list[tuple[int, int]]:
    """The pairs of words that agree in the best alignment of an end with a beginning."""
    scores, steps = _table(tail, head)
    best, at = _LEAST, None
    best_rank = float("-inf")
    for i in range(1, len(tail) + 1):
        for j in range(1, len(head) + 1):
            if not _same(tail[i - 1], head[j - 1]):
                continue
            skipped = len(tail) - i
            score = scores[i][j] - _ragged(skipped)
            # What is skipped is half a word: it is in the shared sound only in part.
            rank = score - _surprise(j + skipped / 2, expected)
            if score >= best and rank > best_rank:
                best_rank, at = rank, (i, j)
    return _traced(steps, tail, head, at) if at else []


def _table(
    tail: Sequence[Token], head: Sequence[Token]
) -> tuple[list[list[float]], list[list[tuple[int, int] | None]]]:
    """Best sums of alignments up to each pair, and the step before; None where one begins."""
    scores = [[-_ragged(j) for j in range(len(head) + 1)] for _ in range(len(tail) + 1)]
    steps: list[list[tuple[int, int] | None]] = [[None] * (len(head) + 1) for _ in scores]
    for i in range(1, len(tail) + 1):
        for j in range(1, len(head) + 1):
            gain = _gain(tail[i - 1], head[j - 1])
            for score, step in (
                (scores[i - 1][j - 1] + gain, (1, 1)),
                (scores[i - 1][j] - _WRONG, (1, 0)),
                (scores[i][j - 1] - _WRONG, (0, 1)),
            ):
                if score > scores[i][j]:
                    scores[i][j], steps[i][j] = score, step
    return scores, steps


def _traced(
    steps: list[list[tuple[int, int] | None]],
    tail: Sequence[Token],
    head: Sequence[Token],
    at: tuple[int, int],
) -> list[tuple[int, int]]:
    pairs = []
    i, j = at
    while i and j and (step := steps[i][j]) is not None:
        if step == (1, 1) and _same(tail[i - 1], head[j - 1]):
            pairs.append((i - 1, j - 1))
        i, j = i - step[0], j - step[1]
    return pairs[::-1]


def _same(one: Token, other: Token) -> bool:
    return _gain(one, other) > 0


def _gain(one: Token, other: Token) -> float:
    """1 for the same word at the same time, less the farther apart they are."""
    if one.key != other.key:
        return -_WRONG
    if one.time is None or other.time is None:
        return 1.0
    return max(1.0 - abs(one.time - other.time) / _APART, -_WRONG)


def _ragged(count: int) -> float:
    if count < len(_RAGGED):
        return _RAGGED[count]
    return _RAGGED[-1] + _WRONG * (count - len(_RAGGED) + 1)


def _surprise(count: float, expected: float | None) -> float:
    if expected is None:
        return 0.0
    more = count - expected
    return more * _TOO_MANY if more > 0 else -more * _TOO_FEW


def _key(word: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", word))).casefold()
