"""Jobs of Qwen Cloud without a service: what is submitted, what polls and lists say."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asrcli.errors import (
    AsrError,
    InputRefusedError,
    RefusedError,
    Retry,
    UnexpectedAnswerError,
    UsageError,
)
from asrcli.providers.base import Hotword, Job, JobState, JobStatus, Options
from asrcli.providers.catalogue import resolve
from asrcli.providers.qwen.jobs import (
    list_query,
    read_list,
    read_status,
    read_submitted,
    same_recording,
    submit_body,
    task_path,
)
from asrcli.transport.http import Answer
from tests.providers.calling import answer_from, cases

URL = "https://files.example/a.wav"
TASK = "4f1c0d2e-0000-4000-8000-00000000000a"
QWEN = resolve("qwen3-asr-flash-filetrans")
FUN = resolve("fun-asr")
AUDIO31 = resolve("qwen-audio-3.1-asr-flash-filetrans")
JOB = Job(TASK, "qwen", "a", "https://dashscope-intl.aliyuncs.com/api/v1", URL)
MASK = '{"system_reserved_filter":false}'


def told(name: str, *, job: Job = JOB) -> JobStatus:
    return read_status(answer_from("dashscope", name), job)


def answer(body: Any) -> Answer:
    return Answer(200, {}, json.dumps(body).encode(), "api.example", "qwen")


# --- submit -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (Options(), {}),
        (Options(language="de"), {"language": "de"}),
        (Options(itn=True), {"enable_itn": True}),
        (Options(itn=False), {"enable_itn": False}),
        (Options(words=True), {"enable_words": True}),
        (Options(channels=(0, 1)), {"channel_id": [0, 1]}),
        (Options(emotion=True), {}),  # it always comes
    ],
)
def test_the_family_of_qwen3_gets_one_url_and_only_what_was_asked_for(
    options: Options, parameters: dict[str, Any]
) -> None:
    assert submit_body(URL, QWEN, options) == {
        "model": "qwen3-asr-flash-filetrans",
        "input": {"file_url": URL},
        "parameters": parameters,
    }


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (Options(), {}),
        (Options(language="tl"), {"language_hints": ["tl"]}),
        (Options(channels=(1,)), {"channel_id": [1]}),
        (Options(vocabulary="vocab-a"), {"vocabulary_id": "vocab-a"}),
        (Options(diarize=True), {"diarization_enabled": True}),
        (Options(diarize=True, speakers=3), {"diarization_enabled": True, "speaker_count": 3}),
        (Options(speakers=3), {}),  # only means something where speakers are told apart
        (Options(words=True), {}),  # they always come
    ],
)
def test_the_family_of_fun_asr_gets_a_list_and_no_stars_over_words(
    options: Options, parameters: dict[str, Any]
) -> None:
    assert submit_body(URL, FUN, options) == {
        "model": "fun-asr",
        "input": {"file_urls": [URL]},
        "parameters": {"special_word_filter": MASK, **parameters},
    }


def test_only_qwen_audio_takes_hotwords_inside_the_request() -> None:
    options = Options(hotwords=(Hotword("Qwen"), Hotword("Aliyun", weight=50)))

    body = submit_body(URL, AUDIO31, options)

    assert body["parameters"]["vocabulary"] == {"Qwen": 4, "Aliyun": 50}
    with pytest.raises(RuntimeError, match="takes a vocabulary"):
        submit_body(URL, FUN, options)


@pytest.mark.parametrize(
    ("id", "hinted"),
    [
        ("paraformer-v2", True),
        ("paraformer-8k-v2", False),
        ("paraformer-v1", False),
        ("paraformer-8k-v1", False),
        ("paraformer-mtl-v1", False),
    ],
)
def test_of_paraformer_only_v2_is_told_the_language(id: str, hinted: bool) -> None:  # noqa: A002
    body = submit_body(URL, resolve(id), Options(language="zh"))

    assert ("language_hints" in body["parameters"]) is hinted


@pytest.mark.parametrize("task", [None, "", 5, "../x", "a/b", "C:\\x", "~", "a\0b", "x" * 200])
def test_an_answer_without_a_usable_id_may_have_begun_a_job(task: Any) -> None:
    with pytest.raises(UnexpectedAnswerError) as caught:
        read_submitted(answer({"output": {"task_id": task, "task_status": "PENDING"}}))

    assert caught.value.retry is Retry.AMBIGUOUS


@pytest.mark.parametrize("task", ["../x", "..", "a/b", "", "a?b=c", "x" * 200])
def test_x08_an_id_that_would_lead_elsewhere_is_never_asked_for(task: str) -> None:
    with pytest.raises(UsageError, match="no id of a job"):
        task_path(task)


# --- polls ------------------------------------------------------------------------------------

STATES = {
    "job-pending": JobState.PENDING,
    "job-running": JobState.RUNNING,
    "job-unseen": JobState.UNSEEN,
    "job-done": JobState.SUCCEEDED,
    "job-failed": JobState.FAILED,
    "job-failed-without-reason": JobState.FAILED,
    "job-silent": JobState.SUCCEEDED,
    "job-canceled": JobState.CANCELED,
    "job-unknown": JobState.UNKNOWN,
    "joblist-done": JobState.SUCCEEDED,
    "joblist-part-running": JobState.RUNNING,
    "joblist-failed-part": JobState.FAILED,
    "joblist-failed-both": JobState.FAILED,
    "joblist-failed-whole": JobState.FAILED,
    "joblist-silent": JobState.SUCCEEDED,
    "joblist-silent-whole": JobState.SUCCEEDED,
    "joblist-another-order": JobState.SUCCEEDED,
}
UNREADABLE = {
    "job-done-without-result",
    "job-of-another",
    "job-nothing",
    "joblist-missing",
    "joblist-only-others",
}


def test_every_recorded_poll_is_read() -> None:
    assert set(cases("dashscope", "job*")) == {*STATES, *UNREADABLE}


@pytest.mark.parametrize(("name", "state"), STATES.items())
def test_a_poll_tells_the_state(name: str, state: JobState) -> None:
    status = told(name)

    assert status.state is state
    assert status.request_id == "job-request"
    assert (status.error is not None) is (state is JobState.FAILED)


@pytest.mark.parametrize("name", sorted(UNREADABLE))
def test_a_poll_that_lacks_the_result_is_an_error(name: str) -> None:
    with pytest.raises(UnexpectedAnswerError):
        told(name)


@pytest.mark.parametrize(("name", "seconds"), [("job-done", 612.0), ("joblist-done", 11.0)])
def test_a_job_that_succeeded_has_a_url_to_the_letter_and_what_was_billed(
    name: str, seconds: float
) -> None:
    status = told(name)

    assert status.result_url is not None
    assert status.result_url.endswith("/prod/10%3A15/a.json?Expires=1&Signature=a%2Bb%3D")
    assert status.billed_seconds == seconds
    assert "Signature" not in repr(status)


def test_j04_an_unseen_word_for_the_state_is_kept_and_not_the_end() -> None:
    status = told("job-unseen")

    assert status.said == "SUSPENDED"
    assert not status.state.ended


def test_j13_a_result_is_found_by_its_url_whatever_the_order() -> None:
    status = told("joblist-another-order")

    assert status.result_url is not None
    assert "dashscope-result-x" in status.result_url


@pytest.mark.parametrize(
    "name", ["joblist-failed-part", "joblist-failed-both", "joblist-failed-whole"]
)
def test_a_failed_file_is_told_wherever_the_service_says_it(name: str) -> None:
    error = told(name).error

    assert isinstance(error, InputRefusedError)
    assert (error.code, error.request_id) == ("InvalidFile.DownloadFailed", "job-request")
    assert "cannot be downloaded" in str(error)


def test_a_failure_without_a_reason_says_so() -> None:
    error = told("job-failed-without-reason").error

    assert isinstance(error, RefusedError)
    assert "no reason" in str(error)


def test_j12_a_part_that_succeeded_counts_whatever_is_said_of_the_whole() -> None:
    part = {"file_url": URL, "transcription_url": "https://r.example/a", "subtask_status":
            "SUCCEEDED"}  # fmt: skip
    body = {"output": {"task_id": TASK, "task_status": "FAILED", "results": [part]}}

    status = read_status(answer(body), JOB)

    assert (status.state, status.result_url) == (JobState.SUCCEEDED, "https://r.example/a")


@pytest.mark.parametrize("name", ["job-silent", "joblist-silent", "joblist-silent-whole"])
def test_j15_a_recording_in_which_nobody_speaks_is_no_failure(name: str) -> None:
    status = told(name)

    assert status.no_speech
    assert status.result_url is None


@pytest.mark.parametrize(
    ("code", "kind", "retry"),
    [
        ("FILE_DOWNLOAD_FAILED", InputRefusedError, Retry.TRANSIENT),
        ("FILE_SERVER_ERROR", InputRefusedError, Retry.TRANSIENT),
        ("FILE_404_NOT_FOUND", InputRefusedError, Retry.NEVER),
        ("FILE_403_FORBIDDEN", InputRefusedError, Retry.NEVER),
        ("FILE_TOO_LARGE", InputRefusedError, Retry.NEVER),
        ("AUDIO_DURATION_TOO_LONG", InputRefusedError, Retry.NEVER),
        ("DECODE_ERROR", InputRefusedError, Retry.NEVER),
        ("NO_VALID_AUDIO_ERROR", InputRefusedError, Retry.NEVER),
        ("UNSUPPORTED_FORMAT", InputRefusedError, Retry.NEVER),
        ("FILE_TRANS_TASK_EXPIRED", RefusedError, Retry.NEVER),
        ("InternalError.Timeout", AsrError, Retry.NEVER),
        ("SOMETHING_NEW", RefusedError, Retry.NEVER),
    ],
)
def test_each_code_of_a_failed_job_has_its_kind(
    code: str, kind: type[AsrError], retry: Retry
) -> None:
    body = {"output": {"task_id": TASK, "task_status": "FAILED", "code": code, "message": "no"}}

    error = read_status(answer(body), JOB).error

    assert isinstance(error, kind)
    assert (error.code, error.retry) == (code, retry)


def test_a_job_that_was_found_has_to_name_its_recording() -> None:
    found = replace(JOB, unproven=True)

    assert told("joblist-done", job=found).result_url
    with pytest.raises(UnexpectedAnswerError, match="none of the results"):
        told("joblist-done", job=replace(found, location="https://files.example/z.wav"))
    assert told("job-done", job=found).location == URL
    assert told("job-done").location is None


@pytest.mark.parametrize(
    ("named", "submitted", "same"),
    [
        (URL, URL, True),
        ("https://files.example/a%20b.wav", "https://files.example/a b.wav", True),
        (f"{URL}?Signature=x", f"{URL}?Signature=y", True),
        ("https://files.example/b.wav", URL, False),
        ("https://other.example/a.wav", URL, False),
        ("oss://folder/x/a.wav", "oss://folder/x/a.wav", True),
        ("https://b.oss.aliyuncs.com/folder/x/a.wav?Expires=1", "oss://folder/x/a.wav", True),
        ("https://b.oss.aliyuncs.com/folder/y/a.wav", "oss://folder/x/a.wav", False),
        ("http://[", URL, False),
        (None, URL, False),
    ],
)
def test_the_same_recording_is_known_by_host_and_path(
    named: str | None, submitted: str, same: bool
) -> None:
    assert same_recording(named, submitted) is same


# --- the list ---------------------------------------------------------------------------------


def test_the_list_is_asked_for_in_the_time_of_china_and_a_day_at_most() -> None:
    until = datetime(2026, 11, 2, 20, 0, 5, tzinfo=UTC)

    query = list_query(FUN, since=until - timedelta(days=3), until=until, page=2)

    assert query["start_time"] == "20261102040005"
    assert query["end_time"] == "20261103040005"
    assert (query["model_name"], query["page_no"]) == ("fun-asr", "2")


@pytest.mark.parametrize("key", ["data", "tasks"])
def test_the_list_is_read_under_either_name(key: str) -> None:
    rows = [
        {"task_id": "a", "model_name": "fun-asr", "gmt_create": 1_790_000_000_000},
        {"task_id": "b", "model_name": "paraformer-v2"},
        {"task_id": "../c", "model_name": "fun-asr"},
        {"task_id": "d", "model_name": "fun-asr", "gmt_create": "soon"},
        None,
    ]

    listed, more = read_list(answer({"page_no": 1, "total_page": 2, key: rows}), FUN)

    assert [row.id for row in listed] == ["a", "d"]
    assert listed[0].created == datetime.fromtimestamp(1_790_000_000, UTC)
    assert listed[1].created is None
    assert more


def test_a_list_that_is_none_is_an_error() -> None:
    with pytest.raises(UnexpectedAnswerError, match="list of jobs"):
        read_list(answer({"data": {}}), FUN)
