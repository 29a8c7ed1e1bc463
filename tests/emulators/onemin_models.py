"""The models of 1min.ai's speech-to-text: what each takes, in which fields, at which price.

Pages: https://docs.1min.ai/docs/api/ai-for-audio/speech-to-text and those under it. Prices are the
`creditMetadata` of the public list, read as credits a second.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.emulators.service import unknown_fields

__all__ = ["FORMATS", "LANGUAGES", "MODELS", "Format", "Model", "prompt_problems"]

LANGUAGES = frozenset(
    "zh yue en ja de ko ru fr pt ar it es hi id th tr uk vi cs da fil fi is ms no pl sv".split()
)
"""Qwen's 27."""


@dataclass(frozen=True, slots=True)
class Format:
    """An extension of a file: what may be in it, and how it may be declared."""

    containers: frozenset[str]
    mime_types: frozenset[str]


def _format(containers: str, mime_types: str) -> Format:
    return Format(frozenset(containers.split()), frozenset(mime_types.split()))


FORMATS = {
    "aac": _format("aac", "audio/aac audio/x-aac"),
    "aiff": _format("aiff", "audio/aiff audio/x-aiff"),
    "amr": _format("amr", "audio/amr"),
    "avi": _format("avi", "video/x-msvideo video/avi"),
    "flac": _format("flac", "audio/flac audio/x-flac"),
    "flv": _format("flv", "video/x-flv"),
    "m4a": _format("m4a mp4", "audio/mp4 audio/x-m4a"),
    "mkv": _format("mkv webm", "video/x-matroska audio/x-matroska"),
    "mov": _format("mov", "video/quicktime"),
    "mp3": _format("mp3", "audio/mpeg audio/mp3"),
    "mp4": _format("mp4 m4a", "video/mp4 audio/mp4"),
    "mpeg": _format("mpeg mp3", "video/mpeg audio/mpeg"),
    "ogg": _format("ogg opus", "audio/ogg"),
    "opus": _format("opus", "audio/ogg audio/opus"),
    "wav": _format("wav", "audio/wav audio/x-wav audio/wave"),
    "webm": _format("webm", "audio/webm video/webm"),
    "wma": _format("wma", "audio/x-ms-wma"),
    "wmv": _format("wmv wma", "video/x-ms-wmv"),
}
_QWEN_FORMATS = frozenset(
    "aac amr avi aiff flac flv m4a mkv mp3 mpeg ogg opus wav webm wma wmv".split()
)
_OTHER_FORMATS = frozenset("mp3 wav m4a flac mp4 webm ogg".split())

Check = Callable[[Any], str | None]
"""What is wrong with a value, or None."""


def _among(values: frozenset[str]) -> Check:
    return lambda value: None if value in values else f"must be one of {' '.join(sorted(values))}"


def _like(pattern: str, what: str) -> Check:
    return lambda value: (
        None if isinstance(value, str) and re.fullmatch(pattern, value) else f"must be {what}"
    )


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be a boolean"


def _temperature(value: Any) -> str | None:
    right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return None if right else "must be a number from 0 to 1"


_SHORT_CODE = _like(r"[a-z]{2}", "a code of ISO 639-1")
_REGIONAL_CODE = _like(
    r"[a-z]{2,3}(-[A-Z][a-z]{3})?-([A-Z]{2}|\d{3})", "a BCP 47 code with a region"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One row of the list, and what its page says."""

    id: str
    provider: str
    credits: int
    """For each second of audio."""
    required: dict[str, Check] = field(default_factory=dict)
    optional: dict[str, Check] = field(default_factory=dict)
    formats: frozenset[str] = _OTHER_FORMATS
    """Extensions."""
    most_bytes: int = 50_000_000
    most_seconds: float = float("inf")

    def row(self, *, disabled: bool) -> dict[str, Any]:
        """As `GET /models` lists it."""
        created = "2025-01-01T00:00:00.000Z"
        return {
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, self.id)),
            "modelId": self.id,
            "name": self.id.replace("-", " ").title(),
            "provider": self.provider,
            "group": f"{self.provider}/{self.id.partition('-')[0]}",
            "status": "DISABLED" if disabled else "ACTIVE",
            "features": ["SPEECH_TO_TEXT"],
            "creditMetadata": {"ALL": self.credits},
            "creditEstimation": None,
            "modality": None,
            "information": None,
            "cutoffDate": None,
            "createdAt": created,
            "updatedAt": created,
        }


def _google(model_id: str, price: int) -> Model:
    return Model(
        id=model_id, provider="google", credits=price, required={"language": _REGIONAL_CODE}
    )


def _openai(model_id: str, price: int) -> Model:
    # No page describes their fields; these are those that clients send.
    optional = {"response_format": _among(frozenset({"text", "json"})), "language": _SHORT_CODE}
    return Model(
        id=model_id, provider="openai", credits=price, optional=optional, most_bytes=25_000_000
    )


MODELS = (
    Model(
        id="qwen3-asr-flash",
        provider="alibaba",
        credits=35,
        optional={"language": _among(LANGUAGES), "enable_itn": _boolean},
        formats=_QWEN_FORMATS,
        most_bytes=10_485_760,
        most_seconds=300,
    ),
    Model(
        id="whisper-1",
        provider="openai",
        credits=100,
        required={"response_format": _among(frozenset({"text"}))},
        optional={"language": _SHORT_CODE, "temperature": _temperature},
        most_bytes=25_000_000,
    ),
    _openai("gpt-4o-transcribe", 6_000),
    _openai("gpt-4o-transcribe-diarize", 6_000),
    Model(
        id="elevenlabs-speech-to-text",
        provider="elevenlabs",
        credits=1_000,
        optional={"language": _SHORT_CODE},
    ),
    _google("latest_long", 400),
    _google("latest_short", 400),
    _google("phone_call", 400),
    _google("telephony", 400),
    _google("telephony_short", 400),
    _google("medical_conversation", 1_300),
    _google("medical_dictation", 1_300),
)


def prompt_problems(model: Model, prompt: Any) -> list[tuple[str, str]]:
    """The fields of a `promptObject` that are missing, unknown or wrong, each with a sentence."""
    if not isinstance(prompt, dict):
        return [("promptObject", "must be an object")]
    checks = {"audioUrl": _like(r".+", "the path of an asset"), **model.required, **model.optional}
    problems = [(name, "is unknown") for name in unknown_fields(prompt, checks)]
    problems += [
        (name, "is required") for name in ("audioUrl", *model.required) if name not in prompt
    ]
    for name, check in checks.items():
        if name in prompt and (problem := check(prompt[name])) is not None:
            problems.append((name, problem))
    return problems
