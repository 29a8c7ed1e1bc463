"""Which model comes first for what: the tables that `core.select` reads from the top.

The order of the rows is the contract with users; a row counts if its condition holds. What a model
cannot do is not said here but in the catalogue: a row that does not serve is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asrcli.providers import catalogue, languages
from asrcli.providers.base import Feature, Model

if TYPE_CHECKING:
    from asrcli.core.select import Need

__all__ = ["has_models", "ranked"]


@dataclass(frozen=True, slots=True)
class _Row:
    why: str
    ids: tuple[str, ...]
    when: Callable[[Need], bool] | None = None
    """None is always."""


def _has_speakers_or_hotwords(need: Need) -> bool:
    return need.wants(Feature.DIARIZE, Feature.HOTWORDS)


def _is_long_with_prompt(need: Need) -> bool:
    return need.long and need.wants(Feature.PROMPT)


def _is_long_or_timed(need: Need) -> bool:
    if need.endless:
        return False
    # Nobody has looked at what a URL names: a job takes it whatever its length.
    unseen = need.duration is None and need.wants(Feature.URL)
    return need.long or unseen or need.wants(Feature.TIMES, Feature.WORDS, Feature.EMOTION)


def _is_long(need: Need) -> bool:
    return need.long


def _has_prompt(need: Need) -> bool:
    return need.wants(Feature.PROMPT)


def _suits_fun_asr(need: Need) -> bool:
    tag = languages.canonical(need.language) or ""
    return need.wants(Feature.HOTWORDS) or tag.partition("-")[0] in {"zh", "en", "ja"}


_IN_PIECES = _Row("for long recordings, in pieces", ("qwen3-asr-flash",), _is_long)
_SHORTEST = _Row("the shortest way", ("qwen3-asr-flash",))
_HERE = _Row("nothing leaves this computer", ("local",))

_RECORDINGS = {
    "qwen": (
        _Row("for speaker labels and hotwords", ("fun-asr",), _has_speakers_or_hotwords),
        _Row("takes a prompt with long recordings", ("qwen3.5-omni-flash",), _is_long_with_prompt),
        _Row(
            "for long recordings, times, and emotion for each segment",
            ("qwen3-asr-flash-filetrans",),
            _is_long_or_timed,
        ),
        _IN_PIECES,
        _SHORTEST,
        _Row("the first that does all of this", ("fun-asr", "qwen3-asr-flash-filetrans")),
        _Row("for rare languages", ("qwen3.5-omni-flash",)),
        _Row(
            "the newest, which does all of this at once",
            ("qwen-audio-3.1-asr-flash-filetrans", "qwen-audio-3.1-asr-flash"),
        ),
    ),
    "onemin": (
        _IN_PIECES,
        _SHORTEST,
        _Row("for languages that qwen3-asr-flash does not know", ("whisper-1",)),
    ),
    "openai": (_Row("what servers of this kind usually have", ("whisper-1",)),),
    "local": (_HERE,),
}
_LIVE = {
    "qwen": (
        _Row("takes a prompt", ("qwen3.5-omni-flash-realtime",), _has_prompt),
        _Row("takes hotwords; best for zh, en and ja", ("fun-asr-realtime",), _suits_fun_asr),
        _Row("live audio in many languages", ("qwen3-asr-flash-realtime",)),
        _Row("the first that does all of this", ("fun-asr-realtime",)),
        _Row("for rare languages", ("qwen3.5-omni-flash-realtime",)),
        _Row("the newest, which does all of this at once", ("qwen-audio-3.1-asr-flash-streaming",)),
    ),
    "local": (_HERE,),
}


def has_models(provider: str, *, realtime: bool) -> bool:
    """True if a table has rows for the provider."""
    return provider in (_LIVE if realtime else _RECORDINGS)


def ranked(need: Need, providers: Iterable[str]) -> Iterator[tuple[Model, str]]:
    """The models to try, best first, with why; a model may come more than once."""
    tables = _LIVE if need.realtime else _RECORDINGS
    for provider in providers:
        for row in tables.get(provider, ()):
            if row.when is None or row.when(need):
                for model_id in row.ids:
                    yield catalogue.resolve(model_id, provider=provider), row.why
