from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from asrcli.errors import AsrError, ConfigurationError, KeyMissingError, KeyRefusedError, UsageError
from asrcli.providers.base import API, Options, Provider
from asrcli.providers.catalogue import models, resolve
from asrcli.providers.local import Local
from asrcli.providers.onemin import OneMin
from asrcli.providers.qwen.provider import CALLABLE, Qwen
from asrcli.providers.registry import can_run, engine_problem, make
from asrcli.settings import Settings
from asrcli.transport.connection import Connection
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.hosts import KEY as QWEN_KEY
from tests.emulators.dashscope.hosts import Key
from tests.emulators.onemin import KEY as ONEMIN_KEY
from tests.emulators.onemin import OneMin as OneMinService
from tests.emulators.server import serve
from tests.providers.calling import Time, audio_of, never
from tests.recordings import recording

WELCOME = recording("welcome")
KEYS = {"DASHSCOPE_API_KEY": QWEN_KEY, "ONEMIN_API_KEY": ONEMIN_KEY}

Make = Callable[..., Provider]


@pytest.fixture
def made() -> Make:
    """Makes a provider from variables and flags, as a command does."""

    def make_it(name: str, environ: dict[str, str], **flags: Any) -> Provider:
        settings = Settings(environ=environ, path=Path("/nonexistent"), **flags)
        retrier = Time().retrier
        return make(name, settings, Connection(environ={}), retrier=retrier, wait=never)

    return make_it


# --- which ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("qwen", Qwen), ("onemin", OneMin), ("local", Local)])
def test_each_name_makes_its_provider(made: Make, name: str, kind: type[Provider]) -> None:
    provider = made(name, KEYS)

    assert isinstance(provider, kind)
    assert provider.name == name
    provider.close()


def test_an_unknown_name_is_refused(made: Make) -> None:
    with pytest.raises(UsageError, match="no provider 'acme'"):
        made("acme", KEYS)


@pytest.mark.parametrize("name", ["qwen", "onemin"])
def test_a_missing_key_is_told_with_the_places_where_it_may_be(made: Make, name: str) -> None:
    with pytest.raises(KeyMissingError) as caught:
        made(name, {})

    assert caught.value.exit_status == 4
    assert any(place.startswith("ASRCLI_") for place in caught.value.places)


def test_the_embedded_engine_needs_no_key(made: Make) -> None:
    made("local", {}).close()


def test_a_region_that_is_unknown_is_refused(made: Make) -> None:
    with pytest.raises(ConfigurationError, match="mars"):
        made("qwen", KEYS, region="mars")


@pytest.mark.parametrize("name", ["qwen", "onemin"])
@pytest.mark.parametrize("url", ["http://a.example", "ftp://a.example", "https://u:p@a.example"])
def test_a_base_url_that_would_carry_the_key_in_the_open_is_refused(
    made: Make, name: str, url: str
) -> None:
    with pytest.raises(ConfigurationError):
        made(name, KEYS, base_url=url)


def test_a_model_can_be_run_if_its_provider_knows_the_call() -> None:
    runnable = {model.api for model in models() if can_run(model)}

    assert runnable == {API.ONEMIN, API.OPENAI, API.EMBEDDED, *CALLABLE}


def test_the_engine_runs_where_its_package_is_installed() -> None:
    assert (engine_problem() is None) is (find_spec("pocketsphinx") is not None)


# --- where to ---------------------------------------------------------------------------------


def transcribe(provider: Provider) -> str:
    try:
        model = resolve("qwen3-asr-flash", provider=provider.name)
        return provider.transcribe(audio_of(WELCOME), model, Options()).text
    finally:
        provider.close()


@pytest.mark.parametrize(
    ("variable", "path"),
    [
        ("DASHSCOPE_HTTP_BASE_URL", "/api/v1"),
        ("DASHSCOPE_HTTP_BASE_URL", "/api/v1/"),
        ("DASHSCOPE_HTTP_BASE_URL", ""),
        ("DASHSCOPE_COMPATIBLE_BASE_URL", "/compatible-mode/v1"),
        ("ASRCLI_DASHSCOPE_HTTP_BASE_URL", "/api/v1"),
    ],
)
def test_a_base_url_from_a_variable_leads_to_the_service(
    made: Make, variable: str, path: str
) -> None:
    service = DashScope()
    with serve(service) as server:
        assert transcribe(made("qwen", {**KEYS, variable: server.url + path})) == WELCOME.text
    service.close()


@pytest.mark.parametrize("path", ["", "/"])
def test_a_base_url_of_1min_leads_to_the_service(made: Make, path: str) -> None:
    with serve(OneMinService()) as server:
        provider = made("onemin", {**KEYS, "ONEMIN_BASE_URL": server.url + path})
        assert transcribe(provider) == WELCOME.text


def test_a_workspace_goes_along(made: Make) -> None:
    service = DashScope(keys=[Key(subworkspaces=frozenset({"llm-sub"}))])
    with serve(service) as server:
        environ = {**KEYS, "DASHSCOPE_WORKSPACE_ID": "llm-sub"}
        assert transcribe(made("qwen", environ, base_url=server.url)) == WELCOME.text
    assert [r.headers["x-dashscope-workspace"] for r in service.requests] == ["llm-sub"]
    service.close()


@pytest.mark.parametrize(
    ("name", "variable", "service"),
    [
        ("qwen", "DASHSCOPE_API_KEY", DashScope),
        ("qwen", "ASRCLI_DASHSCOPE_API_KEY", DashScope),
        ("onemin", "ONEMIN_API_KEY", OneMinService),
        ("onemin", "ASRCLI_ONEMIN_API_KEY", OneMinService),
    ],
)
def test_a_key_that_is_refused_is_told_by_the_place_it_came_from(
    made: Make, name: str, variable: str, service: Callable[[], Any]
) -> None:
    with (
        serve(service()) as server,
        pytest.raises(KeyRefusedError, match=f"the key from {variable} was refused"),
    ):
        transcribe(made(name, {variable: "sk-wrong-9c1e5b"}, base_url=server.url))


def test_a_service_that_is_not_there_is_a_matter_of_the_network(made: Make) -> None:
    with serve(OneMinService()) as server:
        url = server.url
    with pytest.raises(AsrError) as caught:
        transcribe(made("onemin", {**KEYS, "ONEMIN_BASE_URL": url}))

    assert caught.value.exit_status == 6
