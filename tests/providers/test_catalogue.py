from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from asrcli.errors import UnknownModelError, UsageError
from asrcli.providers.base import API, Feature, Mode, Model
from asrcli.providers.catalogue import find, models, resolve, sibling
from asrcli.providers.languages import canonical
from asrcli.settings import PROVIDERS

THE_ELEVEN = {
    "fun-asr-realtime": API.TASK,
    "fun-asr": API.JOB_LIST,
    "qwen3-asr-flash-realtime": API.REALTIME,
    "qwen3-asr-flash-filetrans": API.JOB,
    "qwen3.5-omni-plus": API.CHAT,
    "qwen3.5-omni-flash": API.CHAT,
    "qwen3.5-omni-plus-realtime": API.REALTIME,
    "qwen3.5-omni-flash-realtime": API.REALTIME,
    "qwen3-omni-flash": API.CHAT,
    "qwen3-omni-flash-realtime": API.REALTIME,
    "qwen3-asr-flash": API.SYNC,
}
NEWER = {
    "qwen-audio-3.1-asr-flash-filetrans": API.JOB_LIST,
    "qwen-audio-3.1-asr-flash": API.SYNC_FLASH,
    "qwen-audio-3.1-asr-flash-message": API.TASK,
    "qwen-audio-3.1-asr-flash-streaming": API.TASK,
    "qwen-audio-3.0-asr-flash-filetrans": API.JOB_LIST,
    "qwen-audio-3.0-asr-flash": API.SYNC_FLASH,
    "qwen-audio-3.0-asr-flash-streaming": API.TASK,
    "fun-asr-flash-2026-06-15": API.SYNC_FLASH,
    "fun-asr-mtl": API.JOB_LIST,
    "fun-asr-2025-08-25": API.JOB_LIST,
    "fun-asr-flash-8k-realtime": API.TASK,
    "paraformer-v2": API.JOB_LIST,
    "paraformer-8k-v2": API.JOB_LIST,
    "paraformer-v1": API.JOB_LIST,
    "paraformer-8k-v1": API.JOB_LIST,
    "paraformer-mtl-v1": API.JOB_LIST,
    "paraformer-realtime-v2": API.TASK,
    "paraformer-realtime-8k-v2": API.TASK,
    "gummy-realtime-v1": API.TASK,
    "gummy-chat-v1": API.TASK,
    "qwen3.8-omni-flash": API.CHAT,
    "qwen3-asr-flash-us": API.SYNC,
}
AT_ONEMIN = {
    "qwen3-asr-flash",
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-transcribe-diarize",
    "elevenlabs-speech-to-text",
    "latest_long",
    "latest_short",
    "phone_call",
    "telephony",
    "telephony_short",
    "medical_conversation",
    "medical_dictation",
}
LIVE = {API.TASK, API.REALTIME}
EVERY = pytest.mark.parametrize("model", models(), ids=lambda m: f"{m.provider}:{m.id}")


def the(model_id: str, provider: str | None = None) -> Model:
    return find(model_id, provider=provider)[0]


# --- the data ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("model_id", "api"), (THE_ELEVEN | NEWER).items())
def test_every_model_of_qwen_cloud_is_there_and_called_its_way(model_id: str, api: API) -> None:
    assert the(model_id, "qwen").api is api


def test_the_twelve_models_of_onemin_are_there() -> None:
    assert {m.id for m in models() if m.provider == "onemin"} == AT_ONEMIN


def test_an_id_is_there_once_at_each_provider() -> None:
    names = [(m.provider, name.casefold()) for m in models() for name in {m.id, *m.aliases}]

    assert len(names) == len(set(names))


def test_providers_come_in_the_order_in_which_they_are_preferred() -> None:
    assert tuple(dict.fromkeys(m.provider for m in models())) == PROVIDERS


@EVERY
def test_the_mode_is_that_of_the_api(model: Model) -> None:
    assert (model.mode is Mode.REALTIME) == (model.api in LIVE)


@EVERY
def test_every_code_is_a_language_and_none_comes_twice(model: Model) -> None:
    known = [canonical(code) for code in model.languages]

    assert None not in known
    assert len(known) == len(set(known))


@EVERY
def test_limits_are_positive_and_in_order(model: Model) -> None:
    limits = (model.max_bytes, model.max_encoded_bytes, model.min_seconds, model.max_seconds)

    assert all(limit is None or limit > 0 for limit in limits)
    if model.min_seconds is not None and model.max_seconds is not None:
        assert model.min_seconds < model.max_seconds


@EVERY
def test_facts_have_pages_with_dates(model: Model) -> None:
    assert model.sources
    for source in model.sources:
        url, _, date = source.partition(" ")
        assert urlsplit(url).scheme == "https"
        assert re.fullmatch(r"\(20\d\d(-\d\d){0,2}\)", date)


@EVERY
def test_a_price_is_positive_or_free_with_its_source_and_date(model: Model) -> None:
    price = model.price
    if price is None:
        return
    figures = (price.per_second, price.per_million_tokens_in, price.per_million_tokens_out)
    assert any(figure is not None for figure in figures)
    assert all(f is None or f > 0 for f in figures) or model.provider == "local"
    assert price.source
    assert re.fullmatch(r"20\d\d(-\d\d){0,2}", price.date)


@EVERY
def test_a_feature_is_either_real_or_only_asked_for_in_a_prompt(model: Model) -> None:
    assert not model.features & model.approximate
    assert not model.approximate or Feature.PROMPT in model.features


@EVERY
def test_normalization_that_can_be_switched_has_a_default(
    model: Model,
) -> None:
    if Feature.ITN in model.features:
        assert model.itn_default is not None


@EVERY
def test_word_times_imply_segment_times(model: Model) -> None:
    assert Feature.WORDS not in model.features or Feature.TIMES in model.features


@EVERY
def test_a_model_is_described_and_known(model: Model) -> None:
    assert model.description.endswith(".")
    assert model.known


def test_formats_are_the_words_of_the_pages() -> None:
    sixteen = "aac aiff amr avi flac flv m4a mkv mp3 mpeg ogg opus wav webm wma wmv".split()

    assert the("qwen3-asr-flash", "onemin").formats == frozenset(sixteen)
    assert the("qwen3-asr-flash", "qwen").formats == frozenset([*sixteen, "mp4"])
    assert the("fun-asr").formats == frozenset({*sixteen, "mp4", "mov"} - {"aiff"})


def test_qwen3_asr_flash_takes_ten_million_bytes_and_five_minutes() -> None:
    model = the("qwen3-asr-flash", "qwen")

    assert (model.max_bytes, model.max_encoded_bytes) == (10_000_000, 10_000_000)
    assert (model.min_seconds, model.max_seconds) == (1, 300)


def test_the_same_model_at_onemin_has_language_and_itn_and_nothing_else() -> None:
    model = the("qwen3-asr-flash", "onemin")

    assert model.features == {Feature.ITN, Feature.DETECT, Feature.UPLOAD}
    assert model.itn_default is False


def test_fun_asr_always_normalizes_and_cannot_be_told_not_to() -> None:
    model = the("fun-asr")

    assert model.itn_default is True
    assert Feature.ITN not in model.features


def test_only_the_models_that_want_a_language_do_not_find_it_themselves() -> None:
    blind = {m.family for m in models() if Feature.DETECT not in m.features}

    # All but Google's know a single language.
    assert blind == {"google", "fun-asr", "paraformer", "pocketsphinx"}
    assert all(
        len(m.languages) == 1
        for m in models()
        if Feature.DETECT not in m.features and m.family != "google"
    )


# --- finding ----------------------------------------------------------------------------------


def test_the_preferred_provider_of_a_shared_id_comes_first() -> None:
    assert [m.provider for m in find("qwen3-asr-flash")] == ["qwen", "onemin"]
    assert [m.provider for m in find("whisper-1")] == ["onemin", "openai"]


def test_a_model_can_be_found_at_one_provider_only() -> None:
    assert [m.provider for m in find("qwen3-asr-flash", provider="onemin")] == ["onemin"]


def test_case_does_not_matter_for_ids_of_the_catalogue() -> None:
    assert resolve("Qwen3-ASR-Flash").id == "qwen3-asr-flash"


def test_a_snapshot_keeps_the_id_that_was_asked_for() -> None:
    model = resolve("qwen3-asr-flash-2026-02-10")

    assert (model.id, model.known) == ("qwen3-asr-flash-2026-02-10", True)
    assert model.max_seconds == 300


def test_an_alias_of_ours_gives_the_real_id() -> None:
    assert resolve("local").id == "pocketsphinx-en-us"


@pytest.mark.parametrize(
    ("model_id", "api"),
    [
        ("qwen4-asr-flash-realtime", API.REALTIME),
        ("qwen4-omni-flash-realtime-2027-01-01", API.REALTIME),
        ("fun-asr-realtime-2027-01-01", API.TASK),
        ("qwen-audio-4.0-asr-flash-streaming", API.TASK),
        ("qwen-audio-4.0-asr-flash-message", API.TASK),
        ("qwen3-asr-flash-filetrans-2027-01-01", API.JOB),
        ("qwen-audio-4.0-asr-flash-filetrans", API.JOB_LIST),
        ("qwen3-asr-flash-2027-01-01", API.SYNC),
        ("qwen-audio-4.0-asr-flash", API.SYNC_FLASH),
        ("fun-asr-flash-2027-01-01", API.SYNC_FLASH),
        ("fun-asr-2027-01-01", API.JOB_LIST),
        ("paraformer-v3", API.JOB_LIST),
        ("qwen4-omni-plus", API.CHAT),
    ],
)
def test_an_unknown_id_of_a_known_family_is_called_as_its_family_is(
    model_id: str, api: API
) -> None:
    model = resolve(model_id)

    assert (model.id, model.provider, model.known) == (model_id, "qwen", False)
    assert model.api is api
    assert (model.mode is Mode.REALTIME) == (api in LIVE)


def test_an_unknown_id_has_the_limits_and_features_of_its_family() -> None:
    model = resolve("qwen3-asr-flash-2027-01-01")
    relative = the("qwen3-asr-flash", "qwen")

    assert (model.features, model.max_bytes) == (relative.features, relative.max_bytes)
    assert model.price is None


@pytest.mark.parametrize("model_id", ["qwen3-asr-flsh", "qwen3_asr_flash"])
def test_a_misspelt_id_is_refused_with_the_nearest_names(model_id: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        resolve(model_id)

    assert caught.value.nearest[0] == "qwen3-asr-flash"


@pytest.mark.parametrize("model_id", ["xyzzy", "", "-m", "fun-asr x", "fun-asr\n", "gpt-realtime"])
def test_an_id_of_no_family_is_refused(model_id: str) -> None:
    with pytest.raises(UnknownModelError):
        resolve(model_id)


def test_onemin_takes_unknown_ids_of_the_families_it_sells() -> None:
    model = resolve("whisper-2", provider="onemin")

    assert (model.provider, model.api, model.known) == ("onemin", API.ONEMIN, False)


def test_onemin_refuses_other_ids_and_says_who_has_them() -> None:
    with pytest.raises(UnknownModelError, match="at onemin") as caught:
        resolve("fun-asr", provider="onemin")

    assert "qwen has it" in str(caught.value.hint)


def test_a_server_of_openais_kind_takes_any_id_as_it_is_written() -> None:
    model = resolve("Systran/faster-whisper-large-v3", provider="openai")

    assert model.id == "Systran/faster-whisper-large-v3"
    assert (model.api, model.max_bytes, model.languages) == (API.OPENAI, None, ())


def test_openais_own_models_keep_their_limits_under_newer_names() -> None:
    model = resolve("gpt-4o-transcribe-2027-01-01", provider="openai")

    assert (model.max_bytes, model.max_seconds) == (25_000_000, 1_400)


@pytest.mark.parametrize("model_id", ["a b", "a\x1b[2J", "", "/etc/passwd", "x" * 201])
def test_an_id_that_no_server_could_have_is_refused_even_there(model_id: str) -> None:
    with pytest.raises(UnknownModelError):
        resolve(model_id, provider="openai")


@pytest.mark.parametrize(
    "model_id",
    ["qwen3-omni-30b-a3b-captioner", "sensevoice-v1", "qwen-audio-asr", "qwen-omni-turbo"],
)
def test_an_id_that_is_no_use_is_refused_with_the_reason(model_id: str) -> None:
    with pytest.raises(UsageError, match=f"{model_id} is not offered: it"):
        resolve(model_id)


def test_what_qwen_cloud_withdrew_may_run_on_a_server_of_ones_own() -> None:
    assert resolve("sensevoice-small", provider="openai").id == "sensevoice-small"


def test_the_nearest_names_are_those_of_the_provider() -> None:
    with pytest.raises(UnknownModelError) as caught:
        resolve("fun-asrr", provider="onemin")

    assert caught.value.nearest == []


def test_the_local_provider_has_its_own_ids_only() -> None:
    with pytest.raises(UnknownModelError):
        resolve("qwen3-asr-flash", provider="local")


@pytest.mark.parametrize(
    ("live", "recorded"),
    [
        ("fun-asr-realtime", "fun-asr"),
        ("qwen3-asr-flash-realtime", "qwen3-asr-flash"),
        ("qwen3.5-omni-plus-realtime", "qwen3.5-omni-plus"),
        ("qwen3-omni-flash-realtime", "qwen3-omni-flash"),
        ("paraformer-realtime-8k-v2", "paraformer-8k-v2"),
        ("qwen-audio-3.1-asr-flash-streaming", "qwen-audio-3.1-asr-flash"),
    ],
)
def test_a_model_for_live_audio_and_its_sibling_for_files_name_each_other(
    live: str, recorded: str
) -> None:
    batch = sibling(the(live))
    assert batch is not None
    assert batch.id == recorded
    back = sibling(batch)
    assert back is not None
    assert back.id == live


def test_a_model_without_a_sibling_has_none() -> None:
    assert sibling(the("gummy-realtime-v1")) is None


@EVERY
def test_hotwords_and_requests_have_limits_of_one_or_more(model: Model) -> None:
    assert model.max_hotwords is None or model.max_hotwords > 0
    assert model.requests_per_minute is None or model.requests_per_minute > 0


def test_lists_of_hotwords_are_longer_for_the_main_models() -> None:
    long = ("fun-asr", "fun-asr-flash-2026-06-15", "qwen-audio-3.1-asr-flash-filetrans")
    short = ("fun-asr-2025-11-07", "fun-asr-2025-08-25", "fun-asr-mtl", "paraformer-v2")

    assert {the(name).max_hotwords for name in long} == {2_000}
    assert {the(name).max_hotwords for name in short} == {500}
    assert resolve("fun-asr-2027-01-01").max_hotwords == 500


def test_submits_a_minute_are_those_of_the_pages() -> None:
    allowed = {
        "fun-asr": 600,
        "fun-asr-mtl": 100,
        "qwen-audio-3.0-asr-flash-filetrans": 600,
        "paraformer-v2": 1_200,
        "qwen3-asr-flash-filetrans": None,
    }

    assert {name: the(name).requests_per_minute for name in allowed} == allowed
