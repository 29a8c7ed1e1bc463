"""Which microphones there are, through PortAudio, and which one is meant.

PortAudio comes with the package `sounddevice` on macOS and Windows; on Linux it is the system's.
Neither is needed for anything but `stream-mic`, so both are looked for when they are used.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from asrcli.errors import MicrophoneError, MissingHelperError, UsageError

__all__ = ["Device", "choose", "devices", "listing", "load_portaudio"]

_LOOPBACK = re.compile(
    r"\bmonitor of\b|[._ ]monitor$|\bloopback\b|\bstereo mix\b|\bwhat u hear\b|\bwave out mix\b"
    r"|\bblackhole\b|\bsoundflower\b|\bcable output\b",
    re.IGNORECASE,
)
"""How PulseAudio, PipeWire, Windows and the usual drivers of macOS call such devices."""


@dataclass(frozen=True, slots=True)
class Device:
    """Something that can be recorded from."""

    number: int
    """PortAudio's; it may be another one after something was plugged in."""
    name: str
    host_api: str
    """`ALSA`, `Core Audio`, `Windows WASAPI`, …; Windows lists each device once for every one."""
    channels: int
    sample_rate: int
    """Hz, the device's own."""
    default: bool
    """True for the one that is taken when none is asked for."""
    loopback: bool
    """True if it hears what the computer plays (a monitor), judged by its name."""

    def __str__(self) -> str:
        return f"{self.number} {self.name} ({self.host_api})"


def load_portaudio() -> Any:
    """The module `sounddevice`; raises MissingHelperError with how to get what it lacks."""
    try:
        return import_module("sounddevice")
    except ImportError as error:
        raise MissingHelperError(
            f"the microphone needs the Python package sounddevice: {error}",
            hint="`pip install sounddevice` in the environment of asrcli.",
        ) from error
    except OSError as error:
        raise MissingHelperError(
            f"the microphone needs the library PortAudio: {error}", hint=_how_to_get(sys.platform)
        ) from error


def _how_to_get(platform: str) -> str:
    if platform == "darwin":
        return "`pip install --force-reinstall sounddevice`, or `brew install portaudio`."
    if platform == "win32":
        return "`pip install --force-reinstall sounddevice`, which brings it along."
    return (
        "Debian and Ubuntu: `apt install libportaudio2`; Fedora: `dnf install portaudio`; "
        "Arch: `pacman -S portaudio`."
    )


def devices(*, portaudio: Any = None) -> list[Device]:
    """All devices that can be recorded from; `portaudio` stands in for `sounddevice`.

    Raises MissingHelperError, and MicrophoneError if PortAudio cannot tell.
    """
    library = portaudio or load_portaudio()
    try:
        rows = list(library.query_devices())
        host_apis = library.query_hostapis()
        default = library.default.device[0]
    except library.PortAudioError as error:
        raise MicrophoneError(f"the microphones cannot be listed: {error}") from error
    return [
        Device(
            number=number,
            name=row["name"],
            host_api=host_apis[row["hostapi"]]["name"],
            channels=row["max_input_channels"],
            sample_rate=round(row["default_samplerate"]),
            default=number == default,
            loopback=_LOOPBACK.search(row["name"]) is not None,
        )
        for number, row in enumerate(rows)
        if row["max_input_channels"] > 0
    ]


def choose(found: Sequence[Device], wanted: str | None = None) -> Device:
    """The device with this number, or this name, or this part of one; None is the default.

    Case does not matter; `NAME, HOST API` is a name, too. Of several with the very same name the
    one of the default's host API is meant. Raises UsageError if several could be, and
    MicrophoneError if none is.
    """
    if not found:
        raise MicrophoneError(
            "there is no microphone",
            hint="Plug one in, or send sound to standard input: --input -.",
        )
    if wanted is None or not wanted.strip():
        return _default(found)
    text = wanted.strip().casefold()
    matches = _matches(found, text)
    if not matches:
        raise MicrophoneError(f"there is no microphone {wanted!r}", hint=listing(found))
    if len(matches) > 1:
        raise UsageError(
            f"{wanted!r} may be one of {len(matches)} microphones",
            hint=f"{listing(matches)} Choose by number, or with more of the name.",
        )
    return matches[0]


def listing(found: Sequence[Device]) -> str:
    """All devices in a sentence, for a hint."""
    return f"There are: {'; '.join(map(str, found))}." if found else "There is none."


def _default(found: Sequence[Device]) -> Device:
    microphones = [device for device in found if not device.loopback]
    return next((device for device in found if device.default), (microphones or found)[0])


def _matches(found: Sequence[Device], text: str) -> list[Device]:
    if re.fullmatch(r"[0-9]+", text):
        return [device for device in found if device.number == int(text)]
    matches = [device for device in found if text in _names(device)]
    if not matches:
        matches = [device for device in found if any(text in name for name in _names(device))]
    if len({device.name.casefold() for device in matches}) == 1:
        usual = _default(found).host_api
        return [device for device in matches if device.host_api == usual] or matches
    return matches


def _names(device: Device) -> tuple[str, str]:
    name = device.name.casefold()
    return name, f"{name}, {device.host_api.casefold()}"
