"""What a model can do, as texts for tables: limits, features, languages, price."""

from __future__ import annotations

from asrcli.providers.base import Feature, Model, Price

__all__ = [
    "feature_names",
    "language_names",
    "limits_text",
    "per_hour",
    "price_text",
    "size_text",
    "time_text",
]

_UNITS = (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000))
_SPANS = (("h", 3_600), ("min", 60))


def feature_names(model: Model) -> list[str]:
    """The features in the order of `Feature`; `~` marks what is only asked for in a prompt."""
    return [
        feature.value if feature in model.features else f"~{feature.value}"
        for feature in Feature
        if feature in model.features | model.approximate
    ]


def language_names(model: Model) -> list[tuple[str, str]]:
    """The model's own codes, each with the English name of the language; empty if it takes any."""
    from asrcli.providers.languages import name_of

    return [(code, name_of(code)) for code in model.languages]


def limits_text(model: Model) -> str:
    """What it takes in one call, such as `10 MB, 1 s to 5 min`; empty if nothing is known."""
    parts = []
    if model.max_bytes is not None:
        parts.append(size_text(model.max_bytes))
    if model.max_seconds is not None:
        least = f"{time_text(model.min_seconds)} to " if model.min_seconds else ""
        parts.append(least + time_text(model.max_seconds))
    return ", ".join(parts)


def per_hour(price: Price | None) -> float | None:
    """USD for an hour of audio; None where there is no price by time."""
    return None if price is None or price.per_second is None else price.per_second * 3_600


def price_text(model: Model) -> str:
    """The list price: `$0.126/h`, `free`, `$3.81/M in, $1.66/M out` (tokens), or `n/a`."""
    hourly = per_hour(model.price)
    if hourly is not None:
        return f"${hourly:.3g}/h" if hourly else "free"
    if model.price is None or model.price.per_million_tokens_in is None:
        return "n/a"
    text = f"${model.price.per_million_tokens_in:.2f}/M in"
    if model.price.per_million_tokens_out is not None:
        text += f", ${model.price.per_million_tokens_out:.2f}/M out"
    return text


def size_text(count: int) -> str:
    """Bytes as people say them: `10 MB`; 1 MB is 1,000,000."""
    for unit, size in _UNITS:
        if count >= size:
            return f"{count / size:g} {unit}"
    return f"{count} bytes"


def time_text(seconds: float) -> str:
    """Seconds as people say them: `12 h`, `5 min`, `1 s`."""
    for unit, length in _SPANS:
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"
