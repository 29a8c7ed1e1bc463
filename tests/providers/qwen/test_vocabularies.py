"""Lists of hotwords at Qwen Cloud: the five calls, and the rules for words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from asrcli.errors import (
    AsrError,
    FeatureError,
    KeyMissingError,
    KeyRefusedError,
    RefusedError,
    Retry,
    RightsError,
    UnexpectedAnswerError,
    UsageError,
)
from asrcli.providers.base import Hotword
from asrcli.providers.catalogue import models, resolve
from asrcli.providers.qwen.failures import read_failure
from asrcli.providers.qwen.vocabularies import (
    FULL,
    GONE,
    Vocabularies,
    check_hotwords,
    check_id,
    check_prefix,
    is_vocabulary_id,
    keeps_vocabularies,
    most_hotwords,
    require_vocabularies,
)
from asrcli.secret import Secret
from asrcli.settings import Settings
from asrcli.transport.connection import Connection
from asrcli.transport.http import HTTPClient
from tests.emulators.dashscope import DashScope, faults
from tests.emulators.dashscope.hosts import KEY
from tests.emulators.dashscope.models import MODELS
from tests.emulators.troubles import After, Drop
from tests.providers.calling import INTL, Time

FUN, LIVE = resolve("fun-asr"), resolve("fun-asr-realtime")
AUDIO = resolve("qwen-audio-3.1-asr-flash-filetrans")
WORDS = (Hotword("Qwen"), Hotword("Straße", 5, "de"), Hotword("Model Studio", 2))
UNKNOWN = f"vocab-asrcli-{'0' * 32}"


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def service(time: Time) -> Iterator[DashScope]:
    service = DashScope(clock=time.clock)
    yield service
    service.close()


@pytest.fixture
def lists(service: DashScope, time: Time) -> Iterator[Vocabularies]:
    opened = vocabularies(service, time)
    yield opened
    opened.close()


def vocabularies(service: Any, time: Time, *, key: str = KEY) -> Vocabularies:
    http = HTTPClient(
        "qwen",
        INTL.native,
        {"Authorization": Secret(key)},
        Connection(environ={}),
        retrier=time.retrier(),
        read_failure=read_failure,
        transport=httpx.MockTransport(service),
    )
    return Vocabularies(http)


# --- calls ------------------------------------------------------------------------------------


def test_a_list_is_made_shown_changed_and_deleted(lists: Vocabularies, service: DashScope) -> None:
    name = lists.create(WORDS, FUN)
    made = lists.show(name)
    lists.update(name, [Hotword("other")])
    changed = lists.show(name)
    lists.delete(name)

    assert name.startswith("vocab-asrcli-")
    assert (made.model, made.status, made.usable) == ("fun-asr", "OK", True)
    assert made.words == (Hotword("Qwen", 4), *WORDS[1:])
    assert changed.words == (Hotword("other", 4),)
    assert service.vocabularies.all == []


def test_the_lists_of_all_pages_come_the_newest_first(
    lists: Vocabularies, service: DashScope
) -> None:
    names = [lists.create(WORDS, FUN, prefix="one" if n % 2 else "two") for n in range(10)]

    assert [v.id for v in lists.list()] == names[::-1]
    assert [v.id for v in lists.list(prefix="one")] == names[1::2][::-1]
    pages = [r.json["input"]["page_index"] for r in list(service.requests)[10:]]
    assert pages == [0, 1, 0]


def test_a_prefix_of_a_prefix_is_another(lists: Vocabularies) -> None:
    lists.create(WORDS, FUN, prefix="asrcliauto")

    assert lists.list(prefix="asrcli") == []


def test_a_service_that_does_not_turn_pages_is_not_asked_for_ever(time: Time) -> None:
    entry = [{"vocabulary_id": f"vocab-x-{n}", "status": "OK"} for n in range(10)]
    answered: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        answered.append(request)
        return httpx.Response(200, json={"output": {"vocabulary_list": entry}})

    assert len(vocabularies(answer, time).list()) == 10
    assert len(answered) == 2


def test_an_unknown_list_is_gone(lists: Vocabularies) -> None:
    for call in (lists.show, lists.delete, lambda name: lists.update(name, WORDS)):
        with pytest.raises(RefusedError, match="there is no list") as caught:
            call(UNKNOWN)
        assert (caught.value.code, caught.value.http_status) == (GONE, 416)
        assert caught.value.request_id


def test_the_eleventh_list_is_refused_with_what_to_do(lists: Vocabularies) -> None:
    for _ in range(10):
        lists.create(WORDS, FUN)

    with pytest.raises(RefusedError, match="already has 10") as caught:
        lists.create(WORDS, FUN)

    assert caught.value.code == FULL
    assert "asrcli hotwords delete" in (caught.value.hint or "")


def test_two_updates_within_five_minutes_are_refused(lists: Vocabularies, time: Time) -> None:
    name = lists.create(WORDS, FUN)
    lists.update(name, WORDS)

    with pytest.raises(RefusedError, match="5 minutes"):
        lists.update(name, WORDS)
    time.now += 301
    lists.update(name, WORDS)


def test_a_list_whose_answer_was_lost_is_found_and_not_made_twice(
    lists: Vocabularies, service: DashScope
) -> None:
    lists.create([Hotword("other")], FUN)
    service.failures.append(After(Drop("close")))

    name = lists.create(WORDS, FUN)

    assert len(service.vocabularies.all) == 2
    assert name == service.vocabularies.all[-1].id


def test_a_list_that_was_not_made_is_an_error(lists: Vocabularies, service: DashScope) -> None:
    service.failures.append(faults.gateway_timeout())

    with pytest.raises(AsrError) as caught:
        lists.create(WORDS, FUN)

    assert caught.value.retry is Retry.AMBIGUOUS
    assert service.vocabularies.all == []


def test_a_deletion_whose_answer_was_lost_is_one(lists: Vocabularies, service: DashScope) -> None:
    name = lists.create(WORDS, FUN)
    service.failures.append(After(Drop("close")))

    lists.delete(name)

    assert service.vocabularies.all == []


def test_a_list_for_a_realtime_model_is_made_too(lists: Vocabularies) -> None:
    assert lists.show(lists.create(WORDS, LIVE)).model == "fun-asr-realtime"


def test_a_list_that_is_not_deployed_is_not_usable(lists: Vocabularies, service: DashScope) -> None:
    service.vocabularies.status = "UNDEPLOYED"

    assert not lists.show(lists.create(WORDS, FUN)).usable


def test_a_refused_key_is_an_error(service: DashScope, time: Time) -> None:
    with pytest.raises(KeyRefusedError):
        vocabularies(service, time, key="sk-wrong").list()


def test_a_region_without_rights_is_an_error(lists: Vocabularies, service: DashScope) -> None:
    service.failures.append(faults.access_denied())

    with pytest.raises(RightsError):
        lists.list()


@pytest.mark.parametrize(
    "output",
    [
        None,
        {},
        {"vocabulary_list": None},
        {"vocabulary_list": [{"status": "OK"}]},
        {"vocabulary_list": [{"vocabulary_id": "vocab-a-1"}]},
        {"vocabulary_list": ["vocab-a-1"]},
        {"task_id": "vocab-a-1"},
        {"vocabulary_id": 3},
        {"target_model": "fun-asr", "status": "OK"},
        {"status": "OK", "vocabulary": []},
        {"target_model": "fun-asr", "status": "OK", "vocabulary": [{"weight": 4}]},
        {"target_model": "fun-asr", "status": "OK", "vocabulary": [{"text": "a", "weight": "4"}]},
    ],
)
def test_an_answer_that_is_not_as_documented_is_an_error(output: Any, time: Time) -> None:
    odd = vocabularies(lambda _: httpx.Response(200, json={"output": output}), time)

    for call in (odd.list, lambda: odd.show(UNKNOWN), lambda: odd.create(WORDS, FUN)):
        with pytest.raises(UnexpectedAnswerError):
            call()


def test_the_lists_are_opened_with_the_key_and_the_region() -> None:
    environ = {"DASHSCOPE_API_KEY": "sk-1234"}
    opened = Vocabularies.open(
        Settings(environ=environ, region="cn"), Connection(environ={}), retrier=Time().retrier()
    )

    assert opened.place == "https://dashscope.aliyuncs.com/api/v1"
    opened.close()
    with pytest.raises(KeyMissingError):
        Vocabularies.open(Settings(environ={}), Connection(), retrier=Time().retrier())


# --- rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word",
    [
        Hotword("阿" * 16),
        Hotword("one two three four five six seven eight"),
        Hotword("a", 0),
        Hotword("a", 6),
        Hotword("a", 50),
        Hotword("a", -1),
        Hotword("a", 4, "xx"),
    ],
)
def test_a_word_that_the_service_would_refuse_is_refused_here(
    word: Hotword, lists: Vocabularies
) -> None:
    with pytest.raises(UsageError, match="hotword"):
        check_hotwords([word], FUN)
    with pytest.raises(RefusedError):
        lists.create([word], FUN)


@pytest.mark.parametrize(
    "word",
    [
        Hotword("阿" * 15),
        Hotword("one two three four five six seven"),
        Hotword("a" * 40),
        Hotword("a", 1),
        Hotword("a", 5, "zh"),
    ],
)
def test_a_word_at_the_limit_is_taken(word: Hotword, lists: Vocabularies) -> None:
    check_hotwords([word], FUN)

    assert lists.create([word], FUN)


def test_super_hotwords_are_for_qwen_audio_and_at_most_fifty(lists: Vocabularies) -> None:
    words = [Hotword(f"word{n}", 50) for n in range(50)]

    check_hotwords(words, AUDIO)
    assert lists.create(words, AUDIO)
    with pytest.raises(UsageError, match="51"):
        check_hotwords([*words, Hotword("more", 50)], AUDIO)


@pytest.mark.parametrize("text", ["", "Upper", "too-long", "abcdefghijk", "ü"])
def test_a_prefix_is_a_few_letters_and_digits(text: str) -> None:
    with pytest.raises(UsageError, match="prefix"):
        check_prefix(text)


def test_ids_are_known_by_their_looks() -> None:
    assert is_vocabulary_id(UNKNOWN)
    for text in ("names.txt", "vocab-", "vocab-a", "vocab-a-../x", "vocab-A-1", ""):
        assert not is_vocabulary_id(text)
        with pytest.raises(UsageError, match="no id"):
            check_id(text)


def test_the_models_with_lists_are_those_of_the_service() -> None:
    known = {m.id for m in models() if m.provider == "qwen" and m.id in MODELS}

    kept = {m.id for m in models() if m.id in known and keeps_vocabularies(m)}

    assert kept == {name for name in known if MODELS[name].hotwords} - {
        "paraformer-v1", "paraformer-8k-v1", "paraformer-mtl-v1"
    }  # fmt: skip
    assert all(most_hotwords(resolve(name)) <= MODELS[name].hotwords for name in kept)
    with pytest.raises(FeatureError):
        require_vocabularies(resolve("qwen3-asr-flash"))
