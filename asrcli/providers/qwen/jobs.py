"""Transcription jobs of Qwen Cloud: what is submitted, what a poll says, which jobs there are.

Two families share the address and differ in every shape: `qwen3-asr-flash-filetrans` takes
`file_url` and points to one result; fun-asr and its relatives take `file_urls` and point to a list
of results, each with a state of its own. What the results hold is read in `results`.
Pages: https://help.aliyun.com/zh/model-studio/qwen-asr-api-reference,
https://help.aliyun.com/en/model-studio/fun-asr-recorded-speech-recognition-http-api and
https://help.aliyun.com/zh/model-studio/manage-asynchronous-tasks.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote, urlsplit

from asrcli.errors import RemoteError, Retry, UnexpectedAnswerError, UsageError
from asrcli.providers.base import API, Job, JobState, JobStatus, Model, Options
from asrcli.providers.qwen.failures import failure
from asrcli.providers.reading import dig, number_at, text_at
from asrcli.transport.http import Answer

__all__ = [
    "LIST_PATH",
    "MOST_LISTED",
    "SUBMIT_PATH",
    "Listed",
    "instant_hotwords",
    "list_query",
    "read_list",
    "read_status",
    "read_submitted",
    "same_recording",
    "submit_body",
    "task_path",
]

SUBMIT_PATH = "services/audio/asr/transcription"
LIST_PATH = "tasks/"
MOST_LISTED = 100
"""Jobs of one page of the list."""

_NO_SPEECH = frozenset({"success_with_no_valid_fragment", "asr_response_have_no_words"})
"""Codes that say that nobody spoke: an empty transcript, not a failure."""
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,127}", re.ASCII)
_CHINA = timezone(timedelta(hours=8))
_USUAL_WEIGHT = 4
_HINTLESS = ("paraformer-v1", "paraformer-8k", "paraformer-mtl")
"""Of Paraformer, only v2 is told languages."""


# --- submit -----------------------------------------------------------------------------------


def submit_body(location: str, model: Model, options: Options) -> dict[str, Any]:
    """The JSON to submit; `parameters` is there even when empty, as some hosts require it."""
    given: dict[str, Any]
    if model.api is API.JOB:
        given, parameters = {"file_url": location}, _single_parameters(options)
    else:
        # One page allows a hundred, the newer one a single URL.
        given, parameters = {"file_urls": [location]}, _list_parameters(model, options)
    if options.channels:
        parameters["channel_id"] = list(options.channels)
    return {"model": model.id, "input": given, "parameters": parameters}


def _single_parameters(options: Options) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    if options.words:
        parameters["enable_words"] = True
    if options.language:
        parameters["language"] = options.language
    if options.itn is not None:
        parameters["enable_itn"] = options.itn
    return parameters


def _list_parameters(model: Model, options: Options) -> dict[str, Any]:
    # Unless told otherwise, these models write stars over the words of a list of their own.
    # One page shows an object here, two say that it is a text that holds JSON.
    mask = json.dumps({"system_reserved_filter": False}, separators=(",", ":"))
    parameters: dict[str, Any] = {"special_word_filter": mask}
    if options.language and not model.id.startswith(_HINTLESS):
        parameters["language_hints"] = [options.language]
    if options.vocabulary:
        parameters["vocabulary_id"] = options.vocabulary
    if options.hotwords:
        parameters["vocabulary"] = instant_hotwords(model, options)
    if options.diarize:
        parameters["diarization_enabled"] = True
        if options.speakers is not None:
            parameters["speaker_count"] = options.speakers
    return parameters


def instant_hotwords(model: Model, options: Options) -> dict[str, int]:
    """Hotwords inside a request, which only the models of Qwen-Audio take."""
    if model.family != "qwen-audio":
        raise RuntimeError(f"{model.id} takes a vocabulary, and no hotwords in the request")
    return {word.text: word.weight or _USUAL_WEIGHT for word in options.hotwords}


def read_submitted(answer: Answer) -> str:
    """The id of the new job; without one, the job may be there all the same."""
    task = text_at(answer.json, "output", "task_id")
    if not task or not _ID.fullmatch(task):
        raise answer.unexpected("its answer names no job", retry=Retry.AMBIGUOUS)
    return task


def task_path(id: str, *, cancel: bool = False) -> str:  # noqa: A002 - as the field
    """Where to ask for a job; raises UsageError for an id that leads elsewhere."""
    if not _ID.fullmatch(id):
        raise UsageError(f"{id[:100]!r} is no id of a job")
    return f"tasks/{id}/cancel" if cancel else f"tasks/{id}"


# --- polls ------------------------------------------------------------------------------------


def read_status(answer: Answer, job: Job) -> JobStatus:
    """What the answer to a poll says, failures that hide inside a succeeded job included.

    The shapes of both families are read, whichever comes. Raises UnexpectedAnswerError for an
    answer that is about another job, lacks the result, or has none of the job's recording.
    """
    output = dig(answer.json, "output")
    said = text_at(output, "task_status")
    if not said or text_at(output, "task_id") not in {job.id, None}:
        raise answer.unexpected("its answer says nothing of the job")
    state = _state(said)
    if state in {JobState.CANCELED, JobState.UNKNOWN}:
        return JobStatus(state, said, request_id=answer.request_id)
    parts = dig(output, "results")
    listed = isinstance(parts, list) and bool(parts)
    part = _part(answer, parts, job) if listed else dig(output, "result")
    state = _state_of_part(state, text_at(part, "subtask_status"))
    code, message = _reason(part, output)
    url = text_at(part, "transcription_url")
    silent = bool(code) and str(code).lower() in _NO_SPEECH and not url
    error = None
    if silent and state.ended:
        state, url = JobState.SUCCEEDED, None
    elif state is JobState.FAILED:
        error = _failed(code, message, answer)
    elif state is JobState.SUCCEEDED and not url:
        raise answer.unexpected("the job succeeded, but it names no result")
    return JobStatus(
        state,
        said,
        result_url=url if state is JobState.SUCCEEDED else None,
        location=job.location if job.unproven and not listed else None,
        no_speech=silent and state is JobState.SUCCEEDED,
        error=error,
        billed_seconds=_billed(answer.json),
        request_id=answer.request_id,
    )


def _state(said: str) -> JobState:
    try:
        return JobState(said.lower())
    except ValueError:
        return JobState.UNSEEN


def _part(answer: Answer, parts: list[Any], job: Job) -> Any:
    """The result of the one recording that was submitted, found by its URL.

    The only one of a job that is known by its id needs no proof: the service may name a recording
    in its own storage in another way than we do.
    """
    if len(parts) == 1 and not job.unproven:
        return parts[0]
    for part in parts:
        if job.location and same_recording(text_at(part, "file_url"), job.location):
            return part
    raise answer.unexpected("none of the results is of the recording that was submitted")


def _state_of_part(state: JobState, said: str | None) -> JobState:
    """A job has succeeded as soon as one part has, so the part's own word counts."""
    if said is None or not state.ended:
        return state
    part = _state(said)
    return part if part is not JobState.UNSEEN else state


def _reason(part: Any, output: Any) -> tuple[str | None, str | None]:
    for place in (part, output):
        if code := text_at(place, "code"):
            return code, text_at(place, "message")
    return None, text_at(output, "message")


def _failed(code: str | None, message: str | None, answer: Answer) -> RemoteError:
    reason = f"the job failed: {message or 'it gives no reason'}"
    return failure(code, message or reason, request_id=answer.request_id)


def _billed(body: Any) -> float | None:
    seconds = number_at(body, "usage", "seconds")
    return seconds if seconds is not None else number_at(body, "usage", "duration")


def same_recording(named: str | None, submitted: str) -> bool:
    """True if both mean the same recording: escapes and signatures may differ.

    What lies in the service's own storage may be named by the URL that it resolved it to.
    """
    if not named:
        return False
    one, other = _place(named), _place(submitted)
    if submitted.startswith("oss://") and not named.startswith("oss://"):
        return one[1].endswith(f"/{other[0]}{other[1]}")
    return one == other


def _place(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", url
    return parts.netloc.lower(), unquote(parts.path)


# --- the list ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the list; it does not say which recording the job is of."""

    id: str
    created: datetime | None


def list_query(model: Model, *, since: datetime, until: datetime, page: int) -> dict[str, str]:
    """The query for jobs of one model; times are those of China, at most a day apart."""
    since = max(since, until - timedelta(days=1))
    return {
        "start_time": since.astimezone(_CHINA).strftime("%Y%m%d%H%M%S"),
        "end_time": until.astimezone(_CHINA).strftime("%Y%m%d%H%M%S"),
        "model_name": model.id,
        "page_no": str(page),
        "page_size": str(MOST_LISTED),
    }


def read_list(answer: Answer, model: Model) -> tuple[list[Listed], bool]:
    """The jobs of a page, and whether there is another page."""
    body = answer.json
    rows = dig(body, "data")
    if not isinstance(rows, list):  # as the vendor's newer SDK reads it
        rows = dig(body, "tasks")
    if not isinstance(rows, list):
        raise UnexpectedAnswerError(
            "qwen", "its list of jobs is none", request_id=answer.request_id
        )
    found = []
    for row in rows:
        name, task = text_at(row, "model_name"), text_at(row, "task_id")
        if task and _ID.fullmatch(task) and name in {None, model.id}:
            found.append(Listed(task, _created(row)))
    more = (number_at(body, "page_no") or 1) < (number_at(body, "total_page") or 1)
    return found, more


def _created(row: Any) -> datetime | None:
    milliseconds = number_at(row, "gmt_create")
    if milliseconds is None or not 0 < milliseconds < 1e14:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
