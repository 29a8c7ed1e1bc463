"""1min.ai: the Asset API, and `SPEECH_TO_TEXT` of the Features API.

Pages: https://docs.1min.ai/docs/api/asset-api, https://docs.1min.ai/docs/api/ai-for-audio/speech-to-text
and https://docs.1min.ai/docs/api/get-result. It takes what these document and refuses all else;
the text is what can be heard in the audio that was uploaded.

    service = OneMin()
    service.failures.append(errors.rate_limited(header="2"))
    client = httpx.Client(transport=httpx.MockTransport(service), base_url="https://api.1min.ai")
    ...
    assert service.billed(recording("welcome").path) == 1
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx

from tests.emulators import onemin_errors as errors
from tests.emulators import recognizer
from tests.emulators.bodies import Part
from tests.emulators.decoding import Sound, Undecodable, identify
from tests.emulators.onemin_answers import (
    Asset,
    AssetShape,
    ResultShape,
    describe_asset,
    processing,
    put_reason,
    put_text,
)
from tests.emulators.onemin_models import FORMATS, MODELS, Model, prompt_problems
from tests.emulators.recognizer import Ear, Heard
from tests.emulators.service import Emulator, Received, Refused, unknown_fields

__all__ = ["KEY", "MODELS", "Asset", "AssetShape", "Charge", "KeyState", "OneMin", "ResultShape"]

KEY = "onemin-canary-7f3a9c1e5b"
LARGEST_ASSET = 50_000_000
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESULT = re.compile(r"/api/results/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_BARE_CLIENTS = re.compile(r"(python-|Python-urllib|curl/|$)")


class KeyState(StrEnum):
    """What the team has done with a key."""

    ACTIVE = "active"
    DELETED = "deleted"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Charge:
    """A transcription that was paid for."""

    record: str
    """The uuid of the result."""
    model: str
    asset: str
    sha256: str
    """Of the file's bytes: the same file uploaded twice is charged as one input."""
    seconds: float
    credits: int


class OneMin(Emulator):
    """The service. Its attributes may be set at any time, also while it is served."""

    name = "onemin"

    def __init__(
        self,
        *,
        keys: Mapping[str, KeyState] | None = None,
        credits: int = 100_000_000,  # noqa: A002 - it is what they call them
        ear: Ear = recognizer.EAR,
        models: tuple[Model, ...] = MODELS,
        **options: Any,
    ) -> None:
        """`options` are those of `Emulator`: clock, sleep, keep_bodies."""
        super().__init__(**options)
        self.keys = dict({KEY: KeyState.ACTIVE} if keys is None else keys)
        self.credits = credits
        self.models = {model.id: model for model in models}
        self.disabled_models: set[str] = set()
        self.result_shape = ResultShape.LIST
        self.asset_shape = AssetShape.FULL
        self.status = "SUCCESS"
        """Of a finished record; `FAILURE` and `FAILED` come with `reason`."""
        self.reason = "The model could not process the audio"
        self.reason_in = "aiRecordDetail.errorMessage"
        """Or `aiRecord.errorMessage`, `error.message`, `error`, `resultObject`."""
        self.text: str | None = None
        """In place of what is heard."""
        self.processing_polls: int | None = None
        """All calls answer PROCESSING at first, and so many polls do; None: only if `async`."""
        self.async_polls = 1
        self.forgets_results = False
        """Polls are answered `aiRecord: null`."""
        self.refuses_bare_clients = True
        """Answer 1010 to a User-Agent that names a library and no product."""
        self.requests_per_minute: int | None = None
        self.assets: dict[str, Asset] = {}
        self.charges: list[Charge] = []
        self._ear = ear
        self._sounds: dict[str, Sound | None] = {}
        self._records: dict[str, tuple[int, dict[str, Any]]] = {}
        self._recent: deque[float] = deque()
        self._numbers = itertools.count(1)
        self._team, self._user = self.new_id(), self.new_id()
        self._state = threading.Lock()

    # --- for tests ----------------------------------------------------------------------------

    def billed(self, source: Path | bytes) -> int:
        """How many calls were paid for with these very bytes."""
        data = source if isinstance(source, bytes) else source.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        return sum(charge.sha256 == digest for charge in self.charges)

    @property
    def calls(self) -> list[Received]:
        """The requests to `/api/features`."""
        return self.requests.to("POST", "/api/features")

    @property
    def uploads(self) -> list[Received]:
        """The requests to `/api/assets`."""
        return self.requests.to("POST", "/api/assets")

    @property
    def _fails(self) -> bool:
        return self.status.upper() in {"FAILURE", "FAILED"}

    # --- routes -------------------------------------------------------------------------------

    def answer(self, request: Received) -> httpx.Response:
        response = self._routed(request)
        response.headers["cf-ray"] = f"{next(self._numbers):016x}-FRA"
        return response

    def _routed(self, request: Received) -> httpx.Response:
        self._check_client(request)
        if request.route == "GET /models":
            return self._list_models(request)
        if not request.path.startswith("/api/"):
            return errors.not_found(request.method, request.path)
        self._check_key(request)
        self._check_rate()
        if request.route == "POST /api/assets":
            return self._upload(request)
        if request.route == "POST /api/features":
            return self._transcribe(request)
        if request.method == "GET" and (found := _RESULT.fullmatch(request.path)):
            return self._result(found[1])
        return errors.not_found(request.method, request.path)

    def _check_client(self, request: Received) -> None:
        agent = request.headers.get("user-agent", "")
        if self.refuses_bare_clients and _BARE_CLIENTS.match(agent):
            raise Refused(errors.cloudflare(1010))

    def _check_key(self, request: Received) -> None:
        given = request.headers.get_list("api-key")
        if len(given) != 1 or "authorization" in request.headers or given[0] not in self.keys:
            raise Refused(errors.unauthorized())
        match self.keys[given[0]]:
            case KeyState.DELETED:
                raise Refused(errors.key_deleted())
            case KeyState.INACTIVE:
                raise Refused(errors.key_inactive())

    def _check_rate(self) -> None:
        if self.requests_per_minute is None:
            return
        with self._state:
            now = self.clock()
            while self._recent and now - self._recent[0] >= 60:
                self._recent.popleft()
            if len(self._recent) >= self.requests_per_minute:
                seconds = math.ceil(60 - (now - self._recent[0]))
                raise Refused(errors.rate_limited(header=str(seconds)))
            self._recent.append(now)

    def malformed(self, request: Received, reason: str) -> httpx.Response:
        return errors.coded(400, "HTTP_EXCEPTION", reason)

    # --- assets -------------------------------------------------------------------------------

    def _upload(self, request: Received) -> httpx.Response:
        if request.url.query:
            raise Refused(errors.coded(400, "HTTP_EXCEPTION", "The call has no query"))
        part = _only_asset(request)
        if part.size > LARGEST_ASSET:
            return errors.file_too_large()
        asset = self._stored(part)
        request.notes |= {"asset": asset.path, "keep": True}
        return httpx.Response(200, json=self._asset_body(asset))

    def _stored(self, part: Part) -> Asset:
        filename, mime_type = part.filename or "", part.content_type or ""
        extension = filename.rpartition(".")[2].lower()
        known = FORMATS.get(extension)
        if known is None or not _FILENAME.fullmatch(filename) or mime_type not in known.mime_types:
            raise Refused(errors.file_type(f"{filename} ({mime_type})"))
        digest = part.sha256
        sound = self._identified(part, digest)
        if sound is not None and sound.container not in known.containers:
            raise Refused(errors.file_type(f"{filename} holds {sound.container}"))
        now = datetime.now(UTC)
        # The number takes the place of the microseconds, so that no two are the same.
        stamp = f"{now:%Y_%m_%d_%H_%M_%S}_{next(self._numbers):03}"
        folder = {"video": "videos"}.get(mime_type.partition("/")[0], "audios")
        path = f"{folder}/{stamp}_{filename}"
        asset = Asset(path, filename, mime_type, part.size, digest, sound, part)
        with self._state:
            self.assets[path] = asset
        return asset

    def _identified(self, part: Part, digest: str) -> Sound | None:
        if digest not in self._sounds:
            try:
                with part.open() as file:
                    self._sounds[digest] = identify(file)
            except Undecodable:
                self._sounds[digest] = None
        return self._sounds[digest]

    def _asset_body(self, asset: Asset) -> Any:
        body = describe_asset(asset, self._team, self._user, self.new_id())
        match self.asset_shape:
            case AssetShape.KEY_ONLY:
                del body["fileContent"]
            case AssetShape.TOP:
                return {"path": asset.path}
            case AssetShape.WRAPPED:
                return json.dumps(body)
            case AssetShape.NO_PATH:
                del body["fileContent"]
                del body["asset"]["key"]
        return body

    # --- features -----------------------------------------------------------------------------

    def _transcribe(self, request: Received) -> httpx.Response:
        body = _feature_body(request)
        model = self._model(body["model"])
        prompt = body["promptObject"]
        if problems := prompt_problems(model, prompt):
            return errors.invalid_prompt(*problems)
        asset = self.assets.get(prompt["audioUrl"])
        if asset is None:
            return errors.unanalyzable(prompt["audioUrl"])
        heard = self._heard(model, asset)
        record = self._record(model, prompt, heard)
        uuid = record["aiRecord"]["uuid"]
        if not self._fails:
            self._charge(model, asset, heard, uuid)
        request.notes["record"] = uuid
        polls = self.async_polls if body.get("async") else self.processing_polls
        with self._state:
            self._records[uuid] = (polls or 0, record)
        return httpx.Response(200, json=record if polls is None else processing(record))

    def _model(self, model_id: str) -> Model:
        if model_id not in self.models or model_id in self.disabled_models:
            raise Refused(errors.unsupported_model(model_id))
        return self.models[model_id]

    def _heard(self, model: Model, asset: Asset) -> Heard:
        """What is in the asset; the vendor's refusals come wrapped, as they do."""
        if asset.extension not in model.formats:
            raise Refused(_vendor_refusal(model, f"Unsupported audio format: {asset.extension}"))
        if asset.size > model.most_bytes:
            raise Refused(_vendor_refusal(model, f"The audio is too large: {asset.size} bytes"))
        if asset.sound is None:
            raise Refused(_vendor_refusal(model, "The audio cannot be decoded"))
        if (asset.sound.seconds or 0) > 1.1 * model.most_seconds:  # no need to listen to all of it
            raise Refused(_vendor_refusal(model, "The audio is too long"))
        try:
            in_memory = asset.size <= 10_485_760
            heard = self._ear.listen(asset.part.content if in_memory else asset.part.open())
        except Undecodable as error:
            raise Refused(_vendor_refusal(model, "The audio cannot be decoded")) from error
        if heard.duration > model.most_seconds:
            raise Refused(_vendor_refusal(model, "The audio is too long"))
        return heard

    def _charge(self, model: Model, asset: Asset, heard: Heard, record: str) -> None:
        cost = math.ceil(heard.duration * model.credits)
        with self._state:
            if cost > self.credits:
                raise Refused(errors.insufficient_credits(cost, self.credits))
            self.credits -= cost
            self.charges.append(
                Charge(record, model.id, asset.path, asset.sha256, heard.duration, cost)
            )

    def _record(self, model: Model, prompt: dict[str, Any], heard: Heard) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        record: dict[str, Any] = {
            "uuid": self.new_id(),
            "userId": self._user,
            "teamId": self._team,
            "model": model.id,
            "type": "SPEECH_TO_TEXT",
            "metadata": None,
            "rating": None,
            "feedback": None,
            "conversationId": None,
            "status": self.status,
            "createdAt": now,
            "aiRecordDetail": {"promptObject": prompt, "resultObject": [], "responseObject": {}},
            "additionalData": None,
            "temporaryUrl": "",
        }
        body = {"aiRecord": record}
        if self._fails:
            put_reason(body, self.reason_in, self.reason)
        else:
            text = heard.text if self.text is None else self.text
            put_text(body, self.result_shape, text, heard)
        return body

    def _result(self, uuid: str) -> httpx.Response:
        with self._state:
            polls, record = self._records.get(uuid, (0, {"aiRecord": None}))
            if polls:
                self._records[uuid] = (polls - 1, record)
        if self.forgets_results:
            return httpx.Response(200, json={"aiRecord": None})
        return httpx.Response(200, json=processing(record) if polls else record)

    # --- models -------------------------------------------------------------------------------

    def _list_models(self, request: Received) -> httpx.Response:
        if request.url.params.get("feature") != "SPEECH_TO_TEXT":
            return httpx.Response(200, json={"models": [], "total": 0})
        rows = [
            model.row(disabled=model.id in self.disabled_models) for model in self.models.values()
        ]
        return httpx.Response(200, json={"models": rows, "total": len(rows)})


# --- reading requests ---------------------------------------------------------------------------


def _only_asset(request: Received) -> Part:
    parts = request.form
    if [part.name for part in parts] != ["asset"] or parts[0].filename is None:
        names = ", ".join(part.name for part in parts)
        raise Refused(errors.coded(400, "HTTP_EXCEPTION", f"Unexpected field: {names}"))
    return parts[0]


def _feature_body(request: Received) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Refused(errors.coded(400, "HTTP_EXCEPTION", "The body must be JSON"))
    if str(request.url.query, "ascii") not in {"", "isStreaming=false"}:
        raise Refused(errors.coded(400, "HTTP_EXCEPTION", "Unknown query"))
    try:
        body = request.json
    except (ValueError, RecursionError) as error:
        raise Refused(errors.coded(400, "HTTP_EXCEPTION", f"Invalid JSON: {error}")) from error
    needed = ("type", "model", "promptObject")
    if not isinstance(body, dict) or any(name not in body for name in needed):
        raise Refused(errors.missing_fields(*(name for name in needed if name not in body)))
    if body["type"] != "SPEECH_TO_TEXT":
        raise Refused(errors.unsupported_feature(str(body["type"])))
    problems = [(name, "is unknown") for name in unknown_fields(body, {*needed, "async"})]
    if not isinstance(body.get("async", False), bool):
        problems.append(("async", "must be a boolean"))
    if not isinstance(body["model"], str):
        problems.append(("model", "must be a string"))
    if problems:
        raise Refused(errors.invalid_prompt(*problems))
    return body


def _vendor_refusal(model: Model, message: str) -> httpx.Response:
    return errors.busy(400, code="InvalidParameter", message=message, service=model.provider)
