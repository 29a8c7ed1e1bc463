"""Lists of hotwords that Qwen Cloud keeps: each belongs to one account, one region and one model.

Page: https://help.aliyun.com/zh/model-studio/improve-asr-accuracy. A list that was made for another
model is ignored there without a word, so a list is made for exactly the model that uses it. An
account has at most ten, all models together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from asrcli.errors import (
    AsrError,
    FeatureError,
    KeyRefusedError,
    RefusedError,
    RemoteError,
    Retry,
    UsageError,
)
from asrcli.providers.base import API, Feature, Hotword, Model
from asrcli.providers.qwen.failures import read_failure
from asrcli.providers.qwen.hosts import find_hosts
from asrcli.providers.reading import dig, text_at
from asrcli.secret import Secret
from asrcli.settings import Settings
from asrcli.transport.connection import Connection
from asrcli.transport.http import Answer, HTTPClient
from asrcli.transport.retry import Retrier

__all__ = [
    "FULL",
    "GONE",
    "MOST_LISTS",
    "PREFIX",
    "USABLE",
    "USUAL_WEIGHT",
    "Vocabularies",
    "Vocabulary",
    "check_hotwords",
    "check_id",
    "check_prefix",
    "is_vocabulary_id",
    "keeps_vocabularies",
    "most_hotwords",
    "require_vocabularies",
]

PATH = "services/audio/asr/customization"
PREFIX = "asrcli"
"""Marks the lists that are ours."""
USUAL_WEIGHT = 4
USABLE = "OK"
"""The state of a list that has an effect."""
MOST_LISTS = 10

GONE = "VocabularyGone"
"""A code of our own: there is no such list, or not in this account and region."""
FULL = "VocabulariesFull"
"""A code of our own: the account has ten lists already."""

_SUPER_WEIGHT = 50
_MOST_SUPER = 50
_MOST_CHARACTERS = 15
_MOST_PARTS = 7
_USUAL_MOST = 500
_PAGE = 10
_MOST_PAGES = 20
_KEPT = frozenset({API.JOB_LIST, API.SYNC_FLASH, API.TASK})
_ID = re.compile(r"vocab-[a-z0-9]{1,10}-[A-Za-z0-9-]{1,64}")
_PREFIX = re.compile(r"[a-z0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A list at the service; `model` and `words` are only told when it is asked for by itself."""

    id: str
    status: str
    created: str | None = None
    """In the service's own words and time zone."""
    modified: str | None = None
    model: str | None = None
    words: tuple[Hotword, ...] = field(default=(), repr=False)

    @property
    def usable(self) -> bool:
        """True for a list that has an effect."""
        return self.status == USABLE


# --- rules ------------------------------------------------------------------------------------


def keeps_vocabularies(model: Model) -> bool:
    """True for a model that reads lists that are kept at the service."""
    return model.provider == "qwen" and Feature.HOTWORDS in model.features and model.api in _KEPT


def require_vocabularies(model: Model) -> None:
    """Raise FeatureError for a model without such lists."""
    if not keeps_vocabularies(model):
        raise FeatureError("lists of hotwords", model.id, ["fun-asr", "fun-asr-realtime"])


def most_hotwords(model: Model) -> int:
    """How many words a list for the model may have."""
    return model.max_hotwords or _USUAL_MOST


def is_vocabulary_id(text: str) -> bool:
    """True for what looks like the id of a list."""
    return _ID.fullmatch(text) is not None


def check_id(text: str) -> str:
    """The id itself; raises UsageError for what is none."""
    if not is_vocabulary_id(text):
        raise UsageError(
            f"{text[:100]!r} is no id of a list",
            hint="Ids look like vocab-asrcli-0123…; `asrcli hotwords list` shows them.",
        )
    return text


def check_prefix(text: str) -> str:
    """The prefix itself; raises UsageError for one that the service does not take."""
    if not _PREFIX.fullmatch(text):
        raise UsageError(
            f"{text[:100]!r} is no prefix", hint="It is 1 to 10 lower-case letters and digits."
        )
    return text


def check_hotwords(words: Sequence[Hotword], model: Model) -> None:
    """Raise UsageError for the first word that a list for the model cannot have."""
    supers = 0
    for word in words:
        shown = f"the hotword {word.text[:60]!r}"
        if not word.text.isascii() and len(word.text) > _MOST_CHARACTERS:
            raise UsageError(
                f"{shown} has {len(word.text)} characters; {model.id} takes {_MOST_CHARACTERS}"
            )
        if word.text.isascii() and len(word.text.split()) > _MOST_PARTS:
            raise UsageError(f"{shown} has more than {_MOST_PARTS} words")
        _check_weight(word, model, shown)
        supers += word.weight == _SUPER_WEIGHT
        if word.language is not None and word.language not in model.languages:
            raise UsageError(f"{shown}: {model.id} does not know the language {word.language!r}")
    if supers > _MOST_SUPER:
        raise UsageError(f"{supers} hotwords have the weight {_SUPER_WEIGHT}; {_MOST_SUPER} may")


def _check_weight(word: Hotword, model: Model, shown: str) -> None:
    weight = USUAL_WEIGHT if word.weight is None else word.weight
    if 1 <= weight <= 5:
        return
    if weight != _SUPER_WEIGHT:
        raise UsageError(f"{shown} has the weight {weight}; weights are 1 to 5, or 50")
    if model.family != "qwen-audio":
        raise UsageError(f"{shown} has the weight 50, which {model.id} does not know: give 1 to 5")


# --- calls ------------------------------------------------------------------------------------


class Vocabularies:
    """The five calls, which cost nothing. Every one raises an `AsrError`."""

    def __init__(self, http: HTTPClient, *, key_place: str | None = None) -> None:
        self._http = http
        self._key_place = key_place

    @classmethod
    def open(cls, settings: Settings, connection: Connection, *, retrier: Retrier) -> Vocabularies:
        """With a connection of its own; raises KeyMissingError and ConfigurationError."""
        hosts = find_hosts(settings)
        key = settings.require_key("qwen")
        headers: dict[str, str | Secret] = {"Authorization": key.value}
        if hosts.workspace:
            headers["X-DashScope-WorkSpace"] = hosts.workspace
        http = HTTPClient(
            "qwen", hosts.native, headers, connection, retrier=retrier, read_failure=read_failure
        )
        return cls(http, key_place=key.place)

    @property
    def place(self) -> str:
        """Where the lists are: those of another region are others."""
        return self._http.base_url

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def create(self, words: Sequence[Hotword], model: Model, *, prefix: str = PREFIX) -> str:
        """Make a list for one model; gives its id.

        Raises RefusedError with the code `FULL` where there are ten. An answer that was lost is
        looked for among the lists there are: no second one is made.
        """
        asked = {
            "target_model": model.id,
            "prefix": check_prefix(prefix),
            "vocabulary": [_as_json(word) for word in words],
        }
        try:
            answer = self._call("create_vocabulary", asked, submit=True)
        except RemoteError as error:
            if error.code == "Throttling.AllocationQuota" and error.http_status == 400:
                raise _full(error) from error
            found = None
            if error.retry is Retry.AMBIGUOUS:
                found = self.find(words, model, prefix=prefix)
            if found is None:
                raise
            return found.id
        identity = text_at(answer.json, "output", "vocabulary_id")
        if not identity or not is_vocabulary_id(identity):
            raise answer.unexpected("it made a list of hotwords, and does not name it")
        return identity

    def list(self, *, prefix: str | None = None) -> list[Vocabulary]:
        """All lists of the account, or those with a prefix, the newest first."""
        found: dict[str, Vocabulary] = {}
        for page in range(_MOST_PAGES):
            asked = {"prefix": prefix, "page_index": page, "page_size": _PAGE}
            answer = self._call("list_vocabulary", asked)
            entries = dig(answer.json, "output", "vocabulary_list")
            if not isinstance(entries, list):
                raise answer.unexpected("its answer holds no list of vocabularies")
            before = len(found)
            for entry in entries:
                vocabulary = _read(entry, answer)
                found.setdefault(vocabulary.id, vocabulary)
            # A page that brings nothing new: the end, or a service that does not turn pages.
            if len(entries) < _PAGE or len(found) == before:
                break
        return [v for v in found.values() if prefix is None or _has_prefix(v.id, prefix)]

    def find(
        self, words: Sequence[Hotword], model: Model, *, prefix: str = PREFIX
    ) -> Vocabulary | None:
        """The newest list with these words for this model, if there is one."""
        wanted = [_as_json(word) for word in words]
        for entry in self.list(prefix=prefix):
            shown = self.show(entry.id)
            if shown.model == model.id and [_as_json(word) for word in shown.words] == wanted:
                return shown
        return None

    def show(self, identity: str) -> Vocabulary:
        """One list with its model and words; raises RefusedError with the code `GONE`."""
        answer = self._of_one("query_vocabulary", identity)
        output = dig(answer.json, "output")
        if not isinstance(output, dict) or not isinstance(output.get("vocabulary"), list):
            raise answer.unexpected("its answer holds no words of the vocabulary")
        if not text_at(output, "target_model"):
            raise answer.unexpected("its answer does not say what model the vocabulary is for")
        return _read({**output, "vocabulary_id": identity}, answer)

    def update(self, identity: str, words: Sequence[Hotword]) -> None:
        """Replace the words of a list; the service wants five minutes between two of these."""
        self._of_one("update_vocabulary", identity, vocabulary=[_as_json(word) for word in words])

    def delete(self, identity: str) -> None:
        """Remove a list for good."""
        try:
            self._of_one("delete_vocabulary", identity)
        except RefusedError as error:
            # The first try came through, and its answer was lost.
            if not (error.code == GONE and error.possible_duplicate):
                raise

    def _of_one(self, action: str, identity: str, **fields: Any) -> Answer:
        asked = {"vocabulary_id": check_id(identity), **fields}
        try:
            return self._call(action, asked, ambiguous=action != "query_vocabulary")
        except RemoteError as error:
            if error.http_status == 416 or error.code == "BadRequest.ResourceNotExist":
                raise _gone(identity, error) from error
            raise

    def _call(
        self, action: str, fields: dict[str, Any], *, ambiguous: bool = False, submit: bool = False
    ) -> Answer:
        body = {"model": "speech-biasing", "input": {"action": action, **fields}}
        try:
            return self._http.post(PATH, body, ambiguous=ambiguous, submit=submit)
        except KeyRefusedError as error:
            if self._key_place:
                error.message = f"the key from {self._key_place} was refused: {error.message}"
            raise


def _as_json(word: Hotword) -> dict[str, Any]:
    weight = USUAL_WEIGHT if word.weight is None else word.weight
    entry: dict[str, Any] = {"text": word.text, "weight": weight}
    return {**entry, "lang": word.language} if word.language else entry


def _read(entry: Any, answer: Answer) -> Vocabulary:
    identity, status = text_at(entry, "vocabulary_id"), text_at(entry, "status")
    if not identity or not status:
        raise answer.unexpected("it names a vocabulary without its id or its state")
    items = dig(entry, "vocabulary")
    words = tuple(_word(item, answer) for item in items) if isinstance(items, list) else ()
    return Vocabulary(
        identity,
        status,
        text_at(entry, "gmt_create"),
        text_at(entry, "gmt_modified"),
        text_at(entry, "target_model"),
        words,
    )


def _word(item: Any, answer: Answer) -> Hotword:
    text, weight = text_at(item, "text"), dig(item, "weight")
    if not text or isinstance(weight, bool) or not isinstance(weight, int | None):
        raise answer.unexpected("a word of the vocabulary cannot be read")
    return Hotword(text, weight, text_at(item, "lang") or None)


def _has_prefix(identity: str, prefix: str) -> bool:
    return identity.startswith(f"vocab-{prefix}-")


def _gone(identity: str, error: AsrError) -> RefusedError:
    return _translated(
        error,
        f"there is no list {identity} in this account and region",
        GONE,
        "`asrcli hotwords list` shows those there are; a list belongs to one region.",
    )


def _full(error: AsrError) -> RefusedError:
    return _translated(
        error,
        f"the account already has {MOST_LISTS} lists of hotwords, and may have no more",
        FULL,
        "Delete one: `asrcli hotwords list` shows them, `asrcli hotwords delete ID`.",
    )


def _translated(error: AsrError, message: str, code: str, hint: str) -> RefusedError:
    told = RefusedError(
        "qwen",
        message,
        code=code,
        http_status=error.http_status,
        request_id=error.request_id,
        hint=hint,
    )
    told.possible_duplicate = error.possible_duplicate
    return told
