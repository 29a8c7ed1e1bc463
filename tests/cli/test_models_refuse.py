"""What a batch model does not claim is refused, with the name of one that has it.

Every feature of every model of the catalogue: a model added there is tested without another word.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from asrcli.cli.app import command_line
from asrcli.errors import UsageError
from asrcli.providers import catalogue, languages
from asrcli.providers.base import Feature, Model
from tests.cli.model_runs import claims, clean, in_language
from tests.cli.model_services import BATCH, PROMPT, named, service_for
from tests.emulators.dashscope.app import DashScope
from tests.emulators.server import serve
from tests.emulators.service import Emulator
from tests.program import COMMAND

_LANGUAGES = ("cy", "sw", "tr", "hu", "nl", "ja", "en")


@dataclass(frozen=True, slots=True)
class Asking:
    """Something to ask for, and which models can do it."""

    name: str
    can: Callable[[Model], bool]
    words: Callable[[Model], list[str]]
    reference: str | None = None
    """In place of a file."""


def plainly(feature: Feature, *words: str) -> Asking:
    return Asking(feature.value, lambda model: claims(model, feature), lambda _: list(words))


def unknown_language(model: Model) -> str | None:
    """The first of some that the model does not know; None if it takes any."""
    if not model.languages:
        return None
    return next((code for code in _LANGUAGES if not languages.knows(model, code)), None)


ASKINGS = (
    plainly(Feature.PROMPT, "--prompt", PROMPT),
    plainly(Feature.HOTWORDS, "--hotword", "PENCIL"),
    plainly(Feature.EMOTION, "--emotion"),
    plainly(Feature.DIARIZE, "--diarize"),
    plainly(Feature.WORDS, "--words"),
    Asking(
        "itn",
        lambda model: Feature.ITN in model.features,
        lambda model: ["--no-itn" if model.itn_default else "--itn"],
    ),
    Asking(
        "language",
        lambda model: unknown_language(model) is None,
        lambda model: ["-l", unknown_language(model) or ""],
    ),
    Asking(
        "upload",
        # What lies at one service, no other can read.
        lambda model: model.provider != "qwen" or Feature.UPLOAD in model.features,
        lambda _: [],
        "oss://dashscope-instant/1/talk.wav",
    ),
)
LACKING = [(asking, model) for asking in ASKINGS for model in BATCH if not asking.can(model)]


@pytest.fixture
def bystanders(welcome: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Emulator]]:
    """All services at once; none of them should be asked."""
    made: list[Emulator] = []
    seen: set[str] = set()
    for model in BATCH:
        if model.provider not in seen and model.provider != "local":
            seen.add(model.provider)
            service, variables = service_for(model, welcome)
            made.append(service)
            for name, value in variables("http://127.0.0.1:9").items():
                monkeypatch.setenv(name, value)
    yield made
    for service in made:
        if isinstance(service, DashScope):
            service.close()


def names_one_that_can(hint: str, asking: Asking, model: Model) -> bool:
    """True if a model in the hint does what is asked for."""
    named = [found for word in re.findall(r"[\w.:-]+[\w]", hint) for found in catalogue.find(word)]
    if asking.name != "language":
        return any(asking.can(found) or does_anyway(asking, found, model) for found in named)
    code = unknown_language(model) or ""
    return any(languages.knows(found, code) for found in named)


def does_anyway(asking: Asking, found: Model, model: Model) -> bool:
    """True for one of which ITN is the habit that was asked for, with or without a switch."""
    return asking.name == "itn" and found.itn_default is not model.itn_default


@pytest.mark.parametrize(
    ("asking", "model"), LACKING, ids=[f"{a.name}-{named(m)}" for a, m in LACKING]
)
def test_what_a_model_does_not_claim_is_refused_with_one_that_has_it(
    bystanders: list[Emulator], welcome: Path, asking: Asking, model: Model
) -> None:
    words = ["transcribe", "-p", model.provider, "-m", model.id, *asking.words(model)]
    if model.family == "google" and asking.name != "language":
        words += in_language(model)

    source = asking.reference or str(welcome)
    with pytest.raises(UsageError) as caught:
        command_line(words).main([*words, source], standalone_mode=False)

    assert caught.value.exit_status == 2
    assert model.id in str(caught.value)
    assert names_one_that_can(caught.value.hint or "", asking, model), caught.value.hint
    assert not any(service.requests for service in bystanders)


@pytest.mark.parametrize("asking", ASKINGS, ids=lambda asking: asking.name)
def test_the_program_refuses_before_anything_is_sent(asking: Asking, welcome: Path) -> None:
    model = next(m for a, m in LACKING if a is asking and m.provider == "qwen")
    service, variables = service_for(model, welcome)
    source = asking.reference or str(welcome)
    words = ["transcribe", "-m", model.id, *asking.words(model), source]
    with serve(service) as server:
        env = clean(welcome.parent) | variables(server.url)
        done = subprocess.run(
            [*COMMAND, *words], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert server.connections_opened == 0

    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert names_one_that_can(done.stderr.partition("\n")[2], asking, model), done.stderr
