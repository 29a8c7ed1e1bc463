"""Which model listens, and whether it does so itself or by short clips."""

from __future__ import annotations

import pytest

from asrcli.core.live_service import choose_hearing
from asrcli.core.select import Need
from asrcli.errors import UsageError
from asrcli.providers import catalogue
from asrcli.providers.base import API, Feature, Mode, Model
from asrcli.providers.registry import can_run
from asrcli.settings import PROVIDERS

ALL = dict.fromkeys(PROVIDERS, True)
RECORDINGS = [model for model in catalogue.models() if model.mode is Mode.BATCH and can_run(model)]
LISTENING = [model for model in catalogue.models() if model.mode is Mode.REALTIME]


def named(model: Model) -> Need:
    """The model by its id, in a language that it knows if it cannot find out."""
    language = None if Feature.DETECT in model.features else (*model.languages, "en-US")[0]
    return Need(model=model.id, provider=model.provider, language=language, realtime=True)


def label(model: Model) -> str:
    return f"{model.provider} {model.id}"


@pytest.mark.parametrize("model", RECORDINGS, ids=label)
def test_every_model_for_recordings_is_given_clips(model: Model) -> None:
    hearing = choose_hearing(named(model), usable=ALL)

    assert hearing.choice.model.id == model.id
    assert not hearing.live
    assert hearing.embedded is (model.api is API.EMBEDDED)


@pytest.mark.parametrize("model", LISTENING, ids=label)
def test_every_model_that_listens_does_so_itself(model: Model) -> None:
    hearing = choose_hearing(named(model), usable=ALL)

    assert (hearing.choice.model.id, hearing.live) == (model.id, True)


@pytest.mark.parametrize(
    ("usable", "provider", "live"),
    [({"qwen", "onemin"}, "qwen", True), ({"onemin"}, "onemin", False), (set(), "local", False)],
)
def test_who_can_listen_comes_first(usable: set[str], provider: str, live: bool) -> None:
    found = {name: name in usable or name == "local" for name in PROVIDERS}

    hearing = choose_hearing(Need(realtime=True), usable=found)

    assert (hearing.choice.model.provider, hearing.live) == (provider, live)


@pytest.mark.parametrize(
    ("model", "dialect", "live"),
    [
        ("own", None, False),
        ("own", "vllm", True),
        ("own", "auto", True),
        ("O-Realtime", None, True),
    ],
)
def test_a_server_of_one_s_own_listens_live_where_that_is_said(
    model: str, dialect: str | None, live: bool
) -> None:
    need = Need(model=model, provider="openai", realtime=True)

    hearing = choose_hearing(need, usable=ALL, dialect=dialect)

    assert hearing.live is live
    assert hearing.choice.model.api is (API.REALTIME if live else API.OPENAI)


@pytest.mark.parametrize("provider", [None, "qwen", "onemin", "local"])
def test_no_other_provider_has_dialects(provider: str | None) -> None:
    with pytest.raises(UsageError, match="--dialect") as caught:
        choose_hearing(Need(provider=provider, realtime=True), usable=ALL, dialect="openai")

    assert "-p openai" in (caught.value.hint or "")
