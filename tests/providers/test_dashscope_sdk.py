"""The vendor's SDK (`dashscope`) and our provider, in front of the same emulated service.

The SDK has to come through with the right words: an emulator that refuses what the real service
takes would teach us nothing. Then each of our calls is compared with the SDK's, field by field
(`tests.providers.compared`); the tables below say what differs, and why it may.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from asrcli.media.audio import AudioFile
from asrcli.providers.base import Hotword, Job, JobStatus, Model, Options, Reference
from asrcli.providers.catalogue import resolve
from asrcli.providers.qwen.failures import read_failure
from asrcli.providers.qwen.flash import data_uri
from asrcli.providers.qwen.hosts import Hosts
from asrcli.providers.qwen.provider import Qwen
from asrcli.providers.qwen.vocabularies import Vocabularies
from asrcli.secret import Secret
from asrcli.transport.connection import Connection
from asrcli.transport.http import HTTPClient
from tests.emulators.dashscope import DashScope, JobScript, fetch_from
from tests.emulators.dashscope.hosts import KEY
from tests.emulators.server import Server, serve
from tests.emulators.service import Received
from tests.providers.calling import Time, audio_of
from tests.providers.compared import Difference, assert_alike
from tests.recordings import recording

WELCOME = recording("welcome")
URL = "https://files.example/talks/welcome.wav"
REMOTE = Reference("qwen", URL)
FLASH = resolve("qwen3-asr-flash", provider="qwen")
FILETRANS = resolve("qwen3-asr-flash-filetrans", provider="qwen")
UNMASKED = '{"system_reserved_filter":false}'

SENDER = (
    Difference("header user-agent", "dashscope/.*", "asrcli/.*", "each says who it is"),
    Difference("header x-dashscope-sdk-client", ".*", None, "for the vendor's count of its SDKs"),
    Difference("header x-dashscope-sdk-session-id", ".*", None, "as the line above"),
    Difference(
        "header accept-encoding",
        "gzip, deflate.*",
        "identity",
        "answers are short; compressed, one that was cut cannot be told from a whole one",
    ),
)
ACCEPT = Difference(
    "header accept",
    "application/json; charset=utf-8",
    r"\*/\*",
    "the calls have one kind of answer; errors of what stands in between are HTML, and are read",
)
JSON_TYPE = Difference(
    "header content-type",
    "application/json; charset=utf-8",
    "application/json",
    "JSON is UTF-8 by its own rules: the type has no such parameter (RFC 8259, section 11)",
)
CALL = (*SENDER, ACCEPT, JSON_TYPE)


# --- both sides ---------------------------------------------------------------------------------


@pytest.fixture
def region() -> str:
    return "ap-southeast-1"


@pytest.fixture
def service(region: str) -> Iterator[DashScope]:
    service = DashScope(region=region, fetch=fetch_from({URL: WELCOME.path}))
    # The first poll finds each job done: the SDK sleeps between polls, and knows no other way.
    service.jobs.script = JobScript(pending_polls=0, running_polls=0)
    yield service
    service.close()


@pytest.fixture
def server(service: DashScope) -> Iterator[Server]:
    with serve(service) as server:
        yield server


@pytest.fixture
def sdk(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package; it keeps key, address and connections in variables of its own."""
    dashscope = pytest.importorskip("dashscope")
    pytest.importorskip("dashscope.audio.qwen_asr")  # the package itself does not import it
    monkeypatch.setattr(dashscope, "base_http_api_url", f"{server.url}/api/v1")
    monkeypatch.setattr(dashscope, "api_key", KEY)
    yield dashscope
    dashscope.close_shared_sync_session()


@pytest.fixture
def hosts(server: Server) -> Hosts:
    return Hosts(f"{server.url}/api/v1", f"{server.url}/compatible-mode/v1")


@pytest.fixture
def provider(hosts: Hosts) -> Iterator[Qwen]:
    provider = Qwen(Secret(KEY), hosts, Connection(environ={}), retrier=Time().retrier())
    yield provider
    provider.close()


@pytest.fixture
def vocabularies(hosts: Hosts) -> Iterator[Vocabularies]:
    vocabularies = Vocabularies(
        HTTPClient(
            "qwen",
            hosts.native,
            {"Authorization": Secret(KEY)},
            Connection(environ={}),
            retrier=Time().retrier(),
            read_failure=read_failure,
        )
    )
    yield vocabularies
    vocabularies.close()


@pytest.fixture
def audio() -> AudioFile:
    return audio_of(WELCOME)


def last_two(service: DashScope) -> tuple[Received, Received]:
    """The SDK's request and ours, in the order in which the tests call them."""
    sdk, ours = service.requests[-2:]
    return sdk, ours


def messages(audio: str, *, prompt: str | None = None) -> list[dict[str, Any]]:
    system = [{"role": "system", "content": [{"text": prompt}]}] if prompt else []
    return [*system, {"role": "user", "content": [{"audio": audio}]}]


def text_of(answer: Any) -> str:
    text: str = answer.output.choices[0].message.content[0]["text"]
    return text


# --- qwen3-asr-flash ------------------------------------------------------------------------------


def test_a_url_is_asked_for_as_the_sdk_asks(sdk: Any, provider: Qwen, service: DashScope) -> None:
    theirs = sdk.MultiModalConversation.call(
        model="qwen3-asr-flash",
        messages=messages(URL, prompt="A computer speaks."),
        asr_options={"language": "en", "enable_itn": False},
    )
    options = Options(language="en", itn=False, prompt="A computer speaks.")
    ours = provider.transcribe(REMOTE, FLASH, options)

    assert text_of(theirs) == ours.text == WELCOME.text
    assert_alike(*last_two(service), CALL)


def test_a_file_inside_the_request_is_sent_as_the_sdk_sends_it(
    sdk: Any, provider: Qwen, service: DashScope, audio: AudioFile
) -> None:
    theirs = sdk.MultiModalConversation.call(
        model="qwen3-asr-flash", messages=messages(data_uri(audio))
    )
    ours = provider.transcribe(audio, FLASH, Options())

    assert text_of(theirs) == ours.text == WELCOME.text
    assert_alike(*last_two(service), CALL)


def test_a_stream_is_asked_for_as_the_sdk_asks(
    sdk: Any, provider: Qwen, service: DashScope
) -> None:
    events = sdk.MultiModalConversation.call(
        model="qwen3-asr-flash", messages=messages(URL), stream=True, incremental_output=True
    )
    contents = [event.output.choices[0].message.content for event in events]
    heard: list[str] = []
    ours = provider.transcribe(REMOTE, FLASH, Options(), on_text=heard.append)

    assert "".join(content[0]["text"] for content in contents if content) == WELCOME.text
    assert ours.text == heard[-1] == WELCOME.text
    nginx = Difference(
        "header x-accel-buffering", "no", None, "nginx reads it in answers, not in requests"
    )
    # Both accept `text/event-stream` here.
    assert_alike(*last_two(service), SENDER, [JSON_TYPE, nginx])


# --- uploads ------------------------------------------------------------------------------------

FORM = (
    Difference("header accept", "application/json", r"\*/\*", "the store answers with XML"),
    Difference("header date", ".+ GMT", None, "the policy has the time; nothing here is signed"),
    Difference(
        "form order",
        "OSSAccessKeyId Signature policy key x-oss-object-acl x-oss-forbid-overwrite"
        " success_action_status x-oss-content-type file",
        "OSSAccessKeyId Signature policy x-oss-object-acl x-oss-forbid-overwrite key"
        " success_action_status file",
        "the store wants `file` to be the last, and no order of the others",
    ),
    Difference("form policy", ".{100,}", ".{100,}", "each sends the policy it was given"),
    Difference("form Signature", ".{28}", ".{28}", "that of the policy"),
    Difference(
        "form key",
        r"dashscope-instant/[0-9a-f]{32}/[\d-]{10}/[0-9a-f-]{36}/welcome\.wav",
        r"dashscope-instant/[0-9a-f]{32}/[\d-]{10}/[0-9a-f-]{36}/audio-[0-9a-f]{32}\.wav",
        "a policy serves many files of ours, and what they are called is the user's business",
    ),
    Difference("form file name", r"welcome\.wav", r"audio-[0-9a-f]{32}\.wav", "as the key"),
    Difference(
        "form x-oss-content-type", "audio/x-wav", None, "ours goes with the file, by its content"
    ),
    Difference("form file type", "none", "audio/wav", "see `x-oss-content-type`"),
)
STORED = Difference(
    "json input.messages[0].content[0].audio",
    r"oss://dashscope-instant/.*/welcome\.wav",
    r"oss://dashscope-instant/.*/audio-[0-9a-f]{32}\.wav",
    "each names what it has uploaded",
)


def test_a_file_is_uploaded_and_named_as_the_sdk_does(
    sdk: Any, provider: Qwen, service: DashScope, audio: AudioFile
) -> None:
    theirs = sdk.MultiModalConversation.call(
        model="qwen3-asr-flash", messages=messages(WELCOME.path.as_uri())
    )
    ours = provider.transcribe(audio, replace(FLASH, max_encoded_bytes=1), Options())

    assert text_of(theirs) == ours.text == WELCOME.text
    policy, form, call, our_policy, our_form, our_call = service.requests
    assert_alike(policy, our_policy, SENDER, [ACCEPT])
    assert_alike(form, our_form, [line for line in SENDER if "sdk" not in line.field], FORM)
    assert_alike(call, our_call, CALL, [STORED])


# --- jobs ---------------------------------------------------------------------------------------

CANCEL_PATH = "/api/v1/tasks/[0-9a-f-]{36}/cancel"
CANCEL = (
    ACCEPT,
    Difference("path", CANCEL_PATH, CANCEL_PATH, "each takes back its own job"),
)


def transcript_of(url: str) -> str:
    """The text of a result; the SDK leaves fetching it to its caller."""
    found = httpx.get(url, trust_env=False).json()
    return " ".join(item["text"] for item in found["transcripts"])


def finished(provider: Qwen, job: Job, model: Model) -> JobStatus:
    status = provider.poll(job, model)
    assert status.state.ended
    return status


@pytest.mark.parametrize(
    ("region", "name"),
    [("ap-southeast-1", "fun-asr"), ("cn-beijing", "paraformer-v2")],
)
def test_a_job_for_a_list_of_files_is_submitted_and_polled_as_the_sdk_does(
    sdk: Any, provider: Qwen, service: DashScope, name: str
) -> None:
    model = resolve(name, provider="qwen")
    theirs = sdk.audio.asr.Transcription.async_call(
        model=name,
        file_urls=[URL],
        language_hints=["en"],
        diarization_enabled=True,
        speaker_count=2,
        special_word_filter=UNMASKED,
    )
    options = Options(language="en", diarize=True, speakers=2)
    job = provider.submit(REMOTE, model, options)
    assert_alike(*last_two(service), CALL)

    done = sdk.audio.asr.Transcription.wait(theirs)
    status = finished(provider, replace(job, id=theirs.output.task_id), model)
    assert_alike(*last_two(service), SENDER, [ACCEPT])
    assert sdk.audio.asr.Transcription.fetch(theirs).output.task_status == "SUCCEEDED"

    assert transcript_of(done.output.results[0]["transcription_url"]) == WELCOME.text
    assert provider.fetch(status, model, options).text == WELCOME.text


def test_a_job_for_one_file_is_submitted_and_polled_as_the_sdk_does(
    sdk: Any, provider: Qwen, service: DashScope
) -> None:
    theirs = sdk.audio.qwen_asr.QwenTranscription.async_call(
        model="qwen3-asr-flash-filetrans",
        file_url=URL,
        language="en",
        enable_itn=False,
        enable_words=True,
        channel_id=[0],
    )
    options = Options(language="en", itn=False, words=True, channels=(0,))
    job = provider.submit(REMOTE, FILETRANS, options)
    assert_alike(*last_two(service), CALL)

    done = sdk.audio.qwen_asr.QwenTranscription.wait(theirs)
    status = finished(provider, replace(job, id=theirs.output.task_id), FILETRANS)
    assert_alike(*last_two(service), SENDER, [ACCEPT])

    assert transcript_of(done.output.result["transcription_url"]) == WELCOME.text
    assert provider.fetch(status, FILETRANS, options).text == WELCOME.text


def test_a_job_is_taken_back_as_the_sdk_does(sdk: Any, provider: Qwen, service: DashScope) -> None:
    service.jobs.script = JobScript()  # nothing has begun until it is polled
    theirs = sdk.audio.qwen_asr.QwenTranscription.async_call(model=FILETRANS.id, file_url=URL)
    job = provider.submit(REMOTE, FILETRANS, Options())
    assert sdk.audio.qwen_asr.QwenTranscription.cancel(theirs).status_code == 200
    provider.cancel(job)

    assert [each.canceled for each in service.jobs.all] == [True, True]
    assert_alike(*last_two(service), SENDER, CANCEL)
    assert last_two(service)[1].content == b""


# --- lists of hotwords --------------------------------------------------------------------------

WORDS = [{"text": "Seoul", "weight": 5, "lang": "en"}, {"text": "Jeju", "weight": 4}]
HOTWORDS = [Hotword("Seoul", 5, "en"), Hotword("Jeju")]
FUN = resolve("fun-asr", provider="qwen")
EMPTY = Difference(
    "json parameters",
    "{}",
    None,
    "the SDK adds it to every call; the page of these calls knows `model` and `input`",
)
OWN_LIST = Difference(
    "json input.vocabulary_id",
    "vocab-asrcli-[0-9a-f]{32}",
    "vocab-asrcli-[0-9a-f]{32}",
    "each deletes, or updates, its own",
)


def test_a_list_of_hotwords_lives_as_the_sdk_has_it(
    sdk: Any, vocabularies: Vocabularies, service: DashScope
) -> None:
    theirs = sdk.audio.asr.VocabularyService()
    first = theirs.create_vocabulary("fun-asr", "asrcli", WORDS)
    second = vocabularies.create(HOTWORDS, FUN)
    assert_alike(*last_two(service), CALL, [EMPTY])

    listed = theirs.list_vocabularies("asrcli")
    shown = vocabularies.list(prefix="asrcli")
    assert {row["vocabulary_id"] for row in listed} == {v.id for v in shown} == {first, second}
    assert_alike(*last_two(service), CALL, [EMPTY])

    assert theirs.query_vocabulary(first)["vocabulary"] == WORDS
    assert [word.text for word in vocabularies.show(first).words] == ["Seoul", "Jeju"]
    assert_alike(*last_two(service), CALL, [EMPTY])

    theirs.update_vocabulary(first, WORDS[:1])
    vocabularies.update(second, HOTWORDS[:1])
    assert [len(kept.words) for kept in service.vocabularies.all] == [1, 1]
    assert_alike(*last_two(service), CALL, [EMPTY, OWN_LIST])

    theirs.delete_vocabulary(first)
    vocabularies.delete(second)
    assert service.vocabularies.all == []
    assert_alike(*last_two(service), CALL, [EMPTY, OWN_LIST])


def test_all_lists_of_hotwords_are_asked_for_as_the_sdk_asks(
    sdk: Any, vocabularies: Vocabularies, service: DashScope
) -> None:
    assert sdk.audio.asr.VocabularyService().list_vocabularies() == vocabularies.list() == []
    null = Difference(
        "json input.prefix",
        None,
        "null",
        "the page of the call shows `null`; the SDK leaves it out",
    )
    assert_alike(*last_two(service), CALL, [EMPTY, null])
