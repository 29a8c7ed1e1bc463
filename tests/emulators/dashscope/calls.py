"""Right calls by plain httpx, for tests that look at one thing that is wrong with them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from tests.emulators.dashscope.hosts import KEY

__all__ = [
    "ASYNC",
    "BASE",
    "CHAT",
    "CUSTOMIZATION",
    "FINAL",
    "GENERATION",
    "RESOLVE",
    "TRANSCRIPTION",
    "Clock",
    "client_of",
    "code_of",
    "compatible_events",
    "data_uri",
    "native_events",
    "omni_body",
    "policy_form",
    "poll",
    "result_url",
    "run_job",
    "submit",
    "sync_body",
    "upload",
    "words_body",
]

BASE = "https://dashscope-intl.aliyuncs.com"
GENERATION = "/api/v1/services/aigc/multimodal-generation/generation"
TRANSCRIPTION = "/api/v1/services/audio/asr/transcription"
CUSTOMIZATION = "/api/v1/services/audio/asr/customization"
CHAT = "/compatible-mode/v1/chat/completions"
RESOLVE = {"X-DashScope-OssResourceResolve": "enable"}
ASYNC = {"X-DashScope-Async": "enable"}
FINAL = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"})
_MIME_TYPES = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".flac": "audio/flac"}
_FORM = (
    ("OSSAccessKeyId", "oss_access_key_id"),
    ("Signature", "signature"),
    ("policy", "policy"),
    ("x-oss-object-acl", "x_oss_object_acl"),
    ("x-oss-forbid-overwrite", "x_oss_forbid_overwrite"),
)


def client_of(
    service: Any, *, key: str | None = KEY, base: str = BASE, **headers: str
) -> httpx.Client:
    """A client that reaches the service in process; without a key for the object store."""
    given = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx.Client(
        transport=httpx.MockTransport(service), base_url=base, headers=given | headers
    )


def data_uri(path: Path, *, mime_type: str | None = None) -> str:
    kind = _MIME_TYPES[path.suffix] if mime_type is None else mime_type
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def sync_body(
    audio: str, *, model: str = "qwen3-asr-flash", context: str | None = None, **parameters: Any
) -> dict[str, Any]:
    """For `qwen3-asr-flash` on `GENERATION`."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": [{"audio": audio}]}]
    if context is not None:
        messages.insert(0, {"role": "system", "content": [{"text": context}]})
    return {"model": model, "input": {"messages": messages}, "parameters": parameters}


def omni_body(audio: str, *, form: str = "wav", **fields: Any) -> dict[str, Any]:
    """For the Omni models on `CHAT`."""
    sound = {"type": "input_audio", "input_audio": {"data": audio, "format": form}}
    content = [sound, {"type": "text", "text": "Write down every word."}]
    body = {
        "model": "qwen3.5-omni-flash",
        "messages": [{"role": "user", "content": content}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return {name: value for name, value in (body | fields).items() if value is not None}


def words_body(action: str, **fields: Any) -> dict[str, Any]:
    """For `CUSTOMIZATION`."""
    return {"model": "speech-biasing", "input": {"action": action, **fields}}


def policy_form(client: httpx.Client, *, model: str, name: str) -> tuple[str, dict[str, str]]:
    """Where to post a file, and the fields that go before it."""
    answer = client.get("/api/v1/uploads", params={"action": "getPolicy", "model": model})
    data = answer.json()["data"]
    form = {field: data[source] for field, source in _FORM}
    form |= {"key": f"{data['upload_dir']}/{name}", "success_action_status": "200"}
    return data["upload_host"], form


def upload(client: httpx.Client, service: Any, path: Path, *, model: str) -> str:
    """Store a file, and return its `oss://` reference."""
    host, form = policy_form(client, model=model, name=path.name)
    with client_of(service, key=None) as store, path.open("rb") as file:
        store.post(host, data=form, files={"file": (path.name, file)}).raise_for_status()
    return f"oss://{form['key']}"


def submit(client: httpx.Client, model: str, *urls: str, **parameters: Any) -> httpx.Response:
    """Submit a job in the shape of its family."""
    single = model.startswith("qwen3-asr")
    given: dict[str, Any] = {"file_url": urls[0]} if single else {"file_urls": list(urls)}
    body = {"model": model, "input": given, "parameters": parameters}
    return client.post(TRANSCRIPTION, json=body, headers=ASYNC | RESOLVE)


def run_job(client: httpx.Client, model: str, *urls: str, **parameters: Any) -> dict[str, Any]:
    """Submit a job, and poll until it is done; the last answer."""
    task = submit(client, model, *urls, **parameters).json()["output"]["task_id"]
    while True:
        answer: dict[str, Any] = client.get(f"/api/v1/tasks/{task}").json()
        if answer["output"]["task_status"] in FINAL:
            return answer


def poll(client: httpx.Client, task: str) -> Any:
    """The JSON of the answer to one poll."""
    return client.get(f"/api/v1/tasks/{task}").json()


def result_url(answer: Any, number: int = 0) -> str:
    """Where the result lies, in the answer to the last poll of either family."""
    output = answer["output"]
    result = output["result"] if "result" in output else output["results"][number]
    url: str = result["transcription_url"]
    return url


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of an error, in either shape."""
    body = answer.json()
    return answer.status_code, body["error"]["code"] if "error" in body else body["code"]


def native_events(text: str) -> list[dict[str, Any]]:
    """The `data` of each event of a native stream."""
    return list(_data(text.splitlines(), "data:"))


def compatible_events(text: str) -> list[dict[str, Any]]:
    """The `data` of each event of a compatible stream but `[DONE]`."""
    return list(_data(text.splitlines(), "data: "))


def _data(lines: Iterable[str], prefix: str) -> Iterable[dict[str, Any]]:
    for line in lines:
        if line.startswith(prefix) and line != "data: [DONE]":
            yield json.loads(line.removeprefix(prefix))


class Clock:
    """A clock that stands until it is told to go on; seconds of Unix time."""

    def __init__(self, now: float = 1_793_600_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds
