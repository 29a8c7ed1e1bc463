"""Temporary storage of Qwen Cloud; policies are written out in `tests/data/dashscope`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from asrcli.errors import (
    FileTooLargeError,
    InputRefusedError,
    ModelRefusedError,
    NetworkError,
    RedirectError,
    ServiceError,
    UnexpectedAnswerError,
)
from asrcli.media.audio import AudioFile
from asrcli.providers.base import Model
from asrcli.providers.catalogue import resolve
from asrcli.providers.qwen.failures import read_failure, read_store_failure
from asrcli.providers.qwen.uploads import LIFETIME, Uploads
from asrcli.secret import Secret
from asrcli.transport.connection import Connection
from asrcli.transport.http import HTTPClient
from tests.emulators.dashscope import faults
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.hosts import KEY
from tests.emulators.service import Received
from tests.emulators.troubles import After, Drop
from tests.providers.calling import INTL, Time, answer_from, audio_of, cases
from tests.recordings import recording

WELCOME = recording("welcome")
STORE = "POST /"
POLICY = "GET /api/v1/uploads"
NOW = datetime(2026, 11, 2, 10, 15, tzinfo=UTC)
ORDER = [
    "OSSAccessKeyId",
    "Signature",
    "policy",
    "x-oss-object-acl",
    "x-oss-forbid-overwrite",
    "key",
    "success_action_status",
    "file",
]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def service(time: Time) -> Iterator[DashScope]:
    service = DashScope(clock=time.clock)
    yield service
    service.close()


@pytest.fixture
def uploads(service: DashScope, time: Time) -> Uploads:
    return uploads_at(service, time)


@pytest.fixture
def model() -> Model:
    return resolve("qwen3-asr-flash", provider="qwen")


@pytest.fixture
def audio() -> AudioFile:
    return audio_of(WELCOME)


def uploads_at(service: Any, time: Time) -> Uploads:
    transport = httpx.MockTransport(service)
    retrier, connection = time.retrier(), Connection(environ={})
    api = HTTPClient(
        "qwen", INTL.native, {"Authorization": Secret(KEY)}, connection,
        retrier=retrier, read_failure=read_failure, transport=transport,
    )  # fmt: skip
    store = HTTPClient(
        "qwen", INTL.native, {}, connection,
        retrier=retrier, read_failure=read_store_failure, transport=transport,
    )  # fmt: skip
    return Uploads(api, store, clock=time.clock, now=lambda: NOW)


def policies(service: DashScope) -> list[Received]:
    return service.requests.to("GET", "/api/v1/uploads")


def forms(service: DashScope) -> list[Received]:
    return service.requests.to("POST", "/")


# --- the form ---------------------------------------------------------------------------------


def test_a_file_is_stored_for_its_model(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    reference = uploads.store(audio, model)

    (key, stored) = next(iter(service.uploads.objects.items()))
    assert (reference.provider, reference.location) == ("qwen", f"oss://{key}")
    assert stored.path.read_bytes() == WELCOME.path.read_bytes()
    assert stored.model == "qwen3-asr-flash"
    assert policies(service)[0].params == {"action": "getPolicy", "model": "qwen3-asr-flash"}


def test_the_fields_of_the_form_are_in_their_order_and_the_file_is_last(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    uploads.store(audio, model)

    parts = forms(service)[0].form
    assert [part.name for part in parts] == ORDER
    assert parts[-1].content == WELCOME.path.read_bytes()
    assert parts[-2].text == "200"
    assert [part.filename for part in parts[:-1]] == [None] * 7


def test_no_key_and_no_workspace_goes_to_the_object_store(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    uploads.store(audio, model)

    (form,) = forms(service)
    assert form.url.host != policies(service)[0].url.host
    assert "authorization" not in form.headers
    assert KEY not in str(form.headers)
    assert KEY.encode() not in form.content
    assert policies(service)[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("name", ["Besprechung für Jürgen.wav", 'a"\r\nkey: x\r\n\r\n.wav'])
def test_the_object_store_never_learns_the_name_of_a_file(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(WELCOME.path.read_bytes())

    uploads.store(replace(audio, path=path, name=name), model)

    (key,) = service.uploads.objects
    assert key.isascii()
    assert key.rpartition("/")[2].startswith("audio-")
    assert key.endswith(".wav")
    assert forms(service)[0].form[-1].filename == key.rpartition("/")[2]


@pytest.mark.parametrize("container", ["opus", "mp3", "webm"])
def test_the_name_keeps_the_true_suffix_and_the_part_its_type(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile, container: str
) -> None:
    mime_type = {"opus": "audio/ogg; codecs=opus", "mp3": "audio/mpeg", "webm": "video/webm"}

    uploads.store(replace(audio, container=container, mime_type=mime_type[container]), model)

    assert next(iter(service.uploads.objects)).endswith(f".{container}")
    assert forms(service)[0].form[-1].content_type == mime_type[container].partition(";")[0]


def test_two_files_of_one_name_are_two_objects(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    first, second = (uploads.store(audio, model) for _ in range(2))

    assert first.location != second.location
    assert len(service.uploads.objects) == 2


def test_a_reference_knows_when_it_ends(uploads: Uploads, model: Model, audio: AudioFile) -> None:
    assert uploads.store(audio, model).expires == NOW + timedelta(hours=48)
    assert timedelta(hours=48) == LIFETIME


# --- policies ---------------------------------------------------------------------------------


def test_one_policy_serves_all_files_of_a_model_until_it_ends(
    uploads: Uploads, service: DashScope, time: Time, model: Model, audio: AudioFile
) -> None:
    uploads.store(audio, model)
    time.now += 239
    uploads.store(audio, model)
    assert len(policies(service)) == 1

    time.now += 2  # less than a minute is left of its five
    uploads.store(audio, model)

    assert len(policies(service)) == 2
    assert len(service.uploads.objects) == 3


def test_each_model_has_a_policy_of_its_own(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    uploads.store(audio, model)
    uploads.store(audio, replace(model, id="qwen3-asr-flash-2026-02-10"))

    assert [r.params["model"] for r in policies(service)] == [
        "qwen3-asr-flash",
        "qwen3-asr-flash-2026-02-10",
    ]


def test_many_threads_ask_for_one_policy(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    threads = [threading.Thread(target=uploads.store, args=(audio, model)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(policies(service)) == 1
    assert len(service.uploads.objects) == 4


def test_a_policy_that_ended_on_the_way_is_replaced_once(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.failures.add(faults.policy_expired(), route=STORE)

    uploads.store(audio, model)

    assert len(policies(service)) == 2
    assert len(forms(service)) == 2
    first, second = (next(p.text for p in f.form if p.name == "key") for f in forms(service))
    assert first.rpartition("/")[0] != second.rpartition("/")[0]


def test_a_policy_that_always_ends_on_the_way_is_an_error(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.failures.add(faults.policy_expired(), route=STORE, times=9)

    with pytest.raises(ServiceError, match="Policy expired") as caught:
        uploads.store(audio, model)

    assert caught.value.exit_status == 9
    assert len(forms(service)) == 2


def test_a_policy_that_somebody_else_has_replaced_is_not_replaced_again(
    service: DashScope, time: Time, model: Model, audio: AudioFile
) -> None:
    # Two threads meet the end of the same policy; the second one is told after the first renewed.
    uploads = uploads_at(service, time)
    renewed: list[str] = []

    def meanwhile(_: Received) -> httpx.Response:
        renewed.append(uploads.store(audio, model).location)
        return faults.policy_expired()(_)

    uploads.store(audio, model)
    service.failures.add(meanwhile, faults.policy_expired(), route=STORE)

    uploads.store(audio, model)

    assert len(renewed) == 1
    assert len(policies(service)) == 2


def test_the_numbers_of_a_policy_may_be_texts(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.uploads.numbers_as_text = True
    service.uploads.max_file_size_mb = 1

    uploads.store(audio, model)
    with pytest.raises(FileTooLargeError):
        uploads.store(replace(audio, size=1_000_001), model)

    assert len(policies(service)) == 1


@pytest.mark.parametrize("name", cases("dashscope", "policy*"))
def test_each_policy_that_is_written_out_is_used_or_unexpected(
    name: str, time: Time, model: Model, audio: AudioFile
) -> None:
    came: list[httpx.Request] = []

    def service(request: httpx.Request) -> httpx.Response:
        request.read()
        came.append(request)
        if request.method == "GET":
            return httpx.Response(200, content=answer_from("dashscope", name).body)
        return httpx.Response(200, headers={"content-length": "0"})

    uploads = uploads_at(service, time)
    if name in {"policy", "policy-texts", "policy-no-limits"}:
        folder = "oss://dashscope-instant/8f2c/2026-11-02/77b1/audio-"
        assert uploads.store(audio, model).location.startswith(folder)
        assert came[1].url.host == "dashscope-file-x.oss-ap-southeast-1.aliyuncs.com"
    else:
        with pytest.raises(UnexpectedAnswerError, match="lacks a field") as caught:
            uploads.store(audio, model)
        assert caught.value.request_id == "7f2c3a52-1e7a-9b57-8f3d-6a5a0a4b1c01"
        assert len(came) == 1


@pytest.mark.parametrize(
    "host", ["http://a.example", "file:///etc", "https://127.0.0.1", "https://10.0.0.1", "a.b"]
)
def test_a_file_goes_to_no_host_that_is_unsafe(
    time: Time, model: Model, audio: AudioFile, host: str
) -> None:
    came: list[str] = []

    def service(request: httpx.Request) -> httpx.Response:
        came.append(request.method)
        body = json.loads(answer_from("dashscope", "policy").body)
        body["data"]["upload_host"] = host
        return httpx.Response(200, json=body)

    with pytest.raises(UnexpectedAnswerError):
        uploads_at(service, time).store(audio, model)

    assert came == ["GET"]


def test_a_model_that_is_unknown_there_gets_no_policy(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    with pytest.raises(ModelRefusedError):
        uploads.store(audio, replace(model, id="qwen9-asr-flash"))

    assert forms(service) == []


# --- sizes and failures -------------------------------------------------------------------------


def test_a_file_that_is_too_large_is_refused_before_its_first_byte(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.uploads.max_file_size_mb = 100

    with pytest.raises(FileTooLargeError, match="100,000,001 bytes; the limit is 100,000,000"):
        uploads.store(replace(audio, size=100_000_001), model)

    assert forms(service) == []


def test_a_store_that_finds_it_too_large_refuses_the_input(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.failures.add(
        faults.store_error(400, "EntityTooLarge", "Your proposed upload is too large."), route=STORE
    )

    with pytest.raises(InputRefusedError) as caught:
        uploads.store(audio, model)

    assert caught.value.exit_status == 7
    assert len(forms(service)) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        faults.store_error(503, "ServiceUnavailable", "Please reduce your request rate."),
        faults.store_error(400, "RequestTimeout", "Your socket connection was idle."),
        faults.html(502),
        Drop(),
        Drop("close", reading=1_000),
        httpx.ConnectError("refused"),
    ],
    ids=["503", "slow", "502", "reset", "cut", "refused"],
)
def test_an_upload_that_fails_is_repeated_under_the_same_policy(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile, trouble: Any
) -> None:
    service.failures.add(trouble, trouble, route=STORE)

    reference = uploads.store(audio, model)

    (stored,) = service.uploads.objects.values()
    assert reference.location == f"oss://{stored.key}"
    assert stored.path.read_bytes() == WELCOME.path.read_bytes()
    assert len(policies(service)) == 1


def test_an_upload_whose_answer_was_lost_is_found_to_be_there(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.failures.add(After(Drop()), route=STORE)

    reference = uploads.store(audio, model)

    assert [r.status for r in forms(service)] == [None, 409]
    assert list(service.uploads.objects) == [reference.location.removeprefix("oss://")]


def test_an_upload_that_fails_for_ever_ends_after_the_retries(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.failures.add(faults.store_error(503, "Busy", "later"), route=STORE, times=99)

    with pytest.raises(ServiceError, match="the upload host failed"):
        uploads.store(audio, model)

    assert len(forms(service)) == 5


def test_a_host_that_is_down_is_a_matter_of_the_network(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.failures.add(Drop(), route=POLICY, times=99)

    with pytest.raises(NetworkError) as caught:
        uploads.store(audio, model)

    assert caught.value.exit_status == 6


def test_a_page_in_place_of_the_store_is_no_success(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.failures.add(faults.html(200), route=STORE)

    with pytest.raises(UnexpectedAnswerError, match="a web page"):
        uploads.store(audio, model)


def test_a_redirect_of_the_store_is_not_followed(
    uploads: Uploads, service: DashScope, model: Model, audio: AudioFile
) -> None:
    elsewhere = httpx.Response(307, headers={"location": "https://elsewhere.example/"})
    service.failures.add(elsewhere, route=STORE)

    with pytest.raises(RedirectError, match=r"elsewhere\.example"):
        uploads.store(audio, model)

    assert len(service.requests) == 2
