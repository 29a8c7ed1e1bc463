"""What a request says of each option, whatever kind of call it is."""

from __future__ import annotations

from typing import Any

from asrcli.providers import languages
from asrcli.providers.base import API, Feature, Model
from tests.cli.model_runs import language_of
from tests.emulators.service import Received

__all__ = ["expected_told", "told"]

Told = dict[str, Any]
"""What a request says of each feature; what it does not say is not there."""


def told_sync(body: Any) -> Told:
    options = body["parameters"].get("asr_options", {})
    texts = [part["text"] for m in body["input"]["messages"][:-1] for part in m["content"]]
    itn = options.get("enable_itn")
    return {"language": options.get("language"), "itn": itn, "text": "\n".join(texts)}


def told_job(body: Any) -> Told:
    given = body["parameters"]
    return {
        "language": given.get("language"),
        "itn": given.get("enable_itn"),
        "words": given.get("enable_words"),
        "channels": given.get("channel_id"),
    }


def told_job_list(body: Any) -> Told:
    given = body["parameters"]
    return {
        "language": (given.get("language_hints") or [None])[0],
        "diarize": given.get("diarization_enabled"),
        "speakers": given.get("speaker_count"),
        "channels": given.get("channel_id"),
        "vocabulary": given.get("vocabulary_id") or given.get("vocabulary"),
        "masked": "false" not in given["special_word_filter"],
    }


def told_flash(body: Any) -> Told:
    given = body["parameters"]
    texts = [m["content"][0].get("text", "") for m in body["input"]["messages"][:-1]]
    return {
        "language": (given.get("language_hints") or [None])[0],
        "diarize": given.get("speaker_diarization_enabled"),
        "vocabulary": given.get("vocabulary_id") or given.get("vocabulary"),
        "text": " ".join(texts),
        "format": given["format"],
    }


def told_chat(body: Any) -> Told:
    system, user = body["messages"]
    sound = user["content"][0]["input_audio"]
    thinks = body.get("enable_thinking", False) or body.get("reasoning_effort", "none") != "none"
    return {"text": system["content"], "format": sound["format"], "thinks": thinks}


def told_onemin(body: Any) -> Told:
    given = body["promptObject"]
    return {"language": given.get("language"), "itn": given.get("enable_itn")}


TOLD = {
    API.SYNC: told_sync,
    API.JOB: told_job,
    API.JOB_LIST: told_job_list,
    API.SYNC_FLASH: told_flash,
    API.CHAT: told_chat,
    API.ONEMIN: told_onemin,
}


def told(model: Model, call: Received) -> Told:
    if model.api is not API.OPENAI:
        return TOLD[model.api](call.json)
    fields: dict[str, list[str]] = {}
    for part in call.form:
        if part.filename is None:
            fields.setdefault(part.name, []).append(part.text)
    words = "word" in fields.get("timestamp_granularities[]", [])
    (language,), (text,) = fields.get("language", [None]), fields.get("prompt", [""])
    return {"language": language, "words": words, "text": text}


def expected_told(model: Model) -> Told:
    """What must be said of the fields that a request of this kind has."""
    code = languages.language_for(model, language_of(model))
    # Of Paraformer, only v2 can be told.
    deaf = model.family == "paraformer" and not model.id.startswith("paraformer-v2")
    return {
        "language": None if deaf else code,
        "itn": True if Feature.ITN in model.features else None,
        "words": True if Feature.WORDS in model.features else model.api is API.OPENAI and None,
        "diarize": True if Feature.DIARIZE in model.features else None,
        "speakers": 2 if Feature.DIARIZE in model.features else None,
        "channels": None,
        "masked": False,
        "thinks": False,
    }
