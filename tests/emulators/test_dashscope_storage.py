"""The emulated DashScope: temporary storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.emulators.dashscope import DashScope, Key, fetch_from
from tests.emulators.dashscope.calls import (
    Clock,
    client_of,
    code_of,
    policy_form,
)
from tests.emulators.server import serve
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


@pytest.fixture
def store(service: DashScope) -> Iterator[httpx.Client]:
    with client_of(service, key=None) as opened:
        yield opened


def xml_code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.text.partition("<Code>")[2].partition("</Code>")[0]


# --- policies -------------------------------------------------------------------------------------


def policy(client: httpx.Client, **query: str) -> httpx.Response:
    return client.get("/api/v1/uploads", params={"action": "getPolicy", "model": FUN} | query)


def test_a_policy_has_what_an_upload_needs(client: httpx.Client) -> None:
    answer = policy(client)

    data = answer.json()["data"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert set(data) == {
        "policy",
        "signature",
        "upload_dir",
        "upload_host",
        "expire_in_seconds",
        "max_file_size_mb",
        "capacity_limit_mb",
        "oss_access_key_id",
        "x_oss_object_acl",
        "x_oss_forbid_overwrite",
    }
    assert (data["expire_in_seconds"], data["max_file_size_mb"]) == (300, 100)
    assert data["upload_dir"].startswith("dashscope-instant/")


def test_the_numbers_of_a_policy_can_be_strings(service: DashScope, client: httpx.Client) -> None:
    service.uploads.numbers_as_text = True
    service.uploads.max_file_size_mb_of[FUN] = 7

    data = policy(client).json()["data"]

    assert (data["expire_in_seconds"], data["max_file_size_mb"]) == ("300", "7")


@pytest.mark.parametrize(
    "query", [{"action": "get"}, {"action": "getPolicy", "model": FUN, "size": "1"}, {}]
)
def test_a_wrong_query_for_a_policy_is_refused(client: httpx.Client, query: dict[str, str]) -> None:
    answer = client.get("/api/v1/uploads", params=query)

    assert code_of(answer) == (400, "InvalidParameter")


def test_a_policy_for_an_unknown_model_is_refused(client: httpx.Client) -> None:
    assert code_of(policy(client, model="qwen9-asr")) == (404, "ModelNotFound")


def test_a_policy_needs_a_key(store: httpx.Client) -> None:
    assert code_of(policy(store)) == (401, "InvalidApiKey")


def test_uploads_are_offered_in_some_regions_only() -> None:
    service = DashScope(keys=[Key(region="us-east-1")])
    with client_of(service, base="https://dashscope-us.aliyuncs.com") as american:
        answer = policy(american, model="qwen3-asr-flash")

    assert code_of(answer) == (400, "InvalidParameter")


# --- the form -------------------------------------------------------------------------------------


def post(store: httpx.Client, host: str, form: dict[str, str], **kwargs: Any) -> httpx.Response:
    return store.post(host, data=form, files={"file": ("a.wav", b"content")}, **kwargs)


def test_a_file_is_stored_under_its_key(
    service: DashScope, client: httpx.Client, store: httpx.Client
) -> None:
    host, form = policy_form(client, model=FUN, name="a.wav")
    answer = post(store, host, form)

    assert (answer.status_code, answer.content) == (200, b"")
    kept = service.uploads.objects[form["key"]]
    assert (kept.path.read_bytes(), kept.size, kept.model) == (b"content", 7, FUN)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"OSSAccessKeyId": "LTAIwrong"}, 403, "InvalidAccessKeyId"),
        ({"OSSAccessKeyId": None}, 403, "AccessDenied"),
        ({"Signature": "d3Jvbmc="}, 403, "SignatureDoesNotMatch"),
        ({"policy": "e30="}, 403, "SignatureDoesNotMatch"),
        ({"policy": None}, 403, "AccessDenied"),
        ({"key": "elsewhere/a.wav"}, 403, "AccessDenied"),
        ({"key": None}, 403, "AccessDenied"),
        ({"x-oss-object-acl": "public-read"}, 403, "AccessDenied"),
        ({"x-oss-forbid-overwrite": None}, 403, "AccessDenied"),
        ({"signature": "d3Jvbmc="}, 400, "InvalidArgument"),
        ({"x-oss-meta-name": "a"}, 400, "InvalidArgument"),
    ],
    ids=str,
)
def test_a_form_that_is_not_as_the_policy_says_is_refused_in_xml(
    client: httpx.Client,
    store: httpx.Client,
    change: dict[str, str | None],
    status: int,
    code: str,
) -> None:
    host, form = policy_form(client, model=FUN, name="a.wav")
    changed = {name: value for name, value in (form | change).items() if value is not None}

    answer = post(store, host, changed)

    assert xml_code(answer) == (status, code)
    assert answer.headers["content-type"] == "application/xml"


def multipart(parts: list[tuple[str, str]], *, file_at: int) -> dict[str, Any]:
    """A form with its file at a place of its own; the file's content is `content`."""
    lines = [f'name="{name}"\r\n\r\n{value}' for name, value in parts]
    lines.insert(file_at, 'name="file"; filename="a.wav"\r\n\r\ncontent')
    body = "".join(f"--B\r\nContent-Disposition: form-data; {line}\r\n" for line in lines)
    kind = {"Content-Type": "multipart/form-data; boundary=B"}
    return {"content": (body + "--B--\r\n").encode(), "headers": kind}


def test_what_follows_the_file_is_ignored(client: httpx.Client, store: httpx.Client) -> None:
    host, form = policy_form(client, model=FUN, name="a.wav")
    parts = list(form.items())

    early = store.post(host, **multipart(parts, file_at=0))
    late = store.post(host, **multipart([*parts, ("more", "x")], file_at=len(parts)))

    assert xml_code(early) == (403, "AccessDenied")
    assert late.status_code == 200


def test_the_order_before_the_file_is_free(client: httpx.Client, store: httpx.Client) -> None:
    host, form = policy_form(client, model=FUN, name="a.wav")
    parts = list(form.items())[::-1]

    assert store.post(host, **multipart(parts, file_at=len(parts))).status_code == 200


def test_a_field_may_not_be_given_twice(client: httpx.Client, store: httpx.Client) -> None:
    host, form = policy_form(client, model=FUN, name="a.wav")
    parts = [*form.items(), ("key", form["key"])]

    answer = store.post(host, **multipart(parts, file_at=len(parts)))

    assert xml_code(answer) == (400, "InvalidArgument")


def test_a_form_needs_a_file(client: httpx.Client, store: httpx.Client) -> None:
    host, form = policy_form(client, model=FUN, name="a.wav")
    files = {name: (None, value) for name, value in form.items()}

    answer = store.post(host, files=files)

    assert xml_code(answer) == (400, "IncorrectNumberOfFilesInPOSTRequest")


def test_what_is_no_form_is_refused(client: httpx.Client, store: httpx.Client) -> None:
    host, form = policy_form(client, model=FUN, name="a.wav")

    assert xml_code(store.post(host, data=form)) == (400, "MalformedPOSTRequest")
    assert xml_code(store.get(host)) == (405, "MethodNotAllowed")


def test_a_key_beside_the_signature_is_refused(client: httpx.Client, store: httpx.Client) -> None:
    host, form = policy_form(client, model=FUN, name="a.wav")

    answer = post(store, host, form, headers={"Authorization": "Bearer x"})

    assert xml_code(answer) == (400, "InvalidArgument")


def test_a_policy_serves_several_files_until_it_expires(
    client: httpx.Client, store: httpx.Client, clock: Clock
) -> None:
    host, form = policy_form(client, model=FUN, name="a.wav")
    first = post(store, host, form)
    clock.forward(300)
    second = post(store, host, form | {"key": form["key"].replace("a.wav", "b.wav")})
    clock.forward(1)
    third = post(store, host, form | {"key": form["key"].replace("a.wav", "c.wav")})

    assert [first.status_code, second.status_code] == [200, 200]
    assert xml_code(third) == (403, "AccessDenied")
    assert "Policy expired" in third.text


def test_a_key_is_written_once(client: httpx.Client, store: httpx.Client) -> None:
    host, form = policy_form(client, model=FUN, name="a.wav")
    post(store, host, form)

    assert xml_code(post(store, host, form)) == (409, "FileAlreadyExists")


def test_a_file_larger_than_the_policy_says_is_refused(
    service: DashScope, client: httpx.Client, store: httpx.Client
) -> None:
    service.uploads.max_file_size_mb = 1
    host, form = policy_form(client, model=FUN, name="a.wav")
    fits, too_large = (bytes(1_048_576 + more) for more in (0, 1))

    refused = store.post(host, data=form, files={"file": ("a.wav", too_large)})
    taken = store.post(host, data=form, files={"file": ("a.wav", fits)})

    assert xml_code(refused) == (400, "EntityTooLarge")
    assert taken.status_code == 200


@pytest.mark.parametrize(("asked", "status"), [("201", 201), ("204", 204), (None, 204)])
def test_the_status_of_success_is_the_one_asked_for(
    client: httpx.Client, store: httpx.Client, asked: str | None, status: int
) -> None:
    host, form = policy_form(client, model=FUN, name="a.wav")
    del form["success_action_status"]

    assert post(
        store, host, form | ({"success_action_status": asked} if asked else {})
    ).status_code == (status)


def test_a_served_emulator_takes_uploads_on_a_second_path() -> None:
    service = DashScope()
    content = bytes(range(256)) * 8_192
    key = {"Authorization": f"Bearer {Key().value}"}
    with (
        serve(service) as server,
        httpx.Client(base_url=server.url, headers=key, trust_env=False) as client,
        httpx.Client(trust_env=False) as store,
    ):
        host, form = policy_form(client, model=FUN, name="a.wav")
        answer = store.post(host, data=form, files={"file": ("a.wav", content)})

    assert host == f"{server.url}/oss-file"
    assert answer.status_code == 200
    assert service.uploads.objects[form["key"]].path.read_bytes() == content
    service.close()
    assert not service.uploads.objects[form["key"]].path.exists()
