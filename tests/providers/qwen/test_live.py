"""What a live model is asked, and where: of Qwen Cloud and of servers of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asrcli.errors import (
    ConfigurationError,
    FeatureError,
    KeyMissingError,
    KeyRefusedError,
    NetworkError,
    RateLimitedError,
    RightsError,
)
from asrcli.providers import catalogue, openai_live
from asrcli.providers.base import API, Hotword, Mode, Model, Options
from asrcli.providers.live import Dialogue, WebSocketService, check_websocket_url
from asrcli.providers.qwen.hosts import find_hosts
from asrcli.providers.qwen.live import dialogue_for, find_websocket, make_live
from asrcli.settings import Settings
from asrcli.transport.connection import Connection
from tests.emulators.realtime import KEY, RealtimeEmulator, Refuse

INTL = "https://dashscope-intl.aliyuncs.com"


def settings(environ: dict[str, str] | None = None, **flags: Any) -> Settings:
    environ = {"DASHSCOPE_API_KEY": KEY} | (environ or {})
    return Settings(environ=environ, path=Path("/nonexistent"), **flags)


def base_of(environ: dict[str, str] | None = None, **flags: Any) -> str:
    found = settings(environ, **flags)
    return find_websocket(found, find_hosts(found), environ or {})


def model(name: str) -> Model:
    return catalogue.resolve(name, provider="qwen")


def opening(dialogue: Dialogue, *events: dict[str, Any]) -> Any:
    """The first thing that the dialogue says, after these events of the service."""
    dialogue.start()
    for event in events:
        dialogue.receive(json.dumps(event))
    (message,) = dialogue.messages_to_send()
    return json.loads(message)


CREATED = {"type": "session.created", "session": {"id": "s"}}


# --- where --------------------------------------------------------------------------------------


def test_without_any_setting_it_is_singapore() -> None:
    assert base_of() == f"{INTL}/api-ws/v1"


def test_the_region_decides_for_live_too() -> None:
    assert base_of(region="cn") == "https://dashscope.aliyuncs.com/api-ws/v1"


@pytest.mark.parametrize(
    "value",
    [
        "wss://own.test/api-ws/v1",
        "wss://own.test/api-ws/v1/",
        "wss://own.test/api-ws/v1/inference",
        "wss://own.test/api-ws/v1/inference/",
        "wss://own.test/api-ws/v1/realtime",
        "wss://own.test",
    ],
)
def test_the_variable_names_the_folder_however_it_is_written(value: str) -> None:
    environ = {"DASHSCOPE_WEBSOCKET_BASE_URL": value}
    assert base_of(environ) == "wss://own.test/api-ws/v1"


def test_our_own_variable_comes_before_the_provider_s() -> None:
    environ = {
        "DASHSCOPE_WEBSOCKET_BASE_URL": "wss://theirs.test/api-ws/v1",
        "ASRCLI_DASHSCOPE_WEBSOCKET_BASE_URL": "wss://ours.test/api-ws/v1",
    }
    assert base_of(environ) == "wss://ours.test/api-ws/v1"


@pytest.mark.parametrize(
    ("flags", "host"),
    [({"region": "cn"}, "dashscope.aliyuncs.com"), ({"base_url": "https://a.test"}, "a.test")],
)
def test_a_flag_beats_the_variable(flags: dict[str, str], host: str) -> None:
    environ = {"DASHSCOPE_WEBSOCKET_BASE_URL": "wss://own.test/api-ws/v1"}
    assert base_of(environ, **flags) == f"https://{host}/api-ws/v1"


def test_the_http_variable_stands_in_for_its_own() -> None:
    environ = {"DASHSCOPE_HTTP_BASE_URL": "https://own.test/api/v1"}
    assert base_of(environ) == "https://own.test/api-ws/v1"


def test_http_and_websocket_schemes_mean_the_same() -> None:
    assert check_websocket_url("https://a.test/api-ws/v1") == "wss://a.test/api-ws/v1"
    assert check_websocket_url("WSS://a.test/v1/") == "wss://a.test/v1"
    assert check_websocket_url("ws://127.0.0.1:1/v1") == "ws://127.0.0.1:1/v1"


@pytest.mark.parametrize("url", ["ws://a.test/v1", "http://a.test/v1"])
def test_a_connection_in_the_open_is_refused_unless_accepted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="plain http"):
        check_websocket_url(url)
    assert check_websocket_url(url, insecure_http=True) == "ws://a.test/v1"


# --- what ---------------------------------------------------------------------------------------


def test_fun_asr_is_asked_by_a_task() -> None:
    options = Options(language="zh", vocabulary="vocab-1", prompt="before")
    dialogue = dialogue_for(model("fun-asr-realtime"), options, workspace="ws1")()

    said = opening(dialogue)["payload"]
    assert said["model"] == "fun-asr-realtime"
    assert said["parameters"]["language_hints"] == ["zh"]
    assert said["parameters"]["vocabulary_id"] == "vocab-1"
    assert said["parameters"]["heartbeat"] is True
    assert "before" in json.dumps(said["input"])
    assert dialogue.headers == {"X-DashScope-WorkSpace": "ws1"}
    assert dialogue.url("wss://a.test/api-ws/v1") == "wss://a.test/api-ws/v1/inference"


def test_qwen_audio_takes_hotwords_in_the_request() -> None:
    options = Options(hotwords=(Hotword("asrcli", 5), Hotword("ffmpeg")))
    said = opening(dialogue_for(model("qwen-audio-3.1-asr-flash-streaming"), options)())

    words = said["payload"]["parameters"]["vocabulary"]
    assert words["asrcli"] == 5
    assert set(words) == {"asrcli", "ffmpeg"}


def test_telephone_models_get_8_khz() -> None:
    dialogue = dialogue_for(model("fun-asr-flash-8k-realtime"), Options())()
    assert dialogue.sample_rate == 8_000
    assert opening(dialogue)["payload"]["parameters"]["sample_rate"] == 8_000


@pytest.mark.parametrize("itn", [True, False, None])
def test_itn_reaches_the_models_that_can_switch_it(itn: bool | None) -> None:
    said = opening(dialogue_for(model("paraformer-realtime-v2"), Options(itn=itn))())
    asked = said["payload"]["parameters"].get("inverse_text_normalization_enabled")
    assert asked is itn


def test_qwen3_asr_is_asked_by_a_session() -> None:
    options = Options(language="en", prompt="names")
    dialogue = dialogue_for(model("qwen3-asr-flash-realtime"), options)()

    asked = opening(dialogue, CREATED)["session"]["input_audio_transcription"]
    assert asked == {"language": "en", "corpus": {"text": "names"}}
    assert dialogue.url("wss://a.test/api-ws/v1").endswith(
        "/realtime?model=qwen3-asr-flash-realtime"
    )


def test_qwen3_asr_without_hotwords_refuses_them() -> None:
    with pytest.raises(FeatureError, match="hotwords"):
        dialogue_for(model("qwen3-asr-flash-realtime"), Options(hotwords=(Hotword("x"),)))


def test_omni_is_told_in_words() -> None:
    options = Options(
        language="French", prompt="about cheese", hotwords=(Hotword("Comté"),), emotion=True
    )
    dialogue = dialogue_for(model("qwen3.5-omni-flash-realtime"), options)()

    instructions = opening(dialogue, CREATED)["session"]["instructions"]
    for wanted in ("French", "about cheese", "Comté", "emotion:"):
        assert wanted in instructions


def test_every_live_model_of_the_catalogue_has_a_dialogue() -> None:
    live = [m for m in catalogue.models() if m.mode is Mode.REALTIME and m.provider == "qwen"]
    assert len(live) > 10
    for each in live:
        dialogue = dialogue_for(each, Options())()
        assert dialogue.url("wss://a.test/api-ws/v1").startswith("wss://a.test/api-ws/v1/")


# --- connecting ---------------------------------------------------------------------------------


@pytest.fixture
def emulator() -> Iterator[RealtimeEmulator]:
    with RealtimeEmulator() as service:
        yield service


def live(emulator: RealtimeEmulator, key: str = KEY) -> WebSocketService:
    environ = {"DASHSCOPE_API_KEY": key, "DASHSCOPE_WEBSOCKET_BASE_URL": emulator.base_url}
    found = Settings(environ=environ, path=Path("/nonexistent"))
    return make_live(
        model("fun-asr-realtime"),
        Options(),
        found,
        Connection(environ={}, connect_timeout=5.0),
        environ=environ,
    )


def test_it_connects_with_the_key_where_the_variable_says(emulator: RealtimeEmulator) -> None:
    service = live(emulator)
    line = service.connect(service.make_dialogue(), lambda: None)
    line.close()

    assert emulator.connections[0].path == "/api-ws/v1/inference"
    assert emulator.connections[0].status == 101
    assert KEY not in repr(service)


def test_without_a_key_nothing_is_opened(emulator: RealtimeEmulator) -> None:
    with pytest.raises(KeyMissingError):
        live(emulator, key="")
    assert emulator.connections == []


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refuse(401, {"code": "InvalidApiKey", "message": "no"}), KeyRefusedError),
        (Refuse(403, {"code": "Model.AccessDenied", "message": "no"}), RightsError),
        (Refuse(403, {"code": "Throttling", "message": "slow down"}), RateLimitedError),
        (Refuse(429, {"message": "slow down"}), RateLimitedError),
        (Refuse(503, "down"), NetworkError),
    ],
)
def test_a_refusal_is_read_in_the_service_s_own_words(
    emulator: RealtimeEmulator, refusal: Refuse, kind: type[Exception]
) -> None:
    emulator.scripts.append([refusal])
    service = live(emulator)

    with pytest.raises(kind):
        service.connect(service.make_dialogue(), lambda: None)


def test_a_refused_key_says_where_it_came_from(emulator: RealtimeEmulator) -> None:
    service = live(emulator, key="sk-wrong-0123456789")
    with pytest.raises(KeyRefusedError, match="the key from DASHSCOPE_API_KEY was refused"):
        service.connect(service.make_dialogue(), lambda: None)


# --- servers of one's own -----------------------------------------------------------------------


OWN = Model("whisper-1", "openai", "openai", Mode.REALTIME, API.REALTIME)


@pytest.mark.parametrize("dialect", openai_live.DIALECT_NAMES)
def test_each_dialect_is_spoken_to_its_server(dialect: str) -> None:
    with RealtimeEmulator(dialect=dialect) as server:
        environ = {"OPENAI_BASE_URL": server.openai_url.replace("ws:", "http:")}
        environ["OPENAI_API_KEY"] = KEY
        found = Settings(environ=environ, path=Path("/nonexistent"))
        connection = Connection(environ={})
        service = openai_live.make_live(OWN, Options(), found, connection, dialect=dialect)
        line = service.connect(service.make_dialogue(), lambda: None)
        line.close()

    assert server.connections[0].path == "/v1/realtime"
    assert server.connections[0].status == 101


def test_an_unknown_dialect_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="no dialect 'x'") as caught:
        openai_live.dialogue_for(OWN, Options(), "x")
    assert "speaches" in (caught.value.hint or "")


def test_vllm_takes_no_prompt() -> None:
    with pytest.raises(FeatureError, match="prompt"):
        openai_live.dialogue_for(OWN, Options(prompt="x"), "vllm")


def test_without_a_base_url_there_is_no_server() -> None:
    found = Settings(environ={}, path=Path("/nonexistent"))
    with pytest.raises(ConfigurationError, match="no base URL"):
        openai_live.make_live(OWN, Options(), found, Connection(environ={}))
