"""Temporary storage: policies for uploads, and the object store that takes forms.

Page: https://www.alibabacloud.com/help/en/model-studio/get-temporary-file-url. An object belongs
to the account and to the model that its policy was asked for, and is gone after 48 hours.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import tempfile
import threading
import uuid
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.emulators.bodies import Part
from tests.emulators.dashscope.hosts import Caller
from tests.emulators.dashscope.models import REALTIME, Model
from tests.emulators.dashscope.refusals import Refusal, StoreRefusal, invalid
from tests.emulators.dashscope.times import day, iso

__all__ = ["LIFETIME", "Policy", "Stored", "Uploads"]

LIFETIME = 48 * 3600.0
_FIELDS = frozenset(
    {
        "OSSAccessKeyId",
        "Signature",
        "policy",
        "x-oss-object-acl",
        "x-oss-forbid-overwrite",
        "x-oss-content-type",
        "key",
        "success_action_status",
    }
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a caller was allowed to store."""

    text: str
    signature: str
    folder: str
    owner: tuple[str, str]
    model: str
    ends: float
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """An object of the store, kept on disk."""

    key: str
    path: Path
    size: int
    sha256: str
    owner: tuple[str, str]
    model: str
    stored: float


class Uploads:
    """Policies, and what was uploaded with them. The attributes may be set at any time."""

    def __init__(self, models: dict[str, Model], clock: Callable[[], float]) -> None:
        self.expire_in_seconds = 300
        self.max_file_size_mb = 100
        self.max_file_size_mb_of: dict[str, int] = {}
        """By model; it wins over `max_file_size_mb`."""
        self.numbers_as_text = False
        """The page calls the three numbers strings and shows numbers."""
        self.regions = {"cn-beijing", "ap-southeast-1"}
        self.policies_given = 0
        self.objects: dict[str, Stored] = {}
        self._models = models
        self._clock = clock
        self._policies: dict[str, Policy] = {}
        self._lock = threading.Lock()
        self._access_key = f"LTAI{uuid.uuid4().hex[:16]}"
        self._secret = uuid.uuid4().bytes
        self._folder = Path(tempfile.mkdtemp(prefix="oss-"))
        # Also where nobody closes it; a TemporaryDirectory would warn then.
        self._finalizer = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def close(self) -> None:
        """Delete the objects."""
        self._finalizer()

    def policy(self, query: list[tuple[str, str]], caller: Caller, host: str) -> dict[str, Any]:
        """The `data` of the answer to `GET /uploads`."""
        names = [name for name, _ in query]
        if sorted(names) != ["action", "model"]:
            raise invalid(f"the query must be action and model: {', '.join(names)}")
        given = dict(query)
        if given["action"] != "getPolicy":
            raise invalid(f"action is unknown: {given['action']!r}")
        model = given["model"]
        if model not in REALTIME and caller.region not in self._regions_of(model):
            raise Refusal(404, "ModelNotFound", f"Model can not be found: {model!r}")
        if caller.region not in self.regions:
            raise invalid(f"uploads are not offered in {caller.region}")
        made = self._make(model, caller)
        with self._lock:
            self._policies[made.text] = made
            self.policies_given += 1
        return self._written(made, host)

    def _regions_of(self, model: str) -> frozenset[str]:
        known = self._models.get(model)
        return known.regions if known else frozenset()

    def _make(self, model: str, caller: Caller) -> Policy:
        now = self._clock()
        ends = now + self.expire_in_seconds
        account = hashlib.md5(caller.account.encode(), usedforsecurity=False).hexdigest()
        folder = f"dashscope-instant/{account}/{day(now)}/{uuid.uuid4()}"
        most = self.max_file_size_mb_of.get(model, self.max_file_size_mb) * 1_048_576
        rules = {
            "expiration": iso(ends),
            "conditions": [
                ["content-length-range", 0, most],
                ["starts-with", "$key", folder],
                {"x-oss-object-acl": "private"},
                {"x-oss-forbid-overwrite": "true"},
            ],
        }
        text = base64.b64encode(json.dumps(rules).encode()).decode()
        return Policy(text, self._sign(text), folder, caller.owner, model, ends, most)

    def _sign(self, text: str) -> str:
        digest = hmac.new(self._secret, text.encode(), hashlib.sha1).digest()
        return base64.b64encode(digest).decode()

    def _written(self, made: Policy, host: str) -> dict[str, Any]:
        numbers: dict[str, int] = {
            "expire_in_seconds": self.expire_in_seconds,
            "max_file_size_mb": made.most_bytes // 1_048_576,
            "capacity_limit_mb": 999_999_999,
        }
        return {
            "policy": made.text,
            "signature": made.signature,
            "upload_dir": made.folder,
            "upload_host": host,
            **{k: str(v) if self.numbers_as_text else v for k, v in numbers.items()},
            "oss_access_key_id": self._access_key,
            "x_oss_object_acl": "private",
            "x_oss_forbid_overwrite": "true",
        }

    # --- the object store ---------------------------------------------------------------------

    def store(self, parts: list[Part]) -> tuple[int, str]:
        """Keep the file of a form; returns status and body, raises StoreRefusal.

        What follows the part `file` is ignored, as the real store does.
        """
        place = next((n for n, part in enumerate(parts) if part.name == "file"), None)
        if place is None:
            raise StoreRefusal(
                400, "IncorrectNumberOfFilesInPOSTRequest", "POST requires exactly one file."
            )
        form, file = _as_form(parts[:place]), parts[place]
        policy = self._checked(form, file.size)
        key = form["key"]
        target = file.save(self._folder / uuid.uuid4().hex)
        kept = Stored(
            key, target, file.size, file.sha256, policy.owner, policy.model, self._clock()
        )
        with self._lock:
            if key in self.objects:
                target.unlink()
                raise StoreRefusal(
                    409, "FileAlreadyExists", "The object you specified already exists and"
                    " can not be overwritten.",
                )  # fmt: skip
            self.objects[key] = kept
        status = form.get("success_action_status", "204")
        if status == "201":
            return 201, f"<PostResponse><Key>{key}</Key></PostResponse>"
        return (200, "") if status == "200" else (204, "")

    def _checked(self, form: dict[str, str], size: int) -> Policy:
        for name in ("OSSAccessKeyId", "Signature", "policy"):
            if name not in form:
                raise StoreRefusal(403, "AccessDenied", f"Anonymous access: no {name}.")
        if form["OSSAccessKeyId"] != self._access_key:
            raise StoreRefusal(
                403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist."
            )
        policy = self._policies.get(form["policy"])
        if policy is None or form["Signature"] != policy.signature:
            raise StoreRefusal(
                403, "SignatureDoesNotMatch", "The request signature we calculated does not match"
                " the signature you provided.",
            )  # fmt: skip
        if self._clock() > policy.ends:
            raise _against("Policy expired.")
        for name, value in (("x-oss-object-acl", "private"), ("x-oss-forbid-overwrite", "true")):
            if form.get(name) != value:
                raise _against(f'Policy Condition failed: ["eq", "${name}", "{value}"]')
        if not form.get("key", "").startswith(f"{policy.folder}/"):
            raise _against(f'Policy Condition failed: ["starts-with", "$key", "{policy.folder}"]')
        if size > policy.most_bytes:
            raise StoreRefusal(
                400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size."
            )
        return policy

    def expire(self, key: str) -> None:
        """Let an object be gone, as it is after 48 hours."""
        with self._lock:
            self.objects.pop(key).path.unlink()


def _as_form(parts: list[Part]) -> dict[str, str]:
    form: dict[str, str] = {}
    for part in parts:
        if part.name not in _FIELDS or part.filename is not None:
            raise StoreRefusal(400, "InvalidArgument", f"The field {part.name!r} is unknown.")
        if part.name in form:
            raise StoreRefusal(400, "InvalidArgument", f"The field {part.name!r} is given twice.")
        form[part.name] = part.text
    return form


def _against(reason: str) -> StoreRefusal:
    return StoreRefusal(403, "AccessDenied", f"Invalid according to Policy: {reason}")
