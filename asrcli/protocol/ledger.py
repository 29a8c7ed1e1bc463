"""The utterances of one connection: each gets one final, and each in its turn.

Services send partials late, finals twice and sometimes the second before the first. Here they are
put in order: a final waits for those before it, but not for ever, because one that never comes must
not silence all that follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from asrcli.protocol.events import Hypothesis
from asrcli.transcript import Timing, Word

__all__ = ["Ledger", "Utterance"]

_MOST_WAITING = 4
"""So many later utterances may be final before one that is not is taken as it stands."""
_MOST_OPEN = 64
"""More at a time is no speech but a service gone mad."""

_RUN_UP = 0.5
"""Seconds before speech that are kept with it, since its first sound may be found late."""


@dataclass(slots=True)
class Utterance:
    """One utterance as far as it is known; filled by the dialogue as its messages come."""

    name: str
    rank: float
    start: float | None = None
    end: float | None = None
    timing: Timing = Timing.NONE
    text: str = ""
    stable: str = ""
    words: tuple[Word, ...] = ()
    language: str | None = None
    emotion: str | None = None
    speaker: str | None = None
    promised: bool = True
    """A final is to be expected; the ones after it wait for it."""
    settled: bool = False
    complete: bool = True
    committed: float | None = None
    """Seconds of audio that were sent when the service took it for ended."""
    shown: Hypothesis | None = field(default=None, repr=False)

    def partial(self) -> Hypothesis | None:
        """What is heard so far, if that differs from what was told before."""
        hypothesis = self._hypothesis(final=False)
        if hypothesis == self.shown or not (hypothesis.text or self.shown):
            return None
        self.shown = hypothesis
        return hypothesis

    def final(self) -> Hypothesis:
        """The last word on it."""
        return self._hypothesis(final=True)

    def _hypothesis(self, *, final: bool) -> Hypothesis:
        return Hypothesis(
            text=self.text,
            utterance=self.name,
            final=final,
            start=self.start,
            end=self.end,
            timing=self.timing if self.start is not None else Timing.NONE,
            stable=self.text if final else self.stable,
            words=self.words,
            language=self.language,
            emotion=self.emotion,
            speaker=self.speaker,
            complete=self.complete,
        )


class Ledger:
    """Opens utterances by name, and lets their finals out in order of rank."""

    def __init__(self) -> None:
        self._open: list[Utterance] = []
        self._passed: set[str] = set()
        self._last = float("-inf")
        self.answered = 0.0
        """Seconds up to which all audio has its final, or had no speech in it."""

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def waiting(self) -> bool:
        """True while a final is to be expected."""
        return any(utterance.promised and not utterance.settled for utterance in self._open)

    def find(self, name: str) -> Utterance | None:
        """The utterance of that name, unless its final is out or there is none."""
        return next((u for u in self._open if u.name == name), None)

    def passed(self, name: str) -> bool:
        """True when the turn of that utterance is over."""
        return name in self._passed

    def open(self, name: str, *, rank: float | None = None) -> Utterance | None:
        """The utterance of that name, made if need be; None when its turn is over.

        Without a rank it comes after all that are known.
        """
        if found := self.find(name):
            return found
        ranks = [self._last, *(u.rank for u in self._open)]
        place = max(ranks) + 1 if rank is None and max(ranks) > float("-inf") else rank or 0.0
        if name in self._passed or place <= self._last:
            return None
        utterance = Utterance(name, place)
        self._open.append(utterance)
        self._open.sort(key=lambda u: u.rank)
        return utterance

    def release(self) -> list[Hypothesis]:
        """The finals whose turn it is."""
        finals = []
        while self._open and self._due():
            finals.extend(self._pass(self._open.pop(0)))
        self.advance()
        return finals

    def release_all(self) -> list[Hypothesis]:
        """The finals of all there are: a partial becomes one that is marked incomplete."""
        finals = []
        while self._open:
            finals.extend(self._pass(self._open.pop(0)))
        return finals

    def advance(self) -> None:
        """Count as answered what lies before the speech that is open now: it was listened to."""
        starts = [utterance.start for utterance in self._open]
        known = [start for start in starts if start is not None]
        if known and len(known) == len(starts):
            self._move(min(known) - _RUN_UP)

    def _due(self) -> bool:
        head = self._open[0]
        if head.settled or len(self._open) > _MOST_OPEN:
            return True
        later = sum(utterance.settled for utterance in self._open)
        return later > _MOST_WAITING or (later > 0 and not head.promised)

    def _pass(self, utterance: Utterance) -> list[Hypothesis]:
        self._passed.add(utterance.name)
        self._last = utterance.rank
        if not utterance.settled:
            if not utterance.text:
                return []
            utterance.complete = False
        if utterance.complete:
            self._move(utterance.end if utterance.end is not None else utterance.committed)
        return [utterance.final()]

    def _move(self, to: float | None) -> None:
        self.answered = max(self.answered, to or 0.0)
