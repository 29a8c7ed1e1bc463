"""The model for each recording of a run: where none is named, length and size decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from asrcli.core.select import Choice, Need, choose
from asrcli.media.audio import AudioFile
from asrcli.providers.base import Model

__all__ = ["Chooser"]


@dataclass(slots=True)
class Chooser:
    """One for a run; recordings of one kind get the same choice."""

    need: Need
    usable: Mapping[str, bool]
    can_run: Callable[[Model], bool]
    on_choice: Callable[[Choice], None] = lambda _: None
    """Told of each model that is taken, once."""
    _made: dict[tuple[float, int], Choice] = field(default_factory=dict)

    def __call__(self, audio: AudioFile | None) -> Choice:
        """The choice for a recording; for None one of unknown length. Raises an `AsrError`."""
        kind = (0.0, 0) if audio is None else self.need.kind(audio.duration, audio.size)
        if kind not in self._made:
            need = self.need if audio is None else self.need.of(audio.duration, audio.size)
            choice = choose(need, usable=self.usable, can_run=self.can_run)
            if choice.model not in {made.model for made in self._made.values()}:
                self.on_choice(choice)
            self._made[kind] = choice
        return self._made[kind]
