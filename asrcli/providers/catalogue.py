"""The models there are: data in `catalogue.toml`, read once, and only when somebody asks.

An id that is not in it may still belong to a family that is: `resolve` then gives a model with the
limits and features of the family, and `known` is False. All ids are found whatever their case.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from asrcli.errors import UnknownModelError, UsageError
from asrcli.providers.base import API, Feature, Mode, Model, Price

__all__ = ["find", "models", "nearest", "resolve", "sibling"]

_FILE = Path(__file__).with_name("catalogue.toml")
_ID = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,199}", re.ASCII)
"""What an id may look like: it goes into URLs, headers and names of files."""

_Row = dict[str, Any]


@cache
def models() -> tuple[Model, ...]:
    """All models, those of the preferred providers first."""
    return tuple(_model(row) for row in _data()["model"])


def find(id: str, *, provider: str | None = None) -> list[Model]:  # noqa: A002 - as the field
    """The models that go by this id, snapshot or alias, one a provider, the preferred first.

    A snapshot is found as a model of its own: its `id` is the one that was asked for.
    """
    found = _names().get(id.casefold(), ())
    return [model for model in found if provider in {None, model.provider}]


def resolve(id: str, *, provider: str | None = None) -> Model:  # noqa: A002 - as the field
    """The model of this id; without a provider the preferred one that has it.

    An id that is not in the catalogue passes if a pattern of its family matches: without a provider
    those of Qwen Cloud are tried, with one its own (with `openai` any id passes). Raises
    UsageError for an id that is not offered, UnknownModelError for all others.
    """
    found = find(id, provider=provider)
    if found:
        return found[0]
    service = provider or "qwen"
    if service == "qwen":
        _refuse_withdrawn(id)
    model = _of_family(id, service) if _ID.fullmatch(id) else None
    if model is None:
        raise _unknown(id, provider)
    return model


def sibling(model: Model) -> Model | None:
    """The model of the same family and provider for the other mode, or None if there is none.

    The one whose id differs least comes first: `fun-asr` for `fun-asr-realtime`.
    """
    others = [
        other
        for other in models()
        if (other.provider, other.family) == (model.provider, model.family)
        and other.mode is not model.mode
    ]
    return max(others, key=lambda other: _likeness(other.id, model.id), default=None)


def nearest(model: Model) -> list[str]:
    """Up to three other ids of the same provider and mode, the likest first."""
    others = [
        other.id
        for other in models()
        if (other.provider, other.mode) == (model.provider, model.mode) and other.id != model.id
    ]
    return sorted(others, key=lambda id: -_likeness(id, model.id))[:3]  # noqa: A006 - as the field


def _likeness(one: str, other: str) -> float:
    bare = re.compile(r"-(realtime|streaming|message)|-\d{4}-\d\d-\d\d$")
    return difflib.SequenceMatcher(None, bare.sub("", one), bare.sub("", other)).ratio()


# --- unknown ids ------------------------------------------------------------------------------


def _of_family(id: str, provider: str) -> Model | None:  # noqa: A002 - as the field
    for match, model in _patterns():
        if model.provider == provider and fnmatchcase(id.casefold(), match):
            return replace(model, id=id)
    return None


def _refuse_withdrawn(id: str) -> None:  # noqa: A002 - as the field
    for row in _data()["other"]["withdrawn"]:
        if fnmatchcase(id.casefold(), row["match"]):
            raise UsageError(f"{id} is not offered: {row['why']}")


def _unknown(id: str, provider: str | None) -> UnknownModelError:  # noqa: A002 - as the field
    names = [name for name in _names() if find(name, provider=provider)]
    nearest = difflib.get_close_matches(id.casefold(), names, n=3, cutoff=0.5)
    error = UnknownModelError(id, nearest, provider=provider)
    if elsewhere := find(id):
        error.hint = f"{elsewhere[0].provider} has it: leave -p out, or choose another model."
    return error


# --- reading ----------------------------------------------------------------------------------


@cache
def _data() -> dict[str, Any]:
    import tomllib

    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


@cache
def _patterns() -> tuple[tuple[str, Model], ...]:
    rows = _data()["other"]["patterns"]
    return tuple((row["match"], _model({**row, "id": row["match"]}, known=False)) for row in rows)


@cache
def _names() -> dict[str, tuple[Model, ...]]:
    """From each name in lower case to what goes by it."""
    names: dict[str, tuple[Model, ...]] = {}
    for row, model in zip(_data()["model"], models(), strict=True):
        called = [(model.id, model)]
        called += [(name, replace(model, id=name)) for name in row.get("snapshots", ())]
        called += [(name, model) for name in row.get("aliases", ())]
        for name, meant in called:
            names[name.casefold()] = (*names.get(name.casefold(), ()), meant)
    return names


def _model(row: _Row, *, known: bool = True) -> Model:
    merged = _merged(row)
    for key in ("match", "like"):
        merged.pop(key, None)
    data = _data()
    price = merged.pop("price", None)
    aliases = (*merged.pop("snapshots", ()), *merged.pop("aliases", ()))
    return Model(
        mode=Mode(merged.pop("mode", "batch")),
        api=API(merged.pop("api")),
        features=frozenset(map(Feature, merged.pop("features"))),
        approximate=frozenset(map(Feature, merged.pop("approximate", ()))),
        languages=_set("language", merged.pop("languages", "")),
        formats=frozenset(_set("format", merged.pop("formats", ""))),
        price=Price(**data["price"][price]) if price else None,
        regions=tuple(merged.pop("regions", ())),
        aliases=aliases,
        sources=tuple(data["page"][page] for page in merged.pop("sources")),
        known=known,
        **merged,
    )


def _set(kind: str, value: str | list[str]) -> tuple[str, ...]:
    """The members of a set: by the name of the set, or written out."""
    if isinstance(value, str):
        value = _data()[kind].get(value, value).split()
    return tuple(value)


def _merged(row: _Row) -> _Row:
    """A row on top of what it is like."""
    base = _merged(_data()["base"][row["like"]]) if "like" in row else {}
    merged = {**base, **row}
    kept = set(merged.get("features", ())) - set(merged.pop("without", ()))
    merged["features"] = kept | set(merged.pop("with", ()))
    return merged
