"""Who speaks, as a person reads it."""

from __future__ import annotations

from collections.abc import Callable

from asrcli.output.sanitize import for_text
from asrcli.transcript import Segment, Transcript

__all__ = ["Label", "labels"]

Label = Callable[[Segment], str | None]


def labels(transcript: Transcript) -> Label | None:
    """How the segments are labelled; None if nothing tells them apart.

    A speaker is called as the service calls it, but a bare number `0` reads `Speaker 0`. Channels
    are named where there are several: `Channel 1`, or `Channel 1, Alice`.
    """
    several = len({segment.channel for segment in transcript.segments} - {None}) > 1
    if not several and not any(segment.speaker for segment in transcript.segments):
        return None

    def label(segment: Segment) -> str | None:
        speaker = for_text(segment.speaker or "")
        named = f"Speaker {speaker}" if speaker.isdecimal() else speaker
        channel = f"Channel {segment.channel}" if several and segment.channel is not None else ""
        return ", ".join(filter(None, (channel, named))) or None

    return label
