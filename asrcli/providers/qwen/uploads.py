"""Temporary storage of Qwen Cloud: a policy from the service, then a form to its object store.

Page: https://www.alibabacloud.com/help/en/model-studio/get-temporary-file-url. A file lives for
48 hours, belongs to the model it was uploaded for, and can neither be listed nor deleted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asrcli.errors import FileTooLargeError, ServiceError, UnexpectedAnswerError
from asrcli.media.audio import AudioFile
from asrcli.providers.base import Model, Reference
from asrcli.providers.calls import file_part
from asrcli.providers.qwen.checksums import differs
from asrcli.providers.qwen.failures import ALREADY_THERE, POLICY_EXPIRED
from asrcli.providers.reading import dig, number_at, text_at
from asrcli.transport.http import HTTPClient

__all__ = ["CORRUPTED", "LIFETIME", "Uploads"]

CORRUPTED = "UploadCorrupted"
"""A code of our own: the store has other bytes than were sent, twice."""

LIFETIME = timedelta(hours=48)
_SPARE_SECONDS = 60.0
"""A policy that ends sooner than this is not used for another file."""


@dataclass(frozen=True, slots=True)
class _Policy:
    host: str
    folder: str
    fields: tuple[tuple[str, str], ...]
    most_bytes: int | None
    ends: float


class Uploads:
    """Stores files; one policy serves all files of a model until it ends."""

    def __init__(
        self,
        service: HTTPClient,
        store: HTTPClient,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._service = service
        self._store = store
        self._clock = clock
        self._now = now
        self._policies: dict[str, _Policy] = {}
        self._lock = threading.Lock()

    def store(self, audio: AudioFile, model: Model) -> Reference:
        """Upload a file for `model`; raises FileTooLargeError before the first byte is sent.

        A policy that ended between its answer and its use is replaced once; what arrived otherwise
        than it left is sent again, once.
        """
        try:
            return self._stored(audio, model)
        except ServiceError as error:
            if error.code != CORRUPTED:
                raise
        return self._stored(audio, model)

    def _stored(self, audio: AudioFile, model: Model) -> Reference:
        policy = self._policy(model)
        try:
            return self._send(audio, policy)
        except ServiceError as error:
            if error.code != POLICY_EXPIRED:
                raise
        return self._send(audio, self._policy(model, ended=policy))

    def _send(self, audio: AudioFile, policy: _Policy) -> Reference:
        if policy.most_bytes is not None and audio.size > policy.most_bytes:
            raise FileTooLargeError(audio.name, audio.size, policy.most_bytes)
        part = file_part("file", audio)
        key = f"{policy.folder}/{part.filename}"
        fields = [*policy.fields, ("key", key), ("success_action_status", "200")]
        expires = self._now() + LIFETIME
        try:
            answer = self._store.post_file(policy.host, fields, part, keyless=True)
        except ServiceError as error:
            # Nobody else has this name: an earlier try came through, and its answer did not.
            if error.code != ALREADY_THERE:
                raise
        else:
            if differs(answer.headers, audio.path):
                raise ServiceError(
                    "qwen",
                    f"{audio.name} was corrupted on transfer",
                    code=CORRUPTED,
                    hint="Try again; if it goes on, something on the way changes what is sent.",
                )
        return Reference("qwen", f"oss://{key}", expires)

    def _policy(self, model: Model, *, ended: _Policy | None = None) -> _Policy:
        """A policy for the model, other than the one that has ended."""
        with self._lock:
            policy = self._policies.get(model.id)
            started = self._clock()
            if policy is None or policy is ended or policy.ends - started < _SPARE_SECONDS:
                answer = self._service.get(
                    "uploads", params={"action": "getPolicy", "model": model.id}
                )
                policy = _read_policy(answer.json, started, request_id=answer.request_id)
                self._policies[model.id] = policy
            return policy


def _read_policy(body: Any, started: float, *, request_id: str | None) -> _Policy:
    data = dig(body, "data")
    host, folder = text_at(data, "upload_host"), text_at(data, "upload_dir")
    fields = tuple(
        (name, text_at(data, source))
        for name, source in (
            ("OSSAccessKeyId", "oss_access_key_id"),
            ("Signature", "signature"),
            ("policy", "policy"),
            ("x-oss-object-acl", "x_oss_object_acl"),
            ("x-oss-forbid-overwrite", "x_oss_forbid_overwrite"),
        )
    )
    if not host or "://" not in host or not folder or any(value is None for _, value in fields):
        raise UnexpectedAnswerError(
            "qwen", "the upload policy lacks a field", http_status=200, request_id=request_id
        )
    megabytes = number_at(data, "max_file_size_mb")
    return _Policy(
        host=host,
        folder=folder.strip("/"),
        fields=tuple((name, value) for name, value in fields if value is not None),
        most_bytes=int(megabytes * 1_000_000) if megabytes else None,
        ends=started + (number_at(data, "expire_in_seconds") or 0.0),
    )
