"""Every batch model with every option it claims, by the catalogue.

A model added to `catalogue.toml` is tested here without another word. The installed program runs in
front of the emulated services: one run with all options on each container that the model takes, a
second one for what would mask something in the first. All runs begin before the first test looks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from asrcli.core.hotwords import takes_hotwords
from asrcli.media.probe import probe
from asrcli.providers.base import API, Feature, Model, Options
from asrcli.providers.qwen.hosts import Hosts
from asrcli.providers.qwen.provider import Qwen
from asrcli.secret import Secret
from asrcli.transport.connection import Connection
from asrcli.transport.retry import Retrier, RetryPolicy
from tests.cli.model_requests import expected_told, told
from tests.cli.model_runs import Runs, claims, expected_words, told_emotion
from tests.cli.model_services import (
    BATCH,
    FIRST,
    PROMPT,
    SECOND,
    TIMED,
    Talks,
    containers_of,
    hosts_of,
    is_snapshot,
    named,
    qwen_for,
    talks_in,
)
from tests.emulators.dashscope import hosts
from tests.emulators.dashscope.app import DashScope
from tests.emulators.onemin import OneMin
from tests.emulators.openai import OpenAI

EVERY = pytest.mark.parametrize("model", BATCH, ids=named)


def only(wanted: Callable[[Model], bool]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", [m for m in BATCH if wanted(m)], ids=named)


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Talks:
    return talks_in(tmp_path_factory.mktemp("talks"))


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, talks: Talks, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """Those of the models that are tested now."""
    made = Runs(talks, tmp_path_factory.mktemp("runs"))
    wanted = {
        str(item.callspec.id)
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and "runs" in item.fixturenames
    }
    for model in BATCH:
        if named(model) in wanted:
            made.begin(model)
    yield made
    made.pool.shutdown(cancel_futures=True)
    for begun in made.begun.values():
        service = begun.result().service
        if isinstance(service, DashScope):
            service.close()


@EVERY
def test_every_container_url_and_reference_that_a_model_takes_gives_the_right_words(
    runs: Runs, talks: Talks, model: Model
) -> None:
    ran = runs.of(model, "full")

    records = ran.records()
    names = {talks.files[name].name for name in containers_of(model)}
    more = (Feature.URL in model.features) + (Feature.UPLOAD in model.features)
    assert names <= set(records)
    assert len(records) == len(names) + more
    if model.provider == "local":
        assert records["talk.wav"]["text"].split()[:2] == ["tomorrow's", "lesson"]
        return
    for name, record in records.items():
        assert record["text"].split() == expected_words(model), name
        assert (record["status"], record["model"]) == ("ok", model.id)


@only(lambda model: model.provider != "local")
def test_each_file_is_sent_as_it_is_and_paid_for_once(
    runs: Runs, talks: Talks, model: Model
) -> None:
    ran = runs.of(model, "full")

    assert isinstance(ran.service, DashScope | OneMin | OpenAI)
    for name in containers_of(model):
        others = (Feature.URL in model.features) + (Feature.UPLOAD in model.features)
        expected = 1 + others if name == "wav" else 1
        assert ran.service.billed(talks.files[name]) == expected, (name, ran.err)


@only(lambda model: model.provider != "local")
def test_each_option_that_a_model_claims_is_in_every_request(runs: Runs, model: Model) -> None:
    calls = runs.of(model, "full").calls()

    assert calls
    wanted = expected_told(model)
    for call in calls:
        said = told(model, call)
        for name in said.keys() & wanted.keys():
            assert (said[name] or None) == (wanted[name] or None), name


@only(lambda model: claims(model, Feature.PROMPT))
def test_a_prompt_is_in_every_request(runs: Runs, model: Model) -> None:
    for call in runs.of(model, "full").calls():
        assert PROMPT in told(model, call)["text"]


@only(takes_hotwords)
def test_hotwords_are_in_every_request_or_in_the_list_that_it_names(
    runs: Runs, model: Model
) -> None:
    ran = runs.of(model, "full")

    for call in ran.calls():
        said = told(model, call)
        if Feature.HOTWORDS not in model.features:
            assert "PENCIL" in said["text"]
            assert "RULER" in said["text"]
        elif isinstance(said["vocabulary"], dict):
            assert said["vocabulary"] == {"PENCIL": 5, "RULER": 4}
        else:
            assert isinstance(ran.service, DashScope)
            (made,) = ran.service.vocabularies.all
            assert (said["vocabulary"], made.target_model) == (made.id, model.id)
            assert {word["text"] for word in made.words} == {"PENCIL", "RULER"}


@only(lambda model: claims(model, Feature.EMOTION))
def test_an_emotion_is_in_every_record(runs: Runs, model: Model) -> None:
    ran = runs.of(model, "full")

    whole = model.api in {API.SYNC, API.CHAT}
    for name, record in ran.records().items():
        found = [segment["emotion"] for segment in record["segments"]]
        assert (found == ["happy"]) if whole else (found[0], found[-1]) == ("happy", "sad"), name
    if told_emotion(model):
        assert all("emotion" in told(model, call)["text"].lower() for call in ran.calls())


@only(lambda model: Feature.DIARIZE in model.features)
def test_speakers_are_told_apart_in_every_record(runs: Runs, model: Model) -> None:
    for name, record in runs.of(model, "full").records().items():
        said = {
            label: " ".join(s["text"] for s in record["segments"] if s["speaker"] == label).lower()
            for label in dict.fromkeys(s["speaker"] for s in record["segments"])
        }
        assert None not in said, name
        # The newer call answers a short recording with one sentence, and names one speaker of it.
        short = model.api is API.SYNC_FLASH
        parts = [f"{FIRST} {SECOND}"] if short else [FIRST, SECOND]
        assert list(said.values()) == [part.lower() for part in parts], name


@only(lambda model: Feature.WORDS in model.features)
def test_words_have_rising_times_in_every_record(runs: Runs, model: Model) -> None:
    for name, record in runs.of(model, "full").records().items():
        words = [word for segment in record["segments"] for word in segment["words"]]
        times = [time for word in words for time in (word["start"], word["end"])]
        assert times == sorted(times), name
        assert 0 < times[-1] < 12  # how long a URL or a reference is, not every service tells
        if model.provider != "local":
            assert len(words) == len(expected_words(model))
        assert {segment["timing"] for segment in record["segments"]} == {"model"}


@only(lambda model: Feature.CHANNELS in model.features and not is_snapshot(model))
def test_channels_come_apart(runs: Runs, model: Model) -> None:
    ran = runs.of(model, "channels")

    (record,) = ran.records().values()
    said = {
        channel: " ".join(s["text"] for s in record["segments"] if s["channel"] == channel)
        for channel in (0, 1)
    }
    assert said == {0: FIRST, 1: SECOND}
    (call,) = ran.calls()
    assert told(model, call)["channels"] == [0, 1]


@only(lambda model: not is_snapshot(model))
def test_every_format_is_written(runs: Runs, model: Model) -> None:
    timed = Feature.TIMES in model.features
    ran = runs.of(model, "full" if timed else "formats")

    assert ran.status == 0, ran.err
    several = len(containers_of(model)) > 1 and timed
    name = "talk.wav" if several else "talk"
    texts = {kind: (ran.folder / f"{name}.{suffix(kind)}").read_text("utf-8") for kind in TIMED}
    record = json.loads(texts["json"])
    assert record["text"] == " ".join(texts["text"].split(": ")[-1].split()) or timed
    assert json.loads(texts["jsonl"])["text"] == record["text"]
    first = record["text"].split()[0]
    assert re.match(r"1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n", texts["srt"])
    assert texts["vtt"].startswith("WEBVTT\n\n")
    assert texts["tsv"].startswith("start\tend\ttext\n")
    assert all(first in texts[kind] for kind in TIMED)
    assert {s["timing"] for s in record["segments"]} == {"model" if timed else "vad"}


def suffix(kind: str) -> str:
    return "txt" if kind == "text" else kind


@only(lambda model: Feature.PARTIALS in model.features and model.provider == "qwen")
def test_text_comes_while_a_model_that_streams_still_works(talks: Talks, model: Model) -> None:
    service, _ = qwen_for(model, talks.wav)
    base = f"https://{hosts_of(service.region)}"
    provider = Qwen(
        Secret(hosts.KEY),
        Hosts(f"{base}/api/v1", f"{base}/compatible-mode/v1", service.region),
        Connection(environ={}),
        retrier=Retrier(RetryPolicy(retries=0)),
        transport=httpx.MockTransport(service),
    )
    heard: list[str] = []

    found = provider.transcribe(probe(talks.wav), model, Options(), on_text=heard.append)

    provider.close()
    service.close()
    assert found.text.split() == f"{FIRST} {SECOND}".split()
    assert heard[-1].split() == found.text.split()
    assert heard == sorted(heard, key=len)
    (call,) = (r for r in service.requests if r.method == "POST")
    assert call.headers.get("x-dashscope-sse") == "enable" or call.json["stream"] is True
