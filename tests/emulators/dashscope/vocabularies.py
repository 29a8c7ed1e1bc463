"""Lists of hotwords that are kept at the service.

Page: https://help.aliyun.com/zh/model-studio/improve-asr-accuracy. A list works for the model it
was made for and no other; for others it is ignored without a word.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from tests.emulators.dashscope.fields import Kind, choice, fields_of, one_of_range
from tests.emulators.dashscope.hosts import Caller
from tests.emulators.dashscope.models import FUN_LANGUAGES, REALTIME, Model
from tests.emulators.dashscope.refusals import Refusal, invalid
from tests.emulators.dashscope.times import in_seconds

__all__ = ["Vocabularies", "Vocabulary", "check_instant"]

SUPER_WEIGHT = 50
_MOST_LISTS = 10
_MOST_SUPER = 50
_UPDATE_PAUSE = 300.0
_PREFIX = re.compile(r"[a-z0-9]{1,10}")

Words = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """One list."""

    id: str
    owner: tuple[str, str]
    prefix: str
    target_model: str
    words: Words
    created: float
    modified: float
    status: str = "OK"
    updated: bool = False


class Vocabularies:
    """The lists of all accounts, and the five actions on them."""

    def __init__(self, models: dict[str, Model], clock: Callable[[], float]) -> None:
        self.status = "OK"
        """Of lists made from now on; `UNDEPLOYED` ones have no effect."""
        self._models = models
        self._clock = clock
        self._lists: dict[str, Vocabulary] = {}
        self._lock = threading.Lock()
        self._actions: dict[str, Callable[[dict[str, Any], Caller], dict[str, Any]]] = {
            "create_vocabulary": self._create,
            "list_vocabulary": self._list,
            "query_vocabulary": self._query,
            "update_vocabulary": self._update,
            "delete_vocabulary": self._delete,
        }

    @property
    def all(self) -> list[Vocabulary]:
        """Every list there is, oldest first."""
        with self._lock:
            return list(self._lists.values())

    def answer(self, body: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """The `output` for the body of a call."""
        # The vendor's own SDK sends `"parameters": {}` with every call.
        fields_of(body, "the body", {"model": str, "input": dict}, {"parameters": dict})
        fields_of(body.get("parameters", {}), "parameters", {})
        choice(body["model"], "model", ("speech-biasing",))
        if caller.region == "ap-southeast-1" and not caller.main:
            raise Refusal(403, "Workspace.AccessDenied", "Workspace access denied.")
        action = body["input"].get("action")
        if action not in self._actions:
            raise invalid(f"input.action is unknown: {action!r}")
        with self._lock:
            return self._actions[action](body["input"], caller)

    def terms(
        self, vocabulary_id: str, caller: Caller, model: Model, hints: Collection[str]
    ) -> list[str]:
        """The words that a recognition favors; none if the list is for another model.

        Raises 416 for an id that the caller does not have.
        """
        with self._lock:
            found = self._owned(vocabulary_id, caller)
        if found.target_model != model.id or found.status != "OK":
            return []
        return [
            word["text"]
            for word in found.words
            if not hints or word.get("lang") is None or word["lang"] in hints
        ]

    def _create(self, given: dict[str, Any], caller: Caller) -> dict[str, Any]:
        needed = {"action": str, "target_model": str, "prefix": str, "vocabulary": list}
        fields_of(given, "input", needed)
        if not _PREFIX.fullmatch(given["prefix"]):
            raise invalid("prefix must be at most 10 digits and lower-case letters")
        words = self._checked(given["vocabulary"], given["target_model"])
        if sum(item.owner == caller.owner for item in self._lists.values()) >= _MOST_LISTS:
            raise Refusal(400, "Throttling.AllocationQuota", "Free allocated quota exceeded.")
        name = f"vocab-{given['prefix']}-{uuid.uuid4().hex}"
        now = self._clock()
        self._lists[name] = Vocabulary(
            name, caller.owner, given["prefix"], given["target_model"], words, now, now, self.status
        )
        return {"vocabulary_id": name}

    def _list(self, given: dict[str, Any], caller: Caller) -> dict[str, Any]:
        allowed: dict[str, Kind] = {
            "prefix": (str, type(None)),
            "page_index": int,
            "page_size": int,
        }
        fields_of(given, "input", {"action": str}, allowed)
        index, size = given.get("page_index", 0), given.get("page_size", 10)
        one_of_range(index, "page_index", 0, 1_000_000)
        one_of_range(size, "page_size", 1, 100)
        prefix = given.get("prefix")
        found = [
            item
            for item in reversed(self._lists.values())
            if item.owner == caller.owner and prefix in {None, item.prefix}
        ]
        page = found[index * size : (index + 1) * size]
        return {"vocabulary_list": [{"vocabulary_id": item.id, **_state(item)} for item in page]}

    def _query(self, given: dict[str, Any], caller: Caller) -> dict[str, Any]:
        fields_of(given, "input", {"action": str, "vocabulary_id": str})
        found = self._owned(given["vocabulary_id"], caller)
        return {
            "target_model": found.target_model,
            **_state(found),
            "vocabulary": [dict(word) for word in found.words],
        }

    def _update(self, given: dict[str, Any], caller: Caller) -> dict[str, Any]:
        fields_of(given, "input", {"action": str, "vocabulary_id": str, "vocabulary": list})
        found = self._owned(given["vocabulary_id"], caller)
        words = self._checked(given["vocabulary"], found.target_model)
        now = self._clock()
        if found.updated and now - found.modified < _UPDATE_PAUSE:
            raise invalid("wait at least 5 minutes between updates of a vocabulary")
        self._lists[found.id] = replace(found, words=words, modified=now, updated=True)
        return {}

    def _delete(self, given: dict[str, Any], caller: Caller) -> dict[str, Any]:
        fields_of(given, "input", {"action": str, "vocabulary_id": str})
        del self._lists[self._owned(given["vocabulary_id"], caller).id]
        return {}

    def _owned(self, name: str, caller: Caller) -> Vocabulary:
        found = self._lists.get(name)
        if found is None or found.owner != caller.owner:
            raise Refusal(416, "BadRequest.ResourceNotExist", "The Required resource not exist.")
        return found

    def _checked(self, words: list[Any], target_model: str) -> Words:
        model = self._models.get(target_model)
        most = model.hotwords if model else 2000 if _takes_hotwords(target_model) else 0
        if not most:
            raise invalid(f"target_model {target_model!r} takes no hotwords")
        if not 1 <= len(words) <= most:
            raise invalid(f"vocabulary must have 1 to {most} words: {len(words)}")
        instant = model.instant if model else target_model.startswith("qwen-audio")
        languages = model.languages if model else FUN_LANGUAGES
        for word in words:
            fields_of(word, "vocabulary[]", {"text": str, "weight": int}, {"lang": str})
            _check_text(word["text"])
            _check_weight(word["weight"], instant=instant)
            if "lang" in word:
                choice(word["lang"], "lang", tuple(sorted(languages)))
        if sum(word["weight"] == SUPER_WEIGHT for word in words) > _MOST_SUPER:
            raise invalid(f"at most {_MOST_SUPER} words may have a weight of {SUPER_WEIGHT}")
        return tuple(dict(word) for word in words)


def check_instant(words: dict[str, Any]) -> list[str]:
    """The terms of `parameters.vocabulary`, a map from a term to its weight."""
    for text, weight in words.items():
        if isinstance(weight, bool) or not isinstance(weight, int):
            raise invalid(f"the weight of {text!r} must be an integer")
        _check_text(text)
        _check_weight(weight, instant=True)
    return list(words)


def _takes_hotwords(name: str) -> bool:
    return name in REALTIME and name.startswith(("fun-asr", "qwen-audio", "paraformer"))


def _check_text(text: str) -> None:
    if not text.strip():
        raise invalid("a hotword must not be empty")
    if not text.isascii() and len(text) > 15:
        raise invalid(f"a hotword with other than ASCII has at most 15 characters: {text!r}")
    if text.isascii() and len(text.split(" ")) > 7:
        raise invalid(f"a hotword has at most 7 parts: {text!r}")


def _check_weight(weight: int, *, instant: bool) -> None:
    if not (1 <= weight <= 5 or (instant and weight == SUPER_WEIGHT)):
        raise invalid(f"the weight must be 1 to 5: {weight}")


def _state(item: Vocabulary) -> dict[str, Any]:
    return {
        "status": item.status,
        "gmt_create": in_seconds(item.created),
        "gmt_modified": in_seconds(item.modified),
    }
