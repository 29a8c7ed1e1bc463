"""A recording on disk, as far as it is known without decoding all of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["AudioFile"]


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file whose content was looked at; made by `asrcli.media.probe.probe`."""

    path: Path
    name: str
    """As the user named it; only for messages and records."""
    container: str
    """By content, one of `asrcli.media.formats.FORMATS`: `wav`, `mp3`, `m4a`, …"""
    mime_type: str
    codec: str
    """FFmpeg's name: `pcm_s16le`, `mp3`, `aac`, `opus`, …"""
    size: int
    """Bytes."""
    duration: float
    """Seconds of the chosen audio track, counted where the header cannot be trusted."""
    channels: int
    sample_rate: int
    """Hz."""
    track: int = 0
    """Which audio track, from 0."""
    tracks: int = 1
    has_video: bool = False

    @property
    def suffix(self) -> str:
        """The usual suffix of the container, with its dot."""
        return f".{self.container}"
