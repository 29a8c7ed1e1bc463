"""`asrcli models`."""

from __future__ import annotations

from typing import Annotated

import typer

from asrcli.cli import options as opt
from asrcli.cli.options import option

__all__ = ["models"]

WHICH = "Which models"


def models(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="One, in full.")] = None,
    provider: Annotated[
        str | None, option("--provider", "-p", metavar="NAME", panel=WHICH, help="Of one provider.")
    ] = None,
    language: Annotated[
        str | None,
        option("--language", "-l", metavar="CODE", panel=WHICH, help="That know a language."),
    ] = None,
    realtime: Annotated[bool, option("--realtime", panel=WHICH, help="For live audio.")] = False,
    batch: Annotated[bool, option("--batch", panel=WHICH, help="For recordings.")] = False,
    diarize: Annotated[bool, option("--diarize", panel=WHICH, help="That tell speakers.")] = False,
    emotion: Annotated[bool, option("--emotion", panel=WHICH, help="That hear emotions.")] = False,
    hotwords: Annotated[bool, option("--hotwords", panel=WHICH, help="That favour words.")] = False,
    prompt: Annotated[bool, option("--prompt", panel=WHICH, help="That take context.")] = False,
    json: Annotated[bool, option("--json", help="As JSON.")] = False,
    color: opt.Color = "auto",
    debug: opt.Debug = False,
) -> None:
    """Show the catalogue: what each model can do, and what you can use now.

    \b
    Examples:
      asrcli models
      asrcli models --language yue --emotion
      asrcli models qwen3-asr-flash
    """
    from asrcli.cli.catalogue import Wanted, show_all, show_one
    from asrcli.cli.session import open_console
    from asrcli.providers.base import Feature, Mode

    console = open_console(debug=debug, color=color)
    flags = {
        Feature.DIARIZE: diarize,
        Feature.EMOTION: emotion,
        Feature.HOTWORDS: hotwords,
        Feature.PROMPT: prompt,
    }
    modes = {Mode.REALTIME: realtime, Mode.BATCH: batch}
    wanted = Wanted(
        provider=provider,
        language=language,
        modes=frozenset(mode for mode, asked in modes.items() if asked),
        features=frozenset(feature for feature, asked in flags.items() if asked),
    )
    if model is not None:
        show_one(console, model, wanted, as_json=json)
    else:
        show_all(console, wanted, as_json=json)
