"""What `asrcli models` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asrcli.cli.choosing import known_provider
from asrcli.errors import UsageError
from asrcli.output.console import Console
from asrcli.output.sanitize import for_json
from asrcli.providers import catalogue, facts, languages
from asrcli.providers.base import Feature, Mode, Model
from asrcli.providers.registry import can_run, engine_problem
from asrcli.settings import PROVIDERS, Settings

__all__ = ["Wanted", "show_all", "show_one"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which models are shown; everything unset is no condition."""

    provider: str | None = None
    language: str | None = None
    modes: frozenset[Mode] = frozenset()
    features: frozenset[Feature] = frozenset()

    def takes(self, model: Model) -> bool:
        """True for a model that is shown."""
        return (
            self.provider in {None, model.provider}
            and (self.language is None or languages.knows(model, self.language))
            and (not self.modes or model.mode in self.modes)
            # Emotion is the one thing that asrcli asks for in a prompt; the rest would be invented.
            and self.features <= model.features | (model.approximate & {Feature.EMOTION})
        )


def show_all(console: Console, wanted: Wanted, *, as_json: bool) -> None:
    """The models that are wanted, as a table or as one JSON array."""
    known_provider(wanted.provider)
    if wanted.language is not None and languages.canonical(wanted.language) is None:
        near = ", ".join(languages.nearest(wanted.language))
        raise UsageError(
            f"there is no language {wanted.language!r}",
            hint=f"Did you mean {near}?" if near else None,
        )
    usable = _usable(console)
    found = [model for model in catalogue.models() if wanted.takes(model)]
    if as_json:
        console.write_data([f"{for_json([_record(m, usable) for m in found], indent=2)}\n"])
        return
    if not found:
        console.note("no model can do all of this")
    columns = ("", "model", "provider", "for", "languages", "can", "most", "price")
    console.table(columns, [_row(model, usable) for model in found])
    console.note("* can be used now; ~ only by asking for it in the prompt")


def show_one(console: Console, name: str, wanted: Wanted, *, as_json: bool) -> None:
    """One model in full, at each provider that has it."""
    provider = known_provider(wanted.provider)
    found = catalogue.find(name, provider=provider) or [catalogue.resolve(name, provider=provider)]
    usable = _usable(console)
    if as_json:
        console.write_data([f"{for_json([_record(m, usable) for m in found], indent=2)}\n"])
        return
    for number, model in enumerate(found):
        if number:
            console.write_data(["\n"])
        console.write_data(f"{key + ':':<14}{value}\n" for key, value in _facts(model, usable))


def _usable(console: Console) -> dict[str, str]:
    """For each provider why it cannot be used now; empty if it can."""
    settings = Settings(warn=console.warning)
    reasons = {}
    for name in PROVIDERS:
        if name == "local":
            reasons[name] = engine_problem() or ""
        elif settings.usable(name):
            reasons[name] = ""
        elif name == "openai":
            reasons[name] = "set OPENAI_BASE_URL"
        else:
            reasons[name] = f"set {settings.key_places(name)[1]}"
    return reasons


def _reason(model: Model, usable: Mapping[str, str]) -> str:
    if not can_run(model):
        return "this version of asrcli cannot call it yet"
    return usable[model.provider]


def _row(model: Model, usable: Mapping[str, str]) -> Sequence[str]:
    return (
        "" if _reason(model, usable) else "*",
        model.id,
        model.provider,
        "live" if model.mode is Mode.REALTIME else "files",
        str(len(model.languages)) if model.languages else "any",
        _features(model),
        facts.limits_text(model),
        facts.price_text(model),
    )


_NOT_IN_TABLE = frozenset({"detect", "url", "upload", "partials", "channels"})


def _features(model: Model) -> str:
    return " ".join(n for n in facts.feature_names(model) if n not in _NOT_IN_TABLE)


def _price_in_full(model: Model) -> str:
    text = facts.price_text(model)
    price = model.price
    return text if price is None else f"{text} (list price of {price.date}, {price.source})"


def _facts(model: Model, usable: Mapping[str, str]) -> list[tuple[str, str]]:
    reason = _reason(model, usable)
    rows = [
        ("model", model.id if model.known else f"{model.id} (not in the catalogue)"),
        ("provider", model.provider),
        ("usable now", f"no: {reason}" if reason else "yes"),
        ("for", "live audio" if model.mode is Mode.REALTIME else "files"),
        ("about", model.description),
        ("can", ", ".join(sorted(model.features)) or "text"),
        ("by prompt", ", ".join(sorted(model.approximate - model.features))),
        ("languages", _languages(model)),
        ("formats", " ".join(sorted(model.formats)) or "all that asrcli reads"),
        ("most", facts.limits_text(model)),
        ("in a request", _encoded(model)),
        ("price", _price_in_full(model)),
        ("regions", " ".join(model.regions)),
        ("also called", " ".join(model.aliases)),
        ("called by", str(model.api)),
        ("from", "\n              ".join(model.sources)),
    ]
    return [(key, value) for key, value in rows if value]


def _languages(model: Model) -> str:
    names = [f"{name} ({code})" for code, name in facts.language_names(model)]
    return ", ".join(names) or "whatever the server knows"


def _encoded(model: Model) -> str:
    most = model.max_encoded_bytes
    return f"{facts.size_text(most)} after base64" if most else ""


def _record(model: Model, usable: Mapping[str, str]) -> dict[str, Any]:
    reason = _reason(model, usable)
    price = model.price
    return {
        "v": 1,
        "type": "model",
        "id": model.id,
        "provider": model.provider,
        "usable": not reason,
        "reason": reason or None,
        "family": model.family,
        "mode": str(model.mode),
        "api": str(model.api),
        "description": model.description,
        "features": sorted(model.features),
        "approximate": sorted(model.approximate),
        "languages": list(model.languages),
        "formats": sorted(model.formats),
        "max_bytes": model.max_bytes,
        "max_encoded_bytes": model.max_encoded_bytes,
        "max_seconds": model.max_seconds,
        "min_seconds": model.min_seconds,
        "price": None if price is None else {
            "usd_per_second": price.per_second,
            "usd_per_million_tokens_in": price.per_million_tokens_in,
            "usd_per_million_tokens_out": price.per_million_tokens_out,
            "date": price.date,
            "source": price.source,
        },
        "regions": list(model.regions),
        "aliases": list(model.aliases),
        "known": model.known,
        "sources": list(model.sources),
    }  # fmt: skip
