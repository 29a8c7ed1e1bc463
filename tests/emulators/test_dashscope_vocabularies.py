"""The emulated DashScope: lists of hotwords."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.emulators.dashscope import MODELS, DashScope, Key, fetch_from
from tests.emulators.dashscope.calls import (
    CUSTOMIZATION,
    Clock,
    client_of,
    code_of,
    run_job,
    words_body,
)
from tests.recordings import recording

FUN = "fun-asr"
WELCOME = recording("welcome")
URL = "https://example.com/a.wav"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock) -> Iterator[DashScope]:
    emulator = DashScope(clock=clock, fetch=fetch_from({URL: WELCOME.path}))
    yield emulator
    emulator.close()


@pytest.fixture
def client(service: DashScope) -> Iterator[httpx.Client]:
    with client_of(service) as opened:
        yield opened


def word(text: str = "Computer", weight: Any = 4, **more: Any) -> dict[str, Any]:
    return {"text": text, "weight": weight, **more}


def customize(client: httpx.Client, action: str, **fields: Any) -> httpx.Response:
    return client.post(CUSTOMIZATION, json=words_body(action, **fields))


def create(client: httpx.Client, *words: Any, model: str = FUN, prefix: str = "asrcli") -> str:
    answer = customize(
        client,
        "create_vocabulary",
        target_model=model,
        prefix=prefix,
        vocabulary=list(words or [word()]),
    )
    name: str = answer.json()["output"]["vocabulary_id"]
    return name


def test_a_vocabulary_is_created_queried_updated_listed_and_deleted(
    client: httpx.Client, clock: Clock
) -> None:
    name = create(client, word("one"), word("two", 5, lang="en"))
    clock.forward(60)
    updated = customize(client, "update_vocabulary", vocabulary_id=name, vocabulary=[word("three")])
    queried = customize(client, "query_vocabulary", vocabulary_id=name)
    listed = customize(client, "list_vocabulary", prefix=None, page_index=0, page_size=10)
    deleted = customize(client, "delete_vocabulary", vocabulary_id=name)

    assert name.startswith("vocab-asrcli-")
    assert len(name) == len("vocab-asrcli-") + 32
    states = {
        "status": "OK",
        "gmt_create": "2026-11-02 14:13:20",
        "gmt_modified": "2026-11-02 14:14:20",
    }
    assert queried.json()["output"] == {
        "target_model": FUN,
        **states,
        "vocabulary": [word("three")],
    }
    assert listed.json()["output"] == {"vocabulary_list": [{"vocabulary_id": name, **states}]}
    for answer in (updated, deleted):
        request_id = answer.headers["x-request-id"]
        assert answer.json() == {"output": {}, "usage": {"count": 1}, "request_id": request_id}
    gone = customize(client, "query_vocabulary", vocabulary_id=name)
    assert code_of(gone) == (416, "BadRequest.ResourceNotExist")


def test_lists_are_paged_and_filtered_by_their_prefix(client: httpx.Client) -> None:
    names = [create(client, prefix=prefix) for prefix in ("a", "b", "a")]

    def listed(**fields: Any) -> list[str]:
        output = customize(client, "list_vocabulary", **fields).json()["output"]
        return [item["vocabulary_id"] for item in output["vocabulary_list"]]

    assert listed(prefix="a") == [names[2], names[0]]
    assert listed(page_index=1, page_size=2) == [names[0]]


def test_an_account_has_ten_lists(client: httpx.Client) -> None:
    for _ in range(10):
        create(client)

    answer = customize(
        client, "create_vocabulary", target_model=FUN, prefix="a", vocabulary=[word()]
    )

    assert code_of(answer) == (400, "Throttling.AllocationQuota")
    assert answer.json()["message"] == "Free allocated quota exceeded."


@pytest.mark.parametrize(
    "fields",
    [
        {"prefix": "Asrcli"},
        {"prefix": "asrcli-test"},
        {"prefix": ""},
        {"target_model": "qwen3-asr-flash"},
        {"target_model": "unheard-of"},
        {"vocabulary": []},
        {"vocabulary": [word()] * 2001},
        {"vocabulary": [word(weight=0)]},
        {"vocabulary": [word(weight=6)]},
        {"vocabulary": [word(weight=50)]},
        {"vocabulary": [word(weight=4.5)]},
        {"vocabulary": [word(weight="4")]},
        {"vocabulary": [word("")]},
        {"vocabulary": [word("a b c d e f g h")]},
        {"vocabulary": [word("语" * 16)]},
        {"vocabulary": [word(lang="yue")]},
        {"vocabulary": [word(note="x")]},
        {"vocabulary": ["word"]},
        {"language": "en"},
    ],
    ids=lambda fields: json.dumps(fields)[:50],
)
def test_a_list_outside_the_rules_is_refused(client: httpx.Client, fields: dict[str, Any]) -> None:
    given = {"target_model": FUN, "prefix": "asrcli", "vocabulary": [word()]} | fields

    assert code_of(customize(client, "create_vocabulary", **given)) == (400, "InvalidParameter")


def test_the_limits_of_a_list_are_those_of_its_model(client: httpx.Client) -> None:
    words = [word(f"word {number}") for number in range(501)]
    given = {"prefix": "a", "vocabulary": words}

    main = customize(client, "create_vocabulary", target_model=FUN, **given)
    old = customize(client, "create_vocabulary", target_model="fun-asr-mtl", **given)

    assert main.status_code == 200
    assert code_of(old) == (400, "InvalidParameter")


def test_super_hotwords_are_for_qwen_audio_and_fifty_at_most(client: httpx.Client) -> None:
    given = {"target_model": "qwen-audio-3.1-asr-flash-filetrans", "prefix": "a"}
    fifty = [word(f"word {number}", 50) for number in range(50)]

    right = customize(client, "create_vocabulary", **given, vocabulary=fifty)
    wrong = customize(client, "create_vocabulary", **given, vocabulary=[*fifty, word(weight=50)])

    assert right.status_code == 200
    assert code_of(wrong) == (400, "InvalidParameter")


def test_updates_need_five_minutes_between_them(client: httpx.Client, clock: Clock) -> None:
    name = create(client)
    statuses = []
    for seconds in (0, 299, 1):
        clock.forward(seconds)
        answer = customize(client, "update_vocabulary", vocabulary_id=name, vocabulary=[word()])
        statuses.append(answer.status_code)

    assert statuses == [200, 400, 200]


def test_a_list_belongs_to_one_account(service: DashScope, client: httpx.Client) -> None:
    service.keys.add(Key(value="sk-second", account="account-2"))
    name = create(client)
    with client_of(service, key="sk-second") as other:
        answer = customize(other, "delete_vocabulary", vocabulary_id=name)
        listed = customize(other, "list_vocabulary").json()["output"]

    assert code_of(answer) == (416, "BadRequest.ResourceNotExist")
    assert listed == {"vocabulary_list": []}


def test_a_subworkspace_of_singapore_has_no_hotwords(service: DashScope) -> None:
    service.keys.add(Key(subworkspaces=frozenset({"llm-sub"})))
    with client_of(service, **{"X-DashScope-WorkSpace": "llm-sub"}) as client:
        answer = customize(client, "list_vocabulary")

    assert code_of(answer) == (403, "Workspace.AccessDenied")


@pytest.mark.parametrize(
    "body",
    [
        {"model": "fun-asr", "input": {"action": "list_vocabulary"}},
        words_body("forget_vocabulary"),
        words_body("query_vocabulary"),
        words_body("list_vocabulary", page_size=0),
        {"model": "speech-biasing"},
    ],
    ids=str,
)
def test_a_call_that_is_no_action_is_refused(client: httpx.Client, body: Any) -> None:
    assert code_of(client.post(CUSTOMIZATION, json=body)) == (400, "InvalidParameter")


def heard(service: DashScope, client: httpx.Client, model: str, **given: Any) -> str:
    answer = run_job(client, model, URL, **given)
    with client_of(service, key=None) as keyless:
        body = keyless.get(answer["output"]["results"][0]["transcription_url"]).json()
    text: str = body["transcripts"][0]["text"]
    return text


def test_a_vocabulary_decides_how_its_words_are_written(
    service: DashScope, client: httpx.Client
) -> None:
    name = create(client, word("COMPUTER"), word("Good Morning"), word("VISIT"))

    text = heard(service, client, FUN, vocabulary_id=name)

    assert text.startswith("Good Morning, and welcome.")
    assert text.endswith("your own COMPUTER.")


def test_a_vocabulary_for_another_model_is_ignored_without_a_word(
    service: DashScope, client: httpx.Client
) -> None:
    name = create(client, word("COMPUTER"), model="fun-asr-2025-11-07")

    assert heard(service, client, FUN, vocabulary_id=name) == WELCOME.text


def test_a_vocabulary_that_is_not_deployed_has_no_effect(
    service: DashScope, client: httpx.Client
) -> None:
    service.vocabularies.status = "UNDEPLOYED"
    name = create(client, word("COMPUTER"))

    assert heard(service, client, FUN, vocabulary_id=name) == WELCOME.text


def test_with_hints_only_words_of_that_language_count(
    service: DashScope, client: httpx.Client
) -> None:
    name = create(client, word("COMPUTER", lang="de"), word("MORNING", lang="en"))

    text = heard(service, client, FUN, vocabulary_id=name, language_hints=["en", "de"])

    assert text == WELCOME.text.replace("morning", "MORNING")


def test_empty_parameters_are_taken_as_the_official_sdk_sends_them(client: httpx.Client) -> None:
    body = words_body("list_vocabulary", page_index=0, page_size=10)

    empty = client.post(CUSTOMIZATION, json={**body, "parameters": {}})
    other = client.post(CUSTOMIZATION, json={**body, "parameters": {"size": 1}})

    assert empty.json()["output"] == {"vocabulary_list": []}
    assert code_of(other) == (400, "InvalidParameter")


def test_hotwords_may_be_given_with_the_call_to_models_that_take_them(
    service: DashScope, client: httpx.Client
) -> None:
    model = "qwen-audio-3.0-asr-flash-filetrans"
    name = create(client, word("MORNING"), model=model)

    text = heard(service, client, model, vocabulary_id=name, vocabulary={"COMPUTER": 3})

    assert MODELS[model].instant
    assert text == WELCOME.text.replace("morning", "MORNING").replace("computer", "COMPUTER")
