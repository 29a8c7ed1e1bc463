"""What is asked of the recognizer, in the user's own words, and the model that serves it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from asrcli.cli.choosing import known_provider
from asrcli.core.hotwords import Asked
from asrcli.core.inputs import Input
from asrcli.core.select import Choice
from asrcli.errors import ConfigurationError, UsageError
from asrcli.providers.base import Feature, Options

__all__ = ["TIMED", "Request", "provider_for", "read_prompt", "read_shard", "taken_as"]

TIMED = frozenset({"srt", "vtt", "tsv"})
"""Formats that make no sense without times."""
_PROMPT_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the recognizer."""

    model: str
    provider: str | None
    language: str | None
    itn: bool | None = None
    emotion: bool = False
    words: bool = False
    prompt: str | None = None
    diarize: bool = False
    speakers: int | None = None
    hotwords: Asked = field(default_factory=Asked)
    """Words to favor, or a list of them at the service."""

    def features(self, formats: Iterable[str]) -> frozenset[Feature]:
        """What a model must be able to do to serve this."""
        wanted = {
            Feature.EMOTION: self.emotion,
            Feature.WORDS: self.words,
            Feature.PROMPT: bool(self.prompt),
            Feature.TIMES: bool(TIMED.intersection(formats)),
            Feature.DIARIZE: self.diarize,
            Feature.HOTWORDS: bool(self.hotwords),
        }
        return frozenset(feature for feature, asked in wanted.items() if asked)

    def options(self, choice: Choice) -> Options:
        """The same for one model."""
        return Options(
            language=choice.language,
            itn=self.itn,
            prompt=self.prompt,
            words=self.words,
            emotion=self.emotion,
            diarize=self.diarize,
            speakers=self.speakers,
        )

    def fingerprint(self, **more: object) -> str:
        """A hash of all that decides what a result looks like."""
        fields = [asdict(self), more]
        text = json.dumps(fields, sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_shard(text: str) -> tuple[int, int]:
    """`I/N` as numbers, I from 1 to N."""
    number, mark, count = text.partition("/")
    if mark and number.isascii() and number.isdecimal() and count.isascii() and count.isdecimal():
        found = int(number[:9]), int(count[:9])
        if 1 <= found[0] <= found[1]:
            return found
    raise UsageError(f"{text!r} is no shard", hint="Write I/N, for example 1/4 to 4/4.")


def provider_for(request: Request, inputs: Sequence[Input]) -> str | None:
    """The provider that is named, or that the references belong to; None if neither is."""
    named = known_provider(request.provider)
    names = {i.reference.provider for i in inputs if i.reference and i.reference.provider}
    if len(names) > 1:
        raise UsageError("references of several providers cannot go to one", hint="Run twice.")
    return named or next(iter(names), None)


def taken_as(inputs: Sequence[Input]) -> frozenset[Feature]:
    """What a model has to take besides files."""
    references = [i.reference for i in inputs if i.reference is not None]
    return frozenset(Feature.UPLOAD if r.provider else Feature.URL for r in references)


def read_prompt(text: str | None) -> str | None:
    """The prompt itself, from the file that `@FILE` names where it does."""
    if text is None or not text.startswith("@"):
        return text
    name = text[1:]
    if not os.path.isfile(name):
        raise ConfigurationError(f"there is no file {name!r} to read the prompt from")
    try:
        with Path(name).open("rb") as file:
            content = file.read(_PROMPT_BYTES + 1)
        if len(content) > _PROMPT_BYTES:
            raise ConfigurationError(f"the prompt {name} is longer than {_PROMPT_BYTES:,} bytes")
        return content.decode("utf-8-sig").strip()
    except OSError as error:
        raise ConfigurationError(f"cannot read the prompt {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the prompt {name} is no text in UTF-8") from error
