r"""Words to favor: how lists of them are written, and the way in which each model takes them.

A list is text in UTF-8, one word or phrase a line, with two optional fields behind tabs:

    Qwen
    Model Studio<TAB>5
    Straße<TAB>4<TAB>de

The weight is 1 to 5, or 50 for a super hotword; the language is BCP 47. Empty lines and those that
begin with `#` are left out; `\#` begins a word with that character. A number after a blank belongs
to the word, so a line like `GPT 4` could mean either and is refused: a tab tells the weight, and a
tab at the end tells that there is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from asrcli.errors import ConfigurationError, FeatureError, RefusedError, UsageError
from asrcli.providers import languages
from asrcli.providers.base import API, Feature, Hotword, Mode, Model, Options
from asrcli.providers.qwen.vocabularies import (
    FULL,
    GONE,
    USUAL_WEIGHT,
    Vocabularies,
    Vocabulary,
    check_hotwords,
    is_vocabulary_id,
    keeps_vocabularies,
    most_hotwords,
)

__all__ = [
    "AUTO_PREFIX",
    "Asked",
    "Plan",
    "apply_hotwords",
    "fitted",
    "merged",
    "parse_hotwords",
    "plan_hotwords",
    "read_hotwords",
    "read_list",
    "takes_hotwords",
    "write_hotwords",
]

AUTO_PREFIX = "asrcliauto"
"""Marks the lists that are made on the way to a recognition, and may be made again."""
_MOST_BYTES = 1_000_000
_WEIGHTS = frozenset({1, 2, 3, 4, 5, 50})
_LINE_END = re.compile(r"\r\n|\r|\n")
_ENDS_IN_WEIGHT = re.compile(r"\s(?:[1-5]|50)$")

_CONTEXT = "Words that may occur: {}."
_MOST_TOKENS = 8_000
"""Of prompt and words together: qwen3-asr-flash reads 10,000 (its API reference)."""
_MOST_TOKENS_OPENAI = 200
"""Whisper reads the last 224 (https://developers.openai.com/docs/guides/speech-to-text)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user asked for: words, a list that is kept at the service, or both."""

    words: tuple[Hotword, ...] = ()
    vocabulary: str | None = None

    def __bool__(self) -> bool:
        return bool(self.words or self.vocabulary)


# --- lists as people write them ---------------------------------------------------------------


def read_hotwords(source: str | None, words: Iterable[str] = ()) -> Asked:
    """What `--hotwords SOURCE` and `--hotword WORD…` ask for; a file beats an id of its name.

    Raises ConfigurationError for what is neither, or cannot be read, with the number of the line.
    """
    single = _parsed(words, "--hotword", numbered=False)
    if source is None:
        return Asked(single)
    if not os.path.exists(source) and is_vocabulary_id(source):
        return Asked(single, source)
    return Asked(merged(single, read_list(Path(source))))


def merged(single: Sequence[Hotword], listed: Sequence[Hotword]) -> tuple[Hotword, ...]:
    """Words of the command line and those of a list, less those of it that were given singly."""
    given = {(word.text, word.language) for word in single}
    return (*single, *(word for word in listed if (word.text, word.language) not in given))


def read_list(path: Path) -> tuple[Hotword, ...]:
    """The words in a file; raises ConfigurationError."""
    name = str(path)
    if path.is_dir() or not path.exists():
        what = "is a folder" if path.is_dir() else "is no file and no id of a list"
        hint = "Give a file with one word a line, or an id of `asrcli hotwords list`."
        raise ConfigurationError(f"{name!r} {what}", hint=hint)
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {name}: {error.strerror}") from error
    return parse_hotwords(content, name)


def parse_hotwords(content: bytes, name: str) -> tuple[Hotword, ...]:
    """The words of a list; raises ConfigurationError, also for one without any."""
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(f"{name} is longer than {_MOST_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{name} is no text in UTF-8") from error
    words = _parsed(_LINE_END.split(text), name, numbered=True)
    if not words:
        raise ConfigurationError(f"{name} holds no hotwords")
    return words


def write_hotwords(words: Iterable[Hotword]) -> str:
    """A list that `parse_hotwords` reads as these words."""
    return "".join(f"{_line(word)}\n" for word in words)


def _line(word: Hotword) -> str:
    text = f"\\{word.text}" if word.text.startswith("#") else word.text
    if word.language:
        return f"{text}\t{word.weight or ''}\t{word.language}"
    if word.weight is not None:
        return f"{text}\t{word.weight}"
    return f"{text}\t" if _ENDS_IN_WEIGHT.search(text) else text


def _parsed(lines: Iterable[str], name: str, *, numbered: bool) -> tuple[Hotword, ...]:
    found: dict[tuple[str, str | None], tuple[Hotword, str]] = {}
    for number, line in enumerate(lines, start=1):
        if numbered and (not line.strip() or line.lstrip().startswith("#")):
            continue
        place = f"{name}, line {number}" if numbered else name
        word = _word(line, place, strict=numbered)
        earlier, where = found.setdefault((word.text, word.language), (word, place))
        if earlier != word:
            raise ConfigurationError(
                f"{place}: {word.text!r} has another weight than before ({where})"
            )
    return tuple(word for word, _ in found.values())


def _word(line: str, place: str, *, strict: bool) -> Hotword:
    fields = [" ".join(field.split()) for field in line.split("\t")]
    text, weight, language, *more = [*fields, "", ""][: max(3, len(fields))]
    if any(more):
        raise ConfigurationError(f"{place}: more than word, weight and language")
    if not text or not text.isprintable():
        what = "there is no word" if not text else "the word holds what cannot be printed"
        raise ConfigurationError(f"{place}: {what}")
    if strict and len(fields) == 1 and _ENDS_IN_WEIGHT.search(text):
        raise ConfigurationError(
            f"{place}: {text!r} may end in a weight or in a number",
            hint="Write a tab before a weight; if the number belongs to the word, end with a tab.",
        )
    text = text.removeprefix("\\") if text.startswith("\\#") else text
    return Hotword(text, _weight(weight, place), _language(language, place))


def _weight(text: str, place: str) -> int | None:
    if not text:
        return None
    weight = int(text) if re.fullmatch("[0-9]{1,3}", text) else 0
    if weight not in _WEIGHTS:
        raise ConfigurationError(f"{place}: {text!r} is no weight: those are 1 to 5, or 50")
    return weight


def _language(text: str, place: str) -> str | None:
    if not text:
        return None
    code = languages.canonical(text)
    if code is None:
        near = ", ".join(languages.nearest(text))
        hint = f"Did you mean {near}?" if near else "It is a code such as en, zh or yue."
        raise ConfigurationError(f"{place}: there is no language {text!r}", hint=hint)
    return code


# --- what a model makes of them ---------------------------------------------------------------


class _Way(Enum):
    KEPT = "a list that the service keeps"
    INSIDE = "words and weights in the request"
    NAMED = "words in the instructions"
    CONTEXT = "words in the prompt"


@dataclass(frozen=True, slots=True)
class Plan:
    """How hotwords will reach a model; nothing was sent yet."""

    model: Model
    words: tuple[Hotword, ...] = ()
    """Those that are used, with languages in the model's own codes."""
    vocabulary: str | None = None
    way: _Way | None = None
    warnings: tuple[str, ...] = ()

    @property
    def makes_list(self) -> bool:
        """True if a list has to be at the service before the recognition."""
        return self.way is _Way.KEPT and bool(self.words)


def takes_hotwords(model: Model) -> bool:
    """True for a model that can be given words, be it as part of its prompt."""
    return _way(model) is not None


def plan_hotwords(asked: Asked, model: Model, options: Options = Options()) -> Plan:  # noqa: B008
    """What will be done; raises FeatureError and UsageError for what cannot be."""
    if not asked:
        return Plan(model)
    way = _way(model)
    if way is None:
        instead = "fun-asr-realtime" if model.mode is Mode.REALTIME else "fun-asr"
        raise FeatureError("hotwords", model.id, [instead])
    if asked.vocabulary and not keeps_vocabularies(model):
        instead = "fun-asr-realtime" if model.mode is Mode.REALTIME else "fun-asr"
        raise FeatureError("lists of hotwords", model.id, [instead])
    if way is _Way.INSIDE and any(word.language for word in asked.words):
        way = _Way.KEPT  # in the request, words have no language
    if asked.vocabulary and asked.words and way is _Way.KEPT:
        raise UsageError(
            f"{model.id} reads one list of hotwords: {asked.vocabulary}, or the words",
            hint="`asrcli hotwords update` changes a list.",
        )
    if way in {_Way.KEPT, _Way.INSIDE}:
        words, warnings = fitted(asked.words, model)
        warnings = (*warnings, *_unheard(words, options.language))
    else:
        words, warnings = _within_prompt(asked.words, model, options)
    return Plan(model, words, asked.vocabulary, way, warnings)


def fitted(words: Sequence[Hotword], model: Model) -> tuple[tuple[Hotword, ...], tuple[str, ...]]:
    """The words as a list for the model may have them, and warnings; raises UsageError."""
    told = tuple(
        replace(w, language=languages.language_for(model, w.language)) if w.language else w
        for w in words
    )
    check_hotwords(told, model)
    most = most_hotwords(model)
    return told[:most], _left_out(len(told) - most, model, f"{most:,} hotwords")


def apply_hotwords(
    plan: Plan,
    options: Options,
    *,
    service: Callable[[], Vocabularies],
    recall: Callable[[str], str | None],
    keep: Callable[[str, str], None],
) -> tuple[Options, tuple[str, ...]]:
    """The options with the hotwords in them, and warnings beyond those of the plan.

    A list that the model needs is made at the service, once for each content and model: `recall`
    gives the id that `keep` was given for a key. One that is gone is made again. `service` is only
    called where it is needed, and what it gives is closed here. Raises an `AsrError` for what the
    service refuses, UsageError for a list of another model.
    """
    warnings: list[str] = []
    vocabulary, words = plan.vocabulary, plan.words
    if vocabulary is not None or plan.makes_list:
        with closing(service()) as lists:
            if vocabulary is not None:
                warnings += _checked(vocabulary, plan.model, lists)
            if plan.makes_list:
                vocabulary, more = _made(words, plan.model, lists, recall, keep)
                warnings += more
    match plan.way:
        case _Way.INSIDE | _Way.NAMED:
            options = replace(options, hotwords=words)
        case _Way.CONTEXT if words:
            context = _CONTEXT.format(", ".join(word.text for word in words))
            options = replace(options, prompt="\n".join(filter(None, (options.prompt, context))))
    return replace(options, vocabulary=vocabulary), tuple(warnings)


def _way(model: Model) -> _Way | None:
    if model.family == "qwen-audio" and Feature.HOTWORDS in model.features:
        return _Way.INSIDE
    if keeps_vocabularies(model):
        return _Way.KEPT
    if "omni" in model.family or (model.provider == "openai" and model.mode is Mode.REALTIME):
        return _Way.NAMED
    return _Way.CONTEXT if Feature.PROMPT in model.features else None


def _within_prompt(
    words: Sequence[Hotword], model: Model, options: Options
) -> tuple[tuple[Hotword, ...], tuple[str, ...]]:
    """As many as the prompt has room for, the weightiest first."""
    most = _MOST_TOKENS_OPENAI if model.api is API.OPENAI else _MOST_TOKENS
    room = most - _tokens(f"{options.prompt or ''}{_CONTEXT}")
    ordered = sorted(words, key=lambda word: -(word.weight or USUAL_WEIGHT))
    kept: list[Hotword] = []
    for word in ordered:
        room -= _tokens(word.text) + 1
        if room < 0:
            break
        kept.append(word)
    return tuple(kept), _left_out(len(words) - len(kept), model, "no more in its prompt")


def _tokens(text: str) -> int:
    """A cautious count: three characters of ASCII, or one of any other script."""
    plain = sum(character.isascii() for character in text)
    return -(-plain // 3) + len(text) - plain


def _left_out(count: int, model: Model, most: str) -> tuple[str, ...]:
    if count <= 0:
        return ()
    were = "was" if count == 1 else "were"
    return (f"{model.id} takes {most}: the last {count:,} {were} left out",)


def _unheard(words: Sequence[Hotword], language: str | None) -> tuple[str, ...]:
    """With a language, the service heeds only the words of that language, and those of none."""
    others = [w for w in words if language and w.language and w.language != language]
    if not others:
        return ()
    return (f"{len(others):,} hotwords are for another language than {language}: no effect",)


# --- lists at the service ---------------------------------------------------------------------


def _checked(identity: str, model: Model, service: Vocabularies) -> list[str]:
    """Warnings about a list that was named; raises UsageError for one of another model."""
    found = service.show(identity)
    if found.model != model.id:
        raise UsageError(
            f"{identity} was made for {found.model}: {model.id} would ignore it",
            hint=f"Choose -m {found.model}, or make a list with `asrcli hotwords create`.",
        )
    return _usable(found)


def _usable(found: Vocabulary) -> list[str]:
    told = f"the list {found.id} is {found.status}: it may have no effect"
    return [] if found.usable else [told]


def _made(
    words: Sequence[Hotword],
    model: Model,
    service: Vocabularies,
    recall: Callable[[str], str | None],
    keep: Callable[[str, str], None],
) -> tuple[str, list[str]]:
    """The id of a list with these words for this model, and warnings."""
    key = _key(words, model, service.place)
    found = _known(recall(key), model, service)
    # Or made by a run that did not, or could not, keep its id.
    found = found or service.find(words, model, prefix=AUTO_PREFIX)
    if found is not None:
        keep(key, found.id)
        return found.id, _usable(found)
    warnings = []
    try:
        identity = service.create(words, model, prefix=AUTO_PREFIX)
    except RefusedError as error:
        old = _oldest(service) if error.code == FULL else None
        if old is None:
            raise
        service.delete(old)
        warnings.append(f"the account had no room for a list of hotwords: {old} was deleted")
        identity = service.create(words, model, prefix=AUTO_PREFIX)
    keep(key, identity)
    return identity, [*warnings, *_usable(service.show(identity))]


def _known(identity: str | None, model: Model, service: Vocabularies) -> Vocabulary | None:
    """The list that was kept, if it is still there."""
    if identity is None:
        return None
    try:
        found = service.show(identity)
    except RefusedError as error:
        if error.code != GONE:
            raise
        return None
    return found if found.model == model.id else None


def _oldest(service: Vocabularies) -> str | None:
    """Of the lists that were made like this one, and can be made again."""
    own = service.list(prefix=AUTO_PREFIX)
    return min(own, key=lambda v: v.modified or v.created or "").id if own else None


def _key(words: Sequence[Hotword], model: Model, place: str) -> str:
    content = [[word.text, word.weight or USUAL_WEIGHT, word.language] for word in words]
    text = json.dumps([place, model.id, content])
    return hashlib.sha256(text.encode()).hexdigest()
