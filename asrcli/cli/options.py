"""Options that several commands share, each with its own `ASRCLI_…` variable.

The variables are not shown in the help: they all follow from the option's name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "RPM",
    "BaseURL",
    "CABundle",
    "Cache",
    "Color",
    "Debug",
    "InsecureHTTP",
    "Language",
    "ModelName",
    "Offline",
    "Progress",
    "ProviderName",
    "Quiet",
    "Region",
    "Retries",
    "StatePath",
    "Timeout",
    "Verbose",
    "option",
]

SENDING = "Where and how to send"
SHOWING = "What is shown"
_LONGEST = 10_000_000


def finite(value: float | None) -> float | None:
    if value is not None and not value <= _LONGEST:
        raise typer.BadParameter(f"{value} is not a number up to {_LONGEST:,.0f}")
    return value


def option(*names: str, help: str, panel: str | None = None, **rest: Any) -> Any:  # noqa: A002
    """A typer option that can also be set as `ASRCLI_<NAME>`."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    variable = "ASRCLI_" + long.removeprefix("--").upper().replace("-", "_")
    return typer.Option(
        *names, help=help, envvar=variable, show_envvar=False, rich_help_panel=panel, **rest
    )


ModelName = Annotated[
    str, option("--model", "-m", metavar="ID", help="A model, or auto: see `asrcli models`.")
]
ProviderName = Annotated[
    str | None,
    option(
        "--provider", "-p", metavar="NAME", help="qwen, onemin, openai or local; else by the model."
    ),
]
Language = Annotated[
    str | None,
    option("--language", "-l", metavar="CODE", help="Language spoken, e.g. en; else detected."),
]
BaseURL = Annotated[
    str | None,
    option("--base-url", metavar="URL", panel=SENDING, help="Another address of the provider."),
]
Region = Annotated[
    str | None,
    option(
        "--region", metavar="NAME", panel=SENDING, help="Of Qwen Cloud: intl, cn, us, hk, eu, jp."
    ),
]
CABundle = Annotated[
    Path | None,
    option(
        "--ca-bundle", metavar="FILE", panel=SENDING, help="Certificates to trust, as one PEM file."
    ),
]
InsecureHTTP = Annotated[
    bool,
    option("--insecure-http", panel=SENDING, help="Allow plain http beyond this machine."),
]
Offline = Annotated[bool, option("--offline", panel=SENDING, help="Open no connection at all.")]
Timeout = Annotated[
    float,
    option(
        "--timeout", metavar="SECONDS", min=0,
        callback=finite, panel=SENDING,
        help="Longest time for one call; 0 is no limit.",
    ),
]  # fmt: skip
Retries = Annotated[
    int,
    option("--retries", metavar="N", min=0, max=100, panel=SENDING, help="Extra tries of a call."),
]
RPM = Annotated[
    float | None,
    option(
        "--rpm",
        metavar="N",
        min=0.01,
        callback=finite,
        panel=SENDING,
        help="Requests per minute, evenly spaced.",
    ),
]
StatePath = Annotated[
    Path | None,
    option("--state", metavar="PATH", panel=SENDING, help="Another database of what was answered."),
]
Cache = Annotated[
    bool,
    option(
        "--cache/--no-cache", panel=SENDING, help="Remember answers, and never pay for one twice."
    ),
]
Quiet = Annotated[bool, option("--quiet", "-q", panel=SHOWING, help="Only errors on stderr.")]
Verbose = Annotated[
    bool, option("--verbose", "-v", panel=SHOWING, help="Say what is done, and why.")
]
Debug = Annotated[bool, option("--debug", panel=SHOWING, help="Show where an error arose.")]
Color = Annotated[
    str, option("--color", metavar="WHEN", panel=SHOWING, help="auto, always or never.")
]
Progress = Annotated[
    str, option("--progress", metavar="HOW", panel=SHOWING, help="auto, none or json.")
]
