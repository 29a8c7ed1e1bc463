"""The body of a transcription job, checked field by field.

Pages: https://docs.qwencloud.com/api-reference/speech-recognition/qwen-asr/dashscope-async and
https://help.aliyun.com/en/model-studio/fun-asr-recorded-speech-recognition-http-api.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.emulators.dashscope.fields import choice, fields_of, one_of_range, parse_object
from tests.emulators.dashscope.hints import check_hints
from tests.emulators.dashscope.models import Kind, Model
from tests.emulators.dashscope.refusals import invalid

__all__ = ["Submit", "read_submit"]

_MOST_URLS = 100


@dataclass(frozen=True, slots=True)
class Submit:
    """What a job is to do; `parameters` is None if the body has none."""

    urls: tuple[str, ...]
    parameters: dict[str, Any] | None


def read_submit(body: dict[str, Any], model: Model, *, several_urls: bool) -> Submit:
    """The job in a body whose `model` is known; raises a Refusal."""
    optional: dict[str, Any] = {"parameters": dict}
    if model.paraformer:
        optional["resources"] = list
    fields_of(body, "the body", {"model": str, "input": dict}, optional)
    given = body.get("parameters", {})
    if model.kind is Kind.JOB:
        urls = [fields_of(body["input"], "input", {"file_url": str})["file_url"]]
        _check_qwen(given, model)
    else:
        urls = fields_of(body["input"], "input", {"file_urls": list})["file_urls"]
        _check_fun(given, model)
    if not all(isinstance(url, str) and url for url in urls):
        raise invalid("a file URL must be a string, and not empty")
    most = _MOST_URLS if several_urls else 1
    if not 1 <= len(urls) <= most:
        raise invalid(f"file_urls must have 1 to {most} entries: {len(urls)}")
    return Submit(tuple(urls), body.get("parameters"))


def _check_qwen(given: dict[str, Any], model: Model) -> None:
    allowed = {"channel_id": list, "language": str, "enable_itn": bool, "enable_words": bool}
    fields_of(given, "parameters", {}, allowed)
    _check_channels(given)
    if "language" in given:
        choice(given["language"], "language", tuple(sorted(model.languages)))


def _check_fun(given: dict[str, Any], model: Model) -> None:
    allowed: dict[str, Any] = {
        "channel_id": list,
        "language_hints": list,
        "vocabulary_id": str,
        "diarization_enabled": bool,
        "speaker_count": int,
        "special_word_filter": str,
    }
    if model.instant:
        allowed["vocabulary"] = dict
    if model.paraformer:
        allowed |= {"disfluency_removal_enabled": bool, "timestamp_alignment_enabled": bool}
    fields_of(given, "parameters", {}, allowed)
    _check_channels(given)
    check_hints(given, model)
    one_of_range(given.get("speaker_count"), "speaker_count", 2, 100)
    if "speaker_count" in given and not given.get("diarization_enabled"):
        raise invalid("speaker_count is only for diarization")
    if "special_word_filter" in given:
        _check_filter(given["special_word_filter"])


def _check_channels(given: dict[str, Any]) -> None:
    channels = given.get("channel_id", [0])
    numbers = [c for c in channels if isinstance(c, int) and not isinstance(c, bool) and c >= 0]
    if not numbers or len(set(numbers)) != len(channels):
        raise invalid(f"channel_id must be a list of different numbers from 0: {channels}")


def _check_filter(text: str) -> None:
    rules = parse_object(text.encode(), where="special_word_filter")
    allowed = {
        "filter_with_signed": dict,
        "filter_with_empty": dict,
        "system_reserved_filter": bool,
    }
    fields_of(rules, "special_word_filter", {}, allowed)
    for name in ("filter_with_signed", "filter_with_empty"):
        if name in rules:
            words = fields_of(rules[name], name, {"word_list": list})["word_list"]
            if not all(isinstance(word, str) for word in words):
                raise invalid(f"{name}.word_list must hold strings")
