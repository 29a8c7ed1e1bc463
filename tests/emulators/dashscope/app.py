"""The service: hosts, paths, keys, and what each is answered with."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import httpx

from tests.emulators import recognizer
from tests.emulators.bodies import MalformedForm
from tests.emulators.dashscope import generation
from tests.emulators.dashscope.chat import Chat
from tests.emulators.dashscope.hosts import Door, Key, Keys, Origin, find_origin
from tests.emulators.dashscope.jobs import Jobs
from tests.emulators.dashscope.ledger import Ledger, content_hash
from tests.emulators.dashscope.listing import list_jobs
from tests.emulators.dashscope.models import MODELS
from tests.emulators.dashscope.refusals import (
    Refusal,
    StoreRefusal,
    compatible_error,
    invalid,
    native_error,
)
from tests.emulators.dashscope.sources import Fetch, Sources, fetch_from
from tests.emulators.dashscope.streams import EVENT_STREAM
from tests.emulators.dashscope.throttle import Throttle
from tests.emulators.dashscope.uploads import Uploads
from tests.emulators.dashscope.vocabularies import Vocabularies
from tests.emulators.dashscope.world import Call, Listen, Reply, Switches, World
from tests.emulators.service import Emulator, Received

__all__ = ["DashScope", "refused"]

Answer = Callable[[Call], Reply]

_GENERATION = "/api/v1/services/aigc/multimodal-generation/generation"
_TRANSCRIPTION = "/api/v1/services/audio/asr/transcription"
_CUSTOMIZATION = "/api/v1/services/audio/asr/customization"
_CHAT = "/compatible-mode/v1/chat/completions"
_OPENAI = "/compatible-mode/v1/audio/transcriptions"
_TASK = re.compile(r"/api/v1/tasks/([^/]+)(/cancel)?")


class DashScope(Emulator):
    """All of it, for `httpx.MockTransport` or for `tests.emulators.server`.

    `keys` are those that are accepted (one of `region`, `KEY`, if none are given); `region` is
    where loopback belongs to; `hosts` gives other host names a region. `fetch` gets the URLs that
    calls name, which nothing reaches unless it is given; `clock` is in seconds of Unix time.
    """

    name = "dashscope"

    def __init__(
        self,
        *,
        keys: Iterable[Key] | None = None,
        region: str = "ap-southeast-1",
        hosts: Mapping[str, str] | None = None,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        listen: Listen = recognizer.listen,
        keep_bodies: bool = True,
    ) -> None:
        super().__init__(clock=clock, sleep=sleep, keep_bodies=keep_bodies)
        self.region = region
        self.hosts = dict(hosts or {})
        self.keys = Keys([Key(region=region)] if keys is None else keys)
        self.switches = Switches()
        self.ledger = Ledger()
        self.uploads = Uploads(MODELS, clock)
        self.sources = Sources(self.uploads, fetch or fetch_from({}), clock)
        self.vocabularies = Vocabularies(MODELS, clock)
        self.throttles: dict[str, Throttle] = {}
        """By model id, or `tasks` for polls and cancels."""
        self._world = World(
            models=MODELS,
            clock=clock,
            listen=listen,
            uploads=self.uploads,
            sources=self.sources,
            vocabularies=self.vocabularies,
            ledger=self.ledger,
            switches=self.switches,
        )
        self.jobs = Jobs(self._world)
        self.omni = Chat(self._world)

    def close(self) -> None:
        """Delete what was uploaded."""
        self.uploads.close()

    def billed(self, content: bytes | Path) -> int:
        """How often this content was recognized and charged, jobs that nobody polled included."""
        self.jobs.settle()
        return self.ledger.by_content()[content_hash(content)]

    def answer(self, request: Received) -> httpx.Response:
        """What the service says when nothing was queued to go wrong."""
        origin = find_origin(
            request.url,
            served_region=self.region,
            named=self.hosts,
            dedicated=self.switches.dedicated,
        )
        request_id = self.new_id()
        if origin.door != Door.API:
            return self._store(request, origin, request_id)
        try:
            caller = self.keys.caller(request.headers, origin)
            reply = self._route(Call(request, origin, caller, request_id, self.clock()))
        except Refusal as refusal:
            return refused(request.url, refusal, request_id)
        return _written(reply, request_id)

    def _store(self, request: Received, origin: Origin, request_id: str) -> httpx.Response:
        headers = {"x-oss-request-id": request_id}
        try:
            if origin.door == Door.RESULTS:
                body = self.jobs.download(request, self.clock())
                headers["content-type"] = "application/json"
                return httpx.Response(200, headers=headers, content=body)
            _check_form(request, origin)
            status, text = self.uploads.store(request.form)
        except StoreRefusal as refusal:
            return _xml(refusal, request, request_id)
        except MalformedForm as error:
            malformed = StoreRefusal(400, "MalformedPOSTRequest", f"Malformed form: {error}")
            return _xml(malformed, request, request_id)
        return httpx.Response(status, headers=headers, text=text)

    # --- paths --------------------------------------------------------------------------------

    def _route(self, call: Call) -> Reply:
        path = call.origin.path
        task = _TASK.fullmatch(path)
        if task is not None:
            return self._task(call, task[1], cancels=task[2] is not None)
        if path == "/api/v1/tasks/":
            _only(call, "GET")
            return list_jobs(self.jobs, call, self.switches.list_key)
        if path == "/api/v1/uploads":
            return self._policy(call)
        calls: dict[str, Answer] = {
            _GENERATION: lambda call: generation.answer(self._world, call),
            _TRANSCRIPTION: self.jobs.submit,
            _CUSTOMIZATION: self._customize,
            _CHAT: self.omni.answer,
            _OPENAI: _mislead,
        }
        if path not in calls:
            raise Refusal(404, "NotFound", f"Not Found: {path}")
        _only(call, "POST")
        if call.request.url.query:
            raise invalid("the call has no query")
        self._throttle(call)
        return calls[path](call)

    def _task(self, call: Call, name: str, *, cancels: bool) -> Reply:
        if call.request.url.query:
            raise invalid("the call has no query")
        if "tasks" in self.throttles:
            self.throttles["tasks"].count(call.now)
        if cancels:
            _only(call, "POST")
            return self.jobs.cancel(call, name)
        _only(call, "GET", "POST")  # one page of the vendor's says POST
        return self.jobs.poll(call, name)

    def _policy(self, call: Call) -> Reply:
        _only(call, "GET")
        query = call.request.url.params.multi_items()
        data = self.uploads.policy(query, call.caller, call.origin.files_url)
        return Reply({"request_id": call.request_id, "data": data})

    def _customize(self, call: Call) -> Reply:
        output = self.vocabularies.answer(call.body, call.caller)
        usage = {"count": 1}
        return Reply({"output": output, "usage": usage, "request_id": call.request_id})

    def _throttle(self, call: Call) -> None:
        if self.throttles:
            throttle = self.throttles.get(call.body.get("model", ""))
            if throttle is not None:
                throttle.count(call.now)


def refused(url: httpx.URL, refusal: Refusal, request_id: str) -> httpx.Response:
    """The error in the shape of the path that was asked."""
    if url.path.startswith("/compatible-mode/"):
        body = compatible_error(refusal.status, refusal.code, refusal.message, request_id)
    else:
        body = native_error(refusal.code, refusal.message, request_id)
    headers = {"x-request-id": request_id, **refusal.headers}
    return httpx.Response(refusal.status, headers=headers, json=body)


def _written(reply: Reply, request_id: str) -> httpx.Response:
    headers = {"x-request-id": request_id}
    if reply.events is None:
        return httpx.Response(200, headers=headers, json=reply.body)
    return httpx.Response(200, headers=headers | EVENT_STREAM, content=iter(reply.events))


def _xml(refusal: StoreRefusal, request: Received, request_id: str) -> httpx.Response:
    headers = {"content-type": "application/xml", "x-oss-request-id": request_id}
    text = refusal.xml(request_id, request.url.host)
    return httpx.Response(refusal.status, headers=headers, content=text.encode())


def _check_form(request: Received, origin: Origin) -> None:
    if request.method != "POST" or origin.path != "/" or request.url.query:
        raise StoreRefusal(405, "MethodNotAllowed", "Only a form can be posted to the root.")
    if "authorization" in request.headers:
        raise StoreRefusal(
            400, "InvalidArgument", "Only one auth mechanism is allowed: header or form."
        )


def _only(call: Call, *methods: str) -> None:
    if call.request.method not in methods:
        raise Refusal(405, "MethodNotAllowed", f"The method must be {' or '.join(methods)}.")


def _mislead(_: Call) -> Reply:
    """There is no such path for these models; this is what a caller was told."""
    raise invalid("The voice property is required.")
