"""Languages: what users type, what each model wants, and what services answer.

A user may type BCP 47 (`pt-BR`), any ISO 639 code (`por`), the name of a locale (`pt_BR.UTF-8`) or
an English name (`Portuguese`). Each model has codes of its own, or wants a name in its prompt. The
table of languages is data, in `languages.tsv`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from asrcli.errors import LanguageError
from asrcli.providers import catalogue
from asrcli.providers.base import Model

__all__ = ["canonical", "knows", "language_for", "name_of", "nearest", "refusal"]

_FILE = Path(__file__).with_name("languages.tsv")

_STANDS_IN = {"nb": "no", "nn": "no", "no": "nb"}
"""What a model may have instead: written Norwegian is one language for most."""
_DIALECTS = {
    # zh is "Mandarin with Sichuanese, Minnan, Wu": the page of the Qwen-ASR API.
    "qwen3-asr": frozenset({"nan", "wuu"}),
    # zh has the seven groups of dialects: the pages of fun-asr and qwen-audio-3.0-asr-flash.
    "fun-asr": frozenset({"yue", "nan", "wuu", "hak", "gan", "hsn", "cjy"}),
    "qwen-audio": frozenset({"yue", "nan", "wuu", "hak", "gan", "hsn", "cjy"}),
}
"""By family: what its `zh` includes."""
_REGIONAL = frozenset({"google"})
"""Families that take any BCP 47 tag, but only with a region."""
_BY_NAME = frozenset({"qwen3-omni", "qwen3.5-omni", "qwen3.8-omni"})
"""Families that have no field for the language: its name goes into the prompt."""
_IN_PROMPT = {"nb": "Norwegian", "nn": "Norwegian"}
_ISO_639_1 = {"fil": "tl", "nb": "no"}
"""Where the open servers of OpenAI's kind, most of which run Whisper, want another code."""
_REGIONS = {
    "ar": "AE EG SA",
    "de": "DE AT CH",
    "en": "US GB AU",
    "es": "ES MX US",
    "fr": "FR CA BE",
    "it": "IT CH",
    "nl": "NL BE",
    "pt": "BR PT",
    "zh": "CN TW HK",
    "bn": "BD IN",
    "cs": "CZ",
    "da": "DK",
    "el": "GR",
    "fi": "FI",
    "fil": "PH",
    "he": "IL",
    "hi": "IN",
    "hu": "HU",
    "id": "ID",
    "ja": "JP",
    "ko": "KR",
    "ms": "MY",
    "nb": "NO",
    "no": "NO",
    "pl": "PL",
    "ro": "RO",
    "ru": "RU",
    "sv": "SE",
    "ta": "IN",
    "th": "TH",
    "tr": "TR",
    "uk": "UA",
    "vi": "VN",
    "yue": "HK",
}
"""Regions to suggest where one is missing; not a list of what is allowed."""


@dataclass(frozen=True, slots=True)
class _Language:
    code: str
    others: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Tag:
    language: _Language
    script: str = ""
    region: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.language.code, self.script, self.region)))


def canonical(code: str | None) -> str | None:
    """A code or name, in whatever spelling, as BCP 47; None for what names no known language."""
    tag = _parse(code) if code else None
    return str(tag) if tag else None


def name_of(code: str) -> str:
    """The English name of a language, or the code itself if it is not known."""
    tag = _parse(code)
    return tag.language.names[0] if tag else code


def knows(model: Model, wanted: str) -> bool:
    """True if the model can be asked for the language."""
    tag = _parse(wanted)
    return tag is not None and _own(model, tag) is not None


def language_for(model: Model, wanted: str, *, among: Iterable[Model] | None = None) -> str:
    """What the model wants to be told for the language `wanted`: its own code, or a name.

    Raises LanguageError with the nearest names if `wanted` is no language or lacks its region, and
    else with those of the models `among` (all, if not given) that know it.
    """
    tag = _parse(wanted)
    own = _own(model, tag) if tag is not None else None
    if own is not None:
        return own
    others = catalogue.models() if among is None else among
    raise refusal(model, wanted, others=_pointer(model, wanted, others) if tag else "")


def refusal(model: Model, wanted: str, *, others: str = "") -> LanguageError:
    """The error for a language that the model does not know; `others` says what does."""
    tag = _parse(wanted)
    if tag is None:
        return LanguageError(wanted, model.id, nearest(wanted, model), others=others)
    if model.family in _REGIONAL:
        code = tag.language.code
        regions = [f"{code}-{region}" for region in _REGIONS.get(code, "").split()]
        wants = "It wants BCP 47 with a region, for example en-US."
        return LanguageError(wanted, model.id, regions, others=wants)
    return LanguageError(wanted, model.id, [], others=others)


def nearest(wanted: str, model: Model | None = None) -> list[str]:
    """Up to three languages, of the model if there is one, that look like what was typed."""
    typed = wanted.strip().casefold()
    offered = [
        language
        for language in _table().values()
        if model is None or _own(model, _Tag(language)) is not None
    ]
    if len(typed) <= 3:
        words = {language.code: language.code for language in offered}
    else:
        words = {name.casefold(): name for language in offered for name in language.names}
    return [words[match] for match in difflib.get_close_matches(typed, words, n=3, cutoff=0.65)]


# --- what a model wants -----------------------------------------------------------------------


def _own(model: Model, tag: _Tag) -> str | None:
    """The model's own word for the language, or None if it does not know it."""
    code = tag.language.code
    if model.family in _REGIONAL:
        return str(tag) if tag.region else None
    if not model.languages:
        return _ISO_639_1.get(code, code)
    own = _own_codes(model.languages)
    for candidate in (code, _STANDS_IN.get(code), _including(model.family, code)):
        if candidate in own:
            return _prompt_name(tag) if model.family in _BY_NAME else own[candidate]
    return None


@cache
def _own_codes(codes: tuple[str, ...]) -> dict[str | None, str]:
    """A model's codes by what they are in BCP 47."""
    return {canonical(code): code for code in codes}


def _including(family: str, code: str) -> str | None:
    return "zh" if code in _DIALECTS.get(family, ()) else None


def _prompt_name(tag: _Tag) -> str:
    return _IN_PROMPT.get(tag.language.code, tag.language.names[0])


def _pointer(model: Model, wanted: str, others: Iterable[Model]) -> str:
    ids = {
        other.id: None
        for other in others
        if other.mode is model.mode and other.id != model.id and knows(other, wanted)
    }
    return f"{', '.join(list(ids)[:3])} can: choose it with -m." if ids else ""


# --- reading ----------------------------------------------------------------------------------


def _parse(text: str) -> _Tag | None:
    """A code, tag, locale or name as a tag; None if it begins with no known language."""
    plain = re.split(r"[.@]", text.strip())[0].replace("_", "-").casefold()
    by_name = _table().get(_names().get(plain, ""))
    if by_name is not None:
        return _Tag(by_name)
    if not re.fullmatch(r"[a-z]{2,3}(-[a-z0-9]{1,8})*", plain):
        return None
    first, *rest = plain.split("-")
    language = _table().get(_codes().get(first, ""))
    if language is None:
        return None
    if rest and len(rest[0]) == 3 and (extended := _table().get(_codes().get(rest[0], ""))):
        # An extended language such as zh-yue is that language.
        language, rest = extended, rest[1:]
    script = next((part.title() for part in rest[:1] if re.fullmatch("[a-z]{4}", part)), "")
    rest = rest[1:] if script else rest
    region = next((p.upper() for p in rest[:1] if re.fullmatch(r"[a-z]{2}|\d{3}", p)), "")
    return _Tag(language, script, region)


@cache
def _table() -> dict[str, _Language]:
    """All languages by their code."""
    table = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            code, others, names = line.split("\t")
            table[code] = _Language(code, tuple(others.split()), tuple(names.split("; ")))
    return table


@cache
def _codes() -> dict[str, str]:
    return {c: lang.code for lang in _table().values() for c in (lang.code, *lang.others)}


@cache
def _names() -> dict[str, str]:
    return {name.casefold(): lang.code for lang in _table().values() for name in lang.names}
