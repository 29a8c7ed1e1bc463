"""What will be done with an input: by which way, in how many calls, at which price.

A plan is a value, made before anything is sent: `--dry-run` shows it, `--max-cost` adds it up, and
`core.recognize` carries it out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from asrcli.core.prepare import Changes, fits
from asrcli.core.select import Choice
from asrcli.media.audio import AudioFile
from asrcli.media.encode import Codec, estimated_bytes
from asrcli.providers.base import API, Feature, Model

__all__ = ["Plan", "Route", "cost_of", "piece_codec", "piece_seconds", "plan", "way"]

_JOBS = frozenset({API.JOB, API.JOB_LIST})
_LONGEST_PIECE = 600.0
_SHARE = 0.4
"""Of the longest call: for qwen3-asr-flash two limits are documented, 3 and 5 minutes. Two minutes
are well under both; shorter pieces are answered sooner, and less is lost with each."""
_LONGEST_CHAT = 1_200.0
"""Seconds that a language model is given at once: it would write less than is said in more."""
CUE_SECONDS = 8.0
"""The longest stretch that is sent as a cue of its own: a little more than is shown at once."""
_CHANNEL_SECONDS = 30.0
"""The longest turn of one channel, where the model gives no times to merge the channels by."""


class Route(StrEnum):
    """How a recording reaches a model."""

    WHOLE = "whole"
    """In one call, as it is or converted."""
    PIECES = "pieces"
    """Cut at pauses, in several calls."""
    CUES = "cues"
    """Cut into stretches of speech as short as subtitles, each in a call of its own."""
    JOB = "job"
    """Uploaded whole; the service works on it by itself."""
    REFERENCE = "reference"
    """It already lies where the model can read it."""
    HERE = "here"
    """Nothing leaves this computer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The way of one input; None is what is not known before it is done."""

    choice: Choice
    route: Route
    why: str
    longest: float | None = None
    """Seconds of a piece at most; None if it is not cut."""
    duration: float | None = None
    speech: float | None = None
    """Seconds that are sent."""
    pieces: int | None = None
    requests: int | None = None
    bytes: int | None = None
    known: bool = False
    """True if nothing has to be sent: it was answered before."""
    cost: float | None = None
    """US dollars, by the published price."""


def way(
    audio: AudioFile, model: Model, changes: Changes, *, timed: bool, apart: bool
) -> tuple[Route, str, float | None]:
    """The route, why it is taken, and how long a piece may be.

    `timed` asks for times of segments, `apart` for each channel by itself.
    """
    if model.api is API.EMBEDDED and not apart:
        return Route.HERE, "nothing leaves this computer", None
    if model.api in _JOBS:
        return Route.JOB, "the service works on it by itself", None
    gives_times = Feature.TIMES in model.features
    if timed and not gives_times:
        longest = min(CUE_SECONDS, piece_seconds(model))
        return Route.CUES, f"{model.id} gives no times: each cue is a call of its own", longest
    if apart:
        longest = piece_seconds(model) if gives_times else _CHANNEL_SECONDS
        route = Route.PIECES if gives_times else Route.CUES
        return route, "each channel by itself", longest
    if model.max_seconds is not None and audio.duration > model.max_seconds:
        return Route.PIECES, f"longer than {model.id} takes in one call", piece_seconds(model)
    if model.api is API.CHAT and audio.duration > _LONGEST_CHAT:
        return Route.PIECES, "too long to be written down in one answer", piece_seconds(model)
    if not fits(audio, model, changes):
        return Route.PIECES, f"larger than {model.id} takes in one call", piece_seconds(model)
    return Route.WHOLE, "it fits into one call", None


def piece_seconds(model: Model) -> float:
    """How long a piece of a long recording is at most: 120 s for qwen3-asr-flash."""
    longest = _SHARE * model.max_seconds if model.max_seconds else _LONGEST_PIECE
    return max(min(longest, _LONGEST_PIECE), 10.0)


def piece_codec(model: Model) -> Codec:
    """What pieces are sent as: few bytes, and a format that the model takes."""
    if model.api is API.EMBEDDED:
        return Codec.FLAC  # which goes nowhere
    for codec in (Codec.OPUS, Codec.MP3, Codec.FLAC):
        if not model.formats or codec.container in model.formats:
            return codec
    return Codec.WAV


def plan(
    audio: AudioFile,
    choice: Choice,
    changes: Changes,
    *,
    timed: bool = False,
    apart: bool = False,
    billed_channels: int = 1,
    speech: float | None = None,
    pieces: int | None = None,
) -> Plan:
    """The plan for a recording; `speech` and `pieces` are known where it was listened to.

    A service that takes channels apart itself bills each of them (`billed_channels`).
    """
    model = choice.model
    route, why, longest = way(audio, model, changes, timed=timed, apart=apart)
    channels = audio.channels if apart else 1
    sent = audio.duration * channels if speech is None else speech
    count = 1
    if longest is not None:
        count = pieces if pieces is not None else math.ceil(max(sent, 1.0) / longest)
        size = estimated_bytes(piece_codec(model), sent)
    else:
        size = 0 if route is Route.HERE else _whole_size(audio, model, changes)
    return Plan(
        choice=choice,
        route=route,
        why=why,
        longest=longest,
        duration=audio.duration,
        speech=speech,
        pieces=count if longest is not None else None,
        requests=0 if route is Route.HERE else count,
        bytes=size,
        cost=cost_of(model, sent * billed_channels),
    )


def _whole_size(audio: AudioFile, model: Model, changes: Changes) -> int:
    if not changes and (model.max_bytes is None or audio.size <= model.max_bytes):
        return audio.size
    return estimated_bytes(piece_codec(model), audio.duration)


def cost_of(model: Model, seconds: float) -> float | None:
    """US dollars for so many seconds of audio; None where no price by the second is known."""
    price = model.price
    if price is None or price.per_second is None:
        return None
    return price.per_second * seconds
