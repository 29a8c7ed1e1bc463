"""The emulated DashScope: transcription jobs, from the submission to the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.emulators.dashscope import (
    NEVER,
    DashScope,
    FailureReport,
    JobScript,
    Key,
    fetch_from,
)
from tests.emulators.dashscope.calls import (
    ASYNC,
    TRANSCRIPTION,
    Clock,
    client_of,
    code_of,
    poll,
    result_url,
    run_job,
    submit,
)
from tests.emulators.recognizer import Heard, listen
from tests.recordings import damage, encode_as, recording, silence

URL = "https://example.com/a.wav"
OTHER = "https://example.com/b.wav"
FUN, QWEN = "fun-asr", "qwen3-asr-flash-filetrans"
WELCOME = recording("welcome")
LESSON = recording("lesson")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock) -> Iterator[DashScope]:
    emulator = DashScope(clock=clock, fetch=fetch_from({URL: WELCOME.path, OTHER: LESSON.path}))
    yield emulator
    emulator.close()


@pytest.fixture
def client(service: DashScope) -> Iterator[httpx.Client]:
    with client_of(service) as opened:
        yield opened


@pytest.fixture
def keyless(service: DashScope) -> Iterator[httpx.Client]:
    with client_of(service, key=None) as opened:
        yield opened


def started(client: httpx.Client, model: str = FUN, *urls: str) -> str:
    task: str = submit(client, model, *(urls or (URL,))).json()["output"]["task_id"]
    return task


def result_of(
    client: httpx.Client, keyless: httpx.Client, model: str, url: str = URL, **given: Any
) -> Any:
    return keyless.get(result_url(run_job(client, model, url, **given))).json()


# --- submitting -----------------------------------------------------------------------------------


def test_a_job_begins_as_pending(client: httpx.Client) -> None:
    answer = submit(client, FUN, URL)

    output = answer.json()["output"]
    assert output == {"task_id": output["task_id"], "task_status": "PENDING"}
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_submission_without_the_async_header_is_refused(client: httpx.Client) -> None:
    answer = client.post(TRANSCRIPTION, json={"model": FUN, "input": {"file_urls": [URL]}})

    assert code_of(answer) == (403, "AccessDenied")
    assert "does not support synchronous calls" in answer.json()["message"]


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        (FUN, {"file_url": URL}, "input must contain file_urls"),
        (QWEN, {"file_urls": [URL]}, "input must contain file_url"),
        (FUN, {"file_urls": []}, "file_urls must have 1 to 1 entries: 0"),
        (FUN, {"file_urls": [URL, OTHER]}, "file_urls must have 1 to 1 entries: 2"),
        (FUN, {"file_urls": [7]}, "a file URL must be a string"),
        (QWEN, {"file_url": ""}, "a file URL must be a string"),
        (QWEN, {"file_url": URL, "context": "names"}, "input has an unknown field: context"),
    ],
)
def test_the_input_must_be_that_of_the_family(
    client: httpx.Client, model: str, given: dict[str, Any], message: str
) -> None:
    body = {"model": model, "input": given, "parameters": {}}
    answer = client.post(TRANSCRIPTION, json=body, headers=ASYNC)

    assert code_of(answer) == (400, "InvalidParameter")
    assert answer.json()["message"].startswith(message)


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (FUN, {"language": "en"}),
        (FUN, {"language_hints": "en"}),
        (FUN, {"language_hints": ["yue"]}),
        (FUN, {"language_hints": ["fil"]}),
        (FUN, {"enable_words": True}),
        (FUN, {"channel_id": 0}),
        (FUN, {"channel_id": []}),
        (FUN, {"channel_id": [0, 0]}),
        (FUN, {"channel_id": [True]}),
        (FUN, {"diarization_enabled": "true"}),
        (FUN, {"speaker_count": 2}),
        (FUN, {"speaker_count": 1, "diarization_enabled": True}),
        (FUN, {"special_word_filter": {"system_reserved_filter": False}}),
        (FUN, {"special_word_filter": "not JSON"}),
        (FUN, {"special_word_filter": '{"filter_with_signed": ["word"]}'}),
        (FUN, {"vocabulary": {"word": 4}}),
        (FUN, {"disfluency_removal_enabled": True}),
        ("qwen-audio-3.1-asr-flash-filetrans", {"language_hints": ["en", "de", "fr", "it", "es"]}),
        (QWEN, {"language_hints": ["en"]}),
        (QWEN, {"language": "tl"}),
        (QWEN, {"language": ["en"]}),
        (QWEN, {"vocabulary_id": "vocab-x"}),
        (QWEN, {"corpus": {"text": "names"}}),
        (QWEN, {"diarization_enabled": True}),
        (QWEN, {"enable_itn": None}),
    ],
    ids=str,
)
def test_parameters_that_a_family_does_not_have_are_refused(
    client: httpx.Client, model: str, given: dict[str, Any]
) -> None:
    assert code_of(submit(client, model, URL, **given)) == (400, "InvalidParameter")


def test_paraformer_is_found_in_beijing_alone(client: httpx.Client) -> None:
    service = DashScope(keys=[Key(region="cn-beijing")])
    with client_of(service, base="https://dashscope.aliyuncs.com") as beijing:
        there = submit(beijing, "paraformer-v2", URL, disfluency_removal_enabled=True)
    here = submit(client, "paraformer-v2", URL)

    assert there.status_code == 200
    assert code_of(here) == (404, "ModelNotFound")


@pytest.mark.parametrize("model", ["fun-asr-flash-2026-06-15", "fun-asr-realtime"])
def test_a_model_of_another_path_is_answered_with_the_misleading_error(
    client: httpx.Client, model: str
) -> None:
    answer = submit(client, model, URL)

    assert code_of(answer) == (400, "InvalidParameter")
    assert answer.json()["message"] == "url error, please check url！"


def test_a_vocabulary_that_does_not_exist_is_refused(client: httpx.Client) -> None:
    answer = submit(client, FUN, URL, vocabulary_id="vocab-none")

    assert code_of(answer) == (416, "BadRequest.ResourceNotExist")


def test_on_a_dedicated_host_a_job_without_parameters_is_taken_and_fails(
    service: DashScope,
) -> None:
    service.keys.add(Key(workspace="ws-1"))
    body = {"model": QWEN, "input": {"file_url": URL}}
    with client_of(service, base="https://ws-1.ap-southeast-1.maas.aliyuncs.com") as client:
        task = client.post(TRANSCRIPTION, json=body, headers=ASYNC).json()["output"]["task_id"]
        answers = [poll(client, task) for _ in range(3)]

    assert answers[-1]["output"]["task_status"] == "FAILED"


# --- the course of a job --------------------------------------------------------------------------


def test_a_job_goes_from_pending_over_running_to_its_end(client: httpx.Client) -> None:
    task = started(client)
    outputs = [poll(client, task)["output"] for _ in range(3)]

    assert [o["task_status"] for o in outputs] == ["PENDING", "RUNNING", "SUCCEEDED"]
    running = {"task_id", "task_status", "submit_time", "scheduled_time", "task_metrics"}
    assert [set(o) for o in outputs] == [
        {"task_id", "task_status"},
        running,
        running | {"end_time", "results"},
    ]
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
    assert re.fullmatch(stamp, outputs[2]["end_time"])
    assert outputs[2]["task_metrics"] == {"TOTAL": 1, "SUCCEEDED": 1, "FAILED": 0}


def test_a_job_can_go_by_its_age(service: DashScope, client: httpx.Client, clock: Clock) -> None:
    service.jobs.script = JobScript(pending_seconds=5, running_seconds=10)
    task = started(client)
    states = []
    for seconds in (0, 4, 1, 9, 1):
        clock.forward(seconds)
        states.append(poll(client, task)["output"]["task_status"])

    assert states == ["PENDING", "PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]


def test_scripts_are_for_one_job_each(service: DashScope, client: httpx.Client) -> None:
    service.jobs.scripts.append(JobScript(ending="FAILED", code="X", message="y"))
    failed, done = run_job(client, QWEN, URL), run_job(client, QWEN, URL)

    output = failed["output"]
    assert (output["task_status"], output["code"], output["message"]) == ("FAILED", "X", "y")
    assert done["output"]["task_status"] == "SUCCEEDED"


@pytest.mark.parametrize("ending", ["CANCELED", "UNKNOWN"])
def test_a_job_can_end_otherwise(service: DashScope, client: httpx.Client, ending: str) -> None:
    service.jobs.script = JobScript(ending=ending)

    assert run_job(client, FUN, URL)["output"]["task_status"] == ending


def test_a_job_can_run_for_ever_under_a_new_word(service: DashScope, client: httpx.Client) -> None:
    service.jobs.script = JobScript(running_polls=NEVER, running_as="QUEUED_AGAIN")
    task = started(client)
    states = [poll(client, task)["output"]["task_status"] for _ in range(20)]

    assert states == ["PENDING"] + ["QUEUED_AGAIN"] * 19


def test_a_job_can_be_lost_at_first(service: DashScope, client: httpx.Client) -> None:
    service.jobs.script = JobScript(lost_polls=1)
    task = started(client)
    answers = [client.get(f"/api/v1/tasks/{task}") for _ in range(2)]

    assert code_of(answers[0]) == (404, "NotFound")
    assert answers[1].json()["output"]["task_status"] == "PENDING"


def test_polls_may_be_posts_and_carry_the_async_header(client: httpx.Client) -> None:
    task = started(client)

    assert client.post(f"/api/v1/tasks/{task}", headers=ASYNC).status_code == 200
    assert client.get(f"/api/v1/tasks/{task}", headers=ASYNC).status_code == 200


def unknown(answer: dict[str, Any], task: str) -> bool:
    return bool(answer["output"] == {"task_id": task, "task_status": "UNKNOWN"})


def test_a_job_is_unknown_to_others_and_after_a_day(
    service: DashScope, client: httpx.Client, clock: Clock
) -> None:
    service.keys.add(Key(value="sk-second", account="account-2"))
    task = started(client)
    with client_of(service, key="sk-second") as other:
        assert unknown(poll(other, task), task)
    clock.forward(24 * 3600)
    assert not unknown(poll(client, task), task)
    clock.forward(1)
    assert unknown(poll(client, task), task)
    assert unknown(poll(client, "no-such-task"), "no-such-task")


def test_a_pending_job_can_be_canceled(client: httpx.Client) -> None:
    task = started(client)
    poll(client, task)
    answer = client.post(f"/api/v1/tasks/{task}/cancel")

    assert answer.json() == {"request_id": answer.headers["x-request-id"]}
    assert poll(client, task)["output"]["task_status"] == "CANCELED"


def test_a_running_job_cannot_be_canceled(client: httpx.Client) -> None:
    task = started(client)
    poll(client, task)
    poll(client, task)

    answer = client.post(f"/api/v1/tasks/{task}/cancel")

    assert code_of(answer) == (400, "UnsupportedOperation")
    assert "PENDING" in answer.json()["message"]


# --- failures of files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (404, "FILE_404_NOT_FOUND"),
        (403, "FILE_403_FORBIDDEN"),
        (502, "FILE_SERVER_ERROR"),
        (b"no audio", "DECODE_ERROR"),
        (httpx.Response(200, headers={"content-length": "2147483649"}), "FILE_TOO_LARGE"),
    ],
)
@pytest.mark.parametrize("model", [FUN, QWEN])
def test_what_the_url_holds_is_told_in_the_answer_to_a_poll(
    service: DashScope, client: httpx.Client, model: str, found: Any, code: str
) -> None:
    service.sources.fetch = fetch_from({URL: found})

    output = run_job(client, model, URL)["output"]

    told = output if model == QWEN else output["results"][0]
    assert told["code"] == code
    assert output["task_status"] == ("FAILED" if model == QWEN else "SUCCEEDED")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://nowhere.example.com/a.wav", "FILE_DOWNLOAD_FAILED"),
        ("https://example.com/a b.wav", "InvalidFile.DownloadFailed"),
        ("https://example.com/语.wav", "InvalidFile.DownloadFailed"),
        ("data:audio/wav;base64,UklGRg==", "REQUEST_INVALID_FILE_URL_VALUE"),
        ("oss://dashscope-instant/none/a.wav", "FILE_404_NOT_FOUND"),
    ],
)
def test_a_url_that_leads_nowhere_fails_the_job(client: httpx.Client, url: str, code: str) -> None:
    assert run_job(client, QWEN, url)["output"]["code"] == code


@pytest.mark.parametrize(
    ("report", "status", "in_task", "in_results"),
    [
        (FailureReport.SUBTASK, "SUCCEEDED", False, True),
        (FailureReport.TASK_AND_SUBTASK, "FAILED", False, True),
        (FailureReport.TASK, "FAILED", True, False),
    ],
)
def test_a_single_failure_is_reported_in_each_of_the_ways_that_are_seen(
    service: DashScope,
    client: httpx.Client,
    report: FailureReport,
    status: str,
    in_task: bool,
    in_results: bool,
) -> None:
    service.jobs.script = JobScript(failing={0: ("DECODE_ERROR", "broken")}, report=report)

    output = run_job(client, FUN, URL)["output"]

    assert output["task_status"] == status
    assert ("code" in output) == in_task
    assert [r["code"] for r in output.get("results", [])] == ["DECODE_ERROR"] * in_results


def test_one_of_several_files_can_fail(service: DashScope, client: httpx.Client) -> None:
    service.switches.several_urls = True
    service.jobs.script = JobScript(failing={1: ("FILE_404_NOT_FOUND", "gone")})

    output = run_job(client, FUN, URL, OTHER)["output"]

    assert output["task_metrics"] == {"TOTAL": 2, "SUCCEEDED": 1, "FAILED": 1}
    states = [(r["file_url"], r["subtask_status"]) for r in output["results"]]
    assert states == [(URL, "SUCCEEDED"), (OTHER, "FAILED")]


def test_results_can_come_in_another_order_and_be_left_out(
    service: DashScope, client: httpx.Client
) -> None:
    service.switches.several_urls = True
    service.jobs.scripts.append(JobScript(reversed_results=True))
    service.jobs.scripts.append(JobScript(left_out_results=1))

    listed = [
        [r["file_url"] for r in run_job(client, FUN, URL, OTHER)["output"]["results"]]
        for _ in range(2)
    ]

    assert listed == [[OTHER, URL], [OTHER]]


def test_silence_is_a_failed_subtask_of_fun_asr(
    service: DashScope, client: httpx.Client, tmp_path: Path
) -> None:
    service.sources.fetch = fetch_from({URL: silence(2, tmp_path / "quiet.wav")})

    output = run_job(client, FUN, URL)["output"]

    assert output["results"][0]["code"] == "SUCCESS_WITH_NO_VALID_FRAGMENT"


def test_silence_is_an_empty_transcript_of_qwen(
    service: DashScope, client: httpx.Client, keyless: httpx.Client, tmp_path: Path
) -> None:
    service.sources.fetch = fetch_from({URL: silence(2, tmp_path / "quiet.wav")})

    body = result_of(client, keyless, QWEN)

    assert body["transcripts"] == [{"channel_id": 0, "text": "", "sentences": []}]


def test_aiff_is_not_for_fun_asr(service: DashScope, client: httpx.Client, tmp_path: Path) -> None:
    service.sources.fetch = fetch_from({URL: encode_as(WELCOME.path, "aiff", tmp_path)})

    fun, qwen = run_job(client, FUN, URL), run_job(client, QWEN, URL)

    assert fun["output"]["results"][0]["code"] == "UNSUPPORTED_FORMAT"
    assert qwen["output"]["task_status"] == "SUCCEEDED"


def test_more_than_twelve_hours_are_too_long() -> None:
    def listen_long(source: Any, *, channel: int | None = None) -> Heard:
        return replace(listen(source, channel=channel), duration=12 * 3600 + 1.0)

    service = DashScope(fetch=fetch_from({URL: WELCOME.path}), listen=listen_long)
    with client_of(service) as patient:
        output = run_job(patient, QWEN, URL)["output"]

    assert output["code"] == "AUDIO_DURATION_TOO_LONG"


# --- lists ----------------------------------------------------------------------------------------


def test_jobs_are_listed_newest_first_page_by_page(client: httpx.Client, clock: Clock) -> None:
    tasks = []
    for _ in range(3):
        tasks.append(started(client))
        clock.forward(1)

    answer = client.get("/api/v1/tasks/", params={"page_no": 2, "page_size": 2}).json()

    assert {k: answer[k] for k in ("page_no", "page_size", "total", "total_page")} == {
        "page_no": 2,
        "page_size": 2,
        "total": 3,
        "total_page": 2,
    }
    assert [row["task_id"] for row in answer["data"]] == tasks[:1]


def test_a_list_is_filtered_by_time_model_and_status(client: httpx.Client, clock: Clock) -> None:
    fun = started(client)
    clock.forward(60)
    qwen = started(client, QWEN)
    client.post(f"/api/v1/tasks/{qwen}/cancel")

    def listed(**query: str) -> list[str]:
        rows = client.get("/api/v1/tasks/", params=query).json()["data"]
        return [row["task_id"] for row in rows]

    # The clock stands at 2026-11-02 14:13:20 of China's time when it begins.
    assert listed(model_name=FUN) == [fun]
    assert listed(status="CANCELED") == [qwen]
    assert listed(task_id=fun) == [fun]
    assert listed(start_time="20261102141400", end_time="20261102150000") == [qwen]
    assert listed(start_time="20261102141320", end_time="20261102141320") == [fun]


@pytest.mark.parametrize(
    "query",
    [
        {"start_time": "2026-11-02 00:00"},
        {"start_time": "20261101000000", "end_time": "20261102000001"},
        {"page_size": "0"},
        {"page_no": "one"},
        {"sort": "asc"},
    ],
)
def test_a_list_with_a_wrong_query_is_refused(client: httpx.Client, query: dict[str, str]) -> None:
    assert code_of(client.get("/api/v1/tasks/", params=query)) == (400, "InvalidParameter")


def test_a_list_can_stand_under_tasks(service: DashScope, client: httpx.Client) -> None:
    service.switches.list_key = "tasks"
    task = started(client)

    answer = client.get("/api/v1/tasks/").json()

    assert [row["task_id"] for row in answer["tasks"]] == [task]
    assert "data" not in answer


# --- money ----------------------------------------------------------------------------------------


def test_a_job_that_nobody_polled_is_charged_and_a_canceled_one_is_not(
    service: DashScope, client: httpx.Client
) -> None:
    started(client)
    run_job(client, FUN, URL)
    task = started(client)
    client.post(f"/api/v1/tasks/{task}/cancel")

    assert service.billed(WELCOME.path) == 2
    assert service.ledger.submits == {URL: 3}


def test_a_failed_file_is_not_charged(
    service: DashScope, client: httpx.Client, tmp_path: Path
) -> None:
    broken = damage(WELCOME.path, "text", tmp_path)
    service.sources.fetch = fetch_from({URL: broken})
    run_job(client, QWEN, URL)

    assert service.billed(broken) == 0
