"""Jobs of Qwen Cloud, from submit to transcript, in front of the emulated service."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from asrcli.errors import (
    AsrError,
    ConfigurationError,
    InputRefusedError,
    KeyRefusedError,
    ModelRefusedError,
    NetworkError,
    RateLimitedError,
    RefusedError,
    Retry,
    ServiceError,
    UnexpectedAnswerError,
    UsageError,
)
from asrcli.providers.base import (
    Feature,
    Hotword,
    Job,
    JobProvider,
    JobState,
    JobStatus,
    Model,
    Options,
    Reference,
)
from asrcli.providers.catalogue import models, resolve
from asrcli.providers.qwen.failures import RESULT_EXPIRED
from asrcli.providers.qwen.hosts import Hosts
from asrcli.providers.qwen.job_calls import MOST_RESULT
from asrcli.providers.qwen.provider import JOBS, Qwen
from asrcli.secret import Secret
from asrcli.transcript import Transcript
from asrcli.transport.connection import Connection
from tests.emulators.dashscope import faults
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.hosts import KEY, Key
from tests.emulators.dashscope.scripts import NEVER, FailureReport, JobScript
from tests.emulators.dashscope.sources import fetch_from
from tests.emulators.server import serve
from tests.emulators.service import Received
from tests.emulators.troubles import After, Drop
from tests.providers.calling import INTL, Time, audio_of
from tests.recordings import concatenate, recording, side_by_side, silence

SUBMIT = "/api/v1/services/audio/asr/transcription"
RESULTS = "https://dashscope-result-emu.oss-ap-southeast-1.aliyuncs.com"
WELCOME, LESSON = recording("welcome"), recording("lesson")
URL = "https://files.example/talks/welcome.wav"
OTHER = "https://files.example/talks/lesson.wav"
QUIET = "https://files.example/quiet.wav"
PAIR = "https://files.example/pair.wav"
TALK = "https://files.example/talk.wav"
GONE = "https://files.example/gone.wav"
START = 1_793_600_000.0
QWEN, FUN = "qwen3-asr-flash-filetrans", "fun-asr"
PLAIN = Options()
BOTH = pytest.mark.parametrize("name", [QWEN, FUN])


@pytest.fixture
def time() -> Time:
    return Time(START)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    quiet, pair, talk = (tmp_path / f"{name}.wav" for name in ("quiet", "pair", "talk"))
    silence(3.0, quiet)
    side_by_side([WELCOME.path, LESSON.path], pair)
    concatenate([WELCOME.path, LESSON.path], talk)
    return {URL: WELCOME.path, OTHER: LESSON.path, QUIET: quiet, PAIR: pair, TALK: talk}


@pytest.fixture
def service(time: Time, files: dict[str, Any]) -> Iterator[DashScope]:
    service = DashScope(clock=time.clock, fetch=fetch_from(files))
    yield service
    service.close()


@pytest.fixture
def provider(service: DashScope, time: Time) -> Qwen:
    return qwen_at(service, time)


def qwen_at(
    service: Any, time: Time, *, key: str = KEY, hosts: Hosts = INTL, ahead: float = 0.0
) -> Qwen:
    return Qwen(
        Secret(key),
        hosts,
        Connection(environ={}),
        retrier=time.retrier(),
        key_place="DASHSCOPE_API_KEY",
        transport=httpx.MockTransport(service),
        now=lambda: datetime.fromtimestamp(time.now + ahead, UTC),
    )


def at(url: str) -> Reference:
    return Reference(None, url)


def since(time: Time) -> datetime:
    return datetime.fromtimestamp(time.now, UTC)


def finished(provider: Qwen, job: Job, model: Model, *, most: int = 9) -> JobStatus:
    polls = (provider.poll(job, model) for _ in range(most))
    return next(status for status in polls if status.state.ended)


def run(provider: Qwen, url: str, model: Model, options: Options = PLAIN) -> Transcript:
    job = provider.submit(at(url), model, options)
    return provider.fetch(finished(provider, job, model), model, options)


def submits(service: DashScope) -> list[Received]:
    return service.requests.to("POST", SUBMIT)


def fetches(service: DashScope) -> list[Received]:
    return [r for r in service.requests if "oss-ap-southeast-1" in r.url.host]


# --- from submit to transcript --------------------------------------------------------------------


def test_qwen_is_a_provider_of_jobs(provider: Qwen) -> None:
    jobs: JobProvider = provider

    assert jobs.name == "qwen"


@pytest.mark.parametrize(
    "id", [m.id for m in models() if m.provider == "qwen" and m.api in JOBS]
)  # fmt: skip
def test_every_model_of_jobs_gives_a_timed_transcript(
    id: str,  # noqa: A002 - as the field
    time: Time,
    files: dict[str, Any],
) -> None:
    model = resolve(id)
    region = "cn-beijing" if model.regions == ("cn",) else "ap-southeast-1"
    service = DashScope(
        keys=[Key(region=region)], region=region, clock=time.clock, fetch=fetch_from(files)
    )
    root = "https://dashscope.aliyuncs.com" if region == "cn-beijing" else INTL.native[:-7]
    provider = qwen_at(service, time, hosts=Hosts(f"{root}/api/v1", f"{root}/compatible-mode/v1"))

    transcript = run(provider, URL, model, Options(words=Feature.WORDS in model.features))

    assert transcript.text == WELCOME.text
    assert transcript.timed
    assert all(segment.words for segment in transcript.segments)
    assert transcript.billed_seconds is not None
    assert len(transcript.request_ids) == 1
    assert service.billed(WELCOME.path) == 1
    service.close()


@BOTH
def test_an_uploaded_file_is_resolved_by_the_service(
    provider: Qwen, service: DashScope, name: str
) -> None:
    model = resolve(name)
    reference = provider.upload(audio_of(WELCOME), model)
    job = provider.submit(reference, model, PLAIN)

    transcript = provider.fetch(finished(provider, job, model), model, PLAIN)

    assert transcript.text == WELCOME.text
    (call,) = submits(service)
    assert call.headers["x-dashscope-async"] == "enable"
    assert call.headers["x-dashscope-ossresourceresolve"] == "enable"


def test_a_url_is_encoded_once_and_needs_no_resolving(provider: Qwen, service: DashScope) -> None:
    model = resolve(QWEN)

    job = provider.submit(at("https://files.example/ä b%20c.wav?Sig=a%2Bb"), model, PLAIN)

    (call,) = submits(service)
    sent = "https://files.example/%C3%A4%20b%20c.wav?Sig=a%2Bb"
    assert call.json["input"]["file_url"] == sent == job.location
    assert "x-dashscope-ossresourceresolve" not in call.headers
    assert "Sig" not in repr(job)


def test_a_job_knows_where_it_was_submitted(provider: Qwen, service: DashScope) -> None:
    job = provider.submit(at(URL), resolve(FUN), PLAIN)

    assert (job.id, job.model, job.host) == (service.jobs.all[0].id, FUN, INTL.native)
    assert job.provider == "qwen"
    assert not job.unproven


def test_qwen3_tells_language_and_emotion_and_counts_whole_seconds(provider: Qwen) -> None:
    transcript = run(provider, URL, resolve(QWEN), Options(language="en", emotion=True))

    assert (transcript.language, transcript.segments[0].emotion) == ("en", "neutral")
    assert transcript.billed_seconds == int(WELCOME.seconds)


def test_speakers_are_told_apart(provider: Qwen, service: DashScope) -> None:
    options = Options(diarize=True, speakers=2)

    transcript = run(provider, TALK, resolve(FUN), options)

    assert {segment.speaker for segment in transcript.segments} == {"0", "1"}
    parameters = submits(service)[0].json["parameters"]
    assert (parameters["diarization_enabled"], parameters["speaker_count"]) == (True, 2)


@BOTH
def test_channels_come_apart(provider: Qwen, name: str) -> None:
    transcript = run(provider, PAIR, resolve(name), Options(channels=(0, 1)))

    by_channel = {
        channel: " ".join(s.text for s in transcript.segments if s.channel == channel)
        for channel in (0, 1)
    }
    assert by_channel == {0: WELCOME.text, 1: LESSON.text}
    assert transcript.warnings == ()


def test_no_stars_stand_where_a_word_was_said(provider: Qwen, service: DashScope) -> None:
    word = WELCOME.words[0].text.strip(".,!?").lower()
    service.switches.reserved_words = {word}

    assert "*" not in run(provider, URL, resolve(FUN)).text


def test_hotwords_inside_the_request_reach_the_models_that_take_them(
    provider: Qwen, service: DashScope
) -> None:
    options = Options(hotwords=(Hotword("Zürich", weight=5),), language="en")

    run(provider, URL, resolve("qwen-audio-3.1-asr-flash-filetrans"), options)

    parameters = submits(service)[0].json["parameters"]
    assert parameters["vocabulary"] == {"Zürich": 5}
    assert parameters["language_hints"] == ["en"]


def test_a_job_on_a_dedicated_host_has_parameters_even_without_options(
    provider: Qwen, service: DashScope
) -> None:
    service.switches.dedicated = True

    assert run(provider, URL, resolve(QWEN)).text == WELCOME.text
    assert submits(service)[0].json["parameters"] == {}


@BOTH
def test_j15_silence_is_an_empty_transcript(provider: Qwen, name: str) -> None:
    transcript = run(provider, QUIET, resolve(name))

    assert transcript.segments == ()
    assert transcript.request_ids


def test_a_model_of_jobs_is_not_transcribed_at_once(provider: Qwen, service: DashScope) -> None:
    with pytest.raises(RuntimeError, match="works by jobs"):
        provider.transcribe(audio_of(WELCOME), resolve(FUN), PLAIN)

    assert list(service.requests) == []


# --- submit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [
        After(Drop("reset")),
        faults.gateway_timeout(),
        faults.internal_error(),
        faults.html(200),
        faults.html(502),
    ],
    ids=["reset", "gateway", "internal", "page", "bad-gateway"],
)
def test_j07_a_submit_whose_answer_is_lost_is_sent_once_and_said_to_be_unclear(
    provider: Qwen, service: DashScope, lost: Any
) -> None:
    service.failures.append(lost)

    with pytest.raises(AsrError) as caught:
        provider.submit(at(URL), resolve(FUN), PLAIN)

    assert caught.value.retry is Retry.AMBIGUOUS
    assert len(submits(service)) == 1


def test_an_answer_without_an_id_is_unclear(provider: Qwen, service: DashScope) -> None:
    service.failures.append(faults.with_body(service, lambda body: body["output"].pop("task_id")))

    with pytest.raises(AsrError) as caught:
        provider.submit(at(URL), resolve(FUN), PLAIN)

    assert caught.value.retry is Retry.AMBIGUOUS
    assert len(service.jobs.all) == 1


@pytest.mark.parametrize(
    "busy", [faults.rate_quota(retry_after="2"), faults.service_unavailable()], ids=["429", "503"]
)
def test_a_submit_that_was_surely_not_taken_is_sent_again(
    provider: Qwen, service: DashScope, busy: Any
) -> None:
    service.failures.append(busy)

    provider.submit(at(URL), resolve(FUN), PLAIN)

    assert (len(submits(service)), len(service.jobs.all)) == (2, 1)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.model_not_found(), ModelRefusedError),
        (faults.invalid_key(), KeyRefusedError),
        (faults.quota_used_up(), AsrError),
        (faults.failed_in_ok("DataInspectionFailed", "no"), RefusedError),
    ],
)
def test_a_submit_that_is_refused_is_over(
    provider: Qwen, service: DashScope, fault: Any, kind: type[AsrError]
) -> None:
    service.failures.append(fault)

    with pytest.raises(kind) as caught:
        provider.submit(at(URL), resolve(FUN), PLAIN)

    assert caught.value.retry is Retry.NEVER
    assert len(submits(service)) == 1


# --- polls ----------------------------------------------------------------------------------------


@BOTH
def test_a_job_is_pending_then_running_then_done(provider: Qwen, name: str) -> None:
    model = resolve(name)
    job = provider.submit(at(URL), model, PLAIN)

    states = [provider.poll(job, model).state for _ in range(3)]

    assert states == [JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED]


def test_j04_a_word_that_nobody_has_seen_is_not_the_end(provider: Qwen, service: DashScope) -> None:
    service.jobs.script = JobScript(running_as="SUSPENDED")
    model = resolve(FUN)
    job = provider.submit(at(URL), model, PLAIN)

    told = [provider.poll(job, model) for _ in range(3)]

    assert [(s.state, s.said) for s in told[1:]] == [
        (JobState.UNSEEN, "SUSPENDED"),
        (JobState.SUCCEEDED, "SUCCEEDED"),
    ]


def test_j05_a_job_that_is_not_there_yet_is_unknown_as_one_that_has_gone(
    provider: Qwen, service: DashScope, time: Time
) -> None:
    service.jobs.script = JobScript(lost_polls=1)
    model = resolve(FUN)
    job = provider.submit(at(URL), model, PLAIN)

    early, there = provider.poll(job, model), provider.poll(job, model)
    time.now += 25 * 3600
    late = provider.poll(job, model)

    assert (early.state, early.said) == (JobState.UNKNOWN, "NotFound")
    assert there.state is JobState.PENDING
    assert (late.state, late.said) == (JobState.UNKNOWN, "UNKNOWN")


@pytest.mark.parametrize("report", list(FailureReport))
def test_a_file_that_cannot_be_reached_fails_the_job(
    provider: Qwen, service: DashScope, report: FailureReport
) -> None:
    service.jobs.script = JobScript(report=report)
    model = resolve(FUN)
    job = provider.submit(at(GONE), model, PLAIN)

    status = finished(provider, job, model)

    assert status.state is JobState.FAILED
    assert isinstance(status.error, InputRefusedError)
    assert status.error.code == "FILE_DOWNLOAD_FAILED"
    assert status.error.request_id == status.request_id


@BOTH
def test_j03_a_job_that_fails_tells_code_and_request(
    provider: Qwen, service: DashScope, name: str
) -> None:
    service.jobs.script = JobScript(ending="FAILED", code="InternalError", message="broken")
    model = resolve(name)

    status = finished(provider, provider.submit(at(URL), model, PLAIN), model)

    assert isinstance(status.error, ServiceError)
    assert (status.error.code, status.error.request_id) == ("InternalError", status.request_id)


def test_j13_a_result_that_is_missing_is_an_error(provider: Qwen, service: DashScope) -> None:
    service.jobs.script = JobScript(left_out_results=1)
    model = resolve(FUN)
    job = provider.submit(at(URL), model, PLAIN)

    with pytest.raises(UnexpectedAnswerError, match="names no result"):
        finished(provider, job, model)


def test_j06_polling_survives_a_burst_of_failures_and_submits_nothing(
    provider: Qwen, service: DashScope
) -> None:
    model = resolve(FUN)
    job = provider.submit(at(URL), model, PLAIN)
    service.failures.append(faults.rate_quota(retry_after="1"))
    service.failures.append(faults.internal_error())
    service.failures.append(Drop("reset"))

    assert provider.poll(job, model).state is JobState.PENDING
    assert len(submits(service)) == 1


def test_a_poll_that_stays_limited_is_an_error_to_come_back_from(
    provider: Qwen, service: DashScope
) -> None:
    model = resolve(FUN)
    job = provider.submit(at(URL), model, PLAIN)
    service.failures.add(faults.rate_quota(), times=math.inf)

    with pytest.raises(RateLimitedError) as caught:
        provider.poll(job, model)

    assert caught.value.retryable


def test_a_job_of_another_host_is_not_asked_for(provider: Qwen, service: DashScope) -> None:
    model = resolve(FUN)
    job = replace(provider.submit(at(URL), model, PLAIN), host="https://other.example/api/v1")

    with pytest.raises(ConfigurationError, match=r"other\.example"):
        provider.poll(job, model)
    with pytest.raises(ConfigurationError, match=r"other\.example"):
        provider.cancel(job)

    assert len(service.requests) == 1


def test_a_job_is_known_by_the_name_of_its_host_too(provider: Qwen) -> None:
    model = resolve(FUN)
    job = replace(provider.submit(at(URL), model, PLAIN), host="dashscope-intl.aliyuncs.com")

    assert provider.poll(job, model).state is JobState.PENDING


def test_x08_an_id_from_a_journal_leads_nowhere_else(provider: Qwen, service: DashScope) -> None:
    job = Job("../../x", "qwen", FUN, INTL.native)

    with pytest.raises(UsageError, match="no id of a job"):
        provider.poll(job, resolve(FUN))

    assert list(service.requests) == []


# --- results --------------------------------------------------------------------------------------


@BOTH
def test_j11_a_result_is_fetched_from_its_host_without_the_key(
    provider: Qwen, service: DashScope, name: str
) -> None:
    run(provider, URL, resolve(name))

    (call,) = fetches(service)
    assert call.url.host == "dashscope-result-emu.oss-ap-southeast-1.aliyuncs.com"
    assert not {"authorization", "cookie"} & set(call.headers)
    assert KEY not in str(call.headers) + str(call.url)


def test_x10_a_result_by_plain_http_is_fetched_by_https(provider: Qwen, service: DashScope) -> None:
    service.switches.results_by_http = True

    assert run(provider, URL, resolve(FUN)).text == WELCOME.text
    assert {call.url.scheme for call in fetches(service)} == {"https"}


@pytest.mark.parametrize(
    "base",
    [
        "http://dashscope-result-emu.oss-ap-southeast-1.aliyuncs.com:8080",
        "file:///etc",
        "ftp://files.example",
        "http://127.0.0.1",
        "https://127.0.0.1",
        "https://localhost",
        "https://169.254.169.254",
        "https://10.0.0.1",
        "https://[::1]",
        "https://user:word@files.example",
    ],
)
def test_x10_a_result_at_a_place_that_no_result_is_at_is_not_fetched(
    provider: Qwen, service: DashScope, base: str
) -> None:
    service.jobs.script = JobScript(result_base=base)
    model = resolve(FUN)
    status = finished(provider, provider.submit(at(URL), model, PLAIN), model)
    before = len(service.requests)

    with pytest.raises(UnexpectedAnswerError):
        provider.fetch(status, model, PLAIN)

    assert len(service.requests) == before


def test_x10_a_service_on_this_computer_may_name_results_on_this_computer(
    service: DashScope, time: Time
) -> None:
    root = "http://127.0.0.1:8000"
    provider = qwen_at(service, time, hosts=Hosts(f"{root}/api/v1", f"{root}/compatible-mode/v1"))

    assert run(provider, URL, resolve(FUN)).text == WELCOME.text


def test_all_of_it_works_over_real_connections(service: DashScope, time: Time) -> None:
    with serve(service) as server:
        hosts = Hosts(f"{server.url}/api/v1", f"{server.url}/compatible-mode/v1")
        provider = Qwen(Secret(KEY), hosts, Connection(environ={}), retrier=time.retrier())
        model = resolve(FUN)
        job = provider.submit(provider.upload(audio_of(WELCOME), model), model, PLAIN)

        transcript = provider.fetch(finished(provider, job, model), model, PLAIN)
        provider.close()

    assert transcript.text == WELCOME.text
    fetched = [r for r in service.requests if "/oss-result/" in r.path]
    assert ["authorization" in r.headers for r in fetched] == [False]


def test_x10_a_redirect_from_a_result_to_a_private_network_is_not_followed(
    provider: Qwen, service: DashScope
) -> None:
    model = resolve(FUN)
    status = finished(provider, provider.submit(at(URL), model, PLAIN), model)
    moved = httpx.Response(302, headers={"location": "https://169.254.169.254/x"})
    service.failures.append(lambda _: moved)

    with pytest.raises(UnexpectedAnswerError, match="private"):
        provider.fetch(status, model, PLAIN)


def test_j14_a_result_that_was_cut_is_fetched_again_and_nothing_is_submitted(
    provider: Qwen, service: DashScope
) -> None:
    service.jobs.script = JobScript(cut_results=1)

    assert run(provider, URL, resolve(FUN)).text == WELCOME.text
    assert (len(submits(service)), len(fetches(service))) == (1, 2)


def test_j14_a_result_that_stays_cut_is_an_error(provider: Qwen, service: DashScope) -> None:
    service.jobs.script = JobScript(cut_results=9)

    with pytest.raises(UnexpectedAnswerError, match="no JSON"):
        run(provider, URL, resolve(FUN))

    assert len(fetches(service)) == 2


def test_j10_a_result_that_expired_says_so_and_the_job_gives_another_url(
    provider: Qwen, service: DashScope
) -> None:
    service.jobs.script = JobScript(expired_results=1)
    model = resolve(FUN)
    job = provider.submit(at(URL), model, PLAIN)

    with pytest.raises(RefusedError) as caught:
        provider.fetch(finished(provider, job, model), model, PLAIN)
    transcript = provider.fetch(finished(provider, job, model), model, PLAIN)

    assert (caught.value.code, caught.value.http_status) == (RESULT_EXPIRED, 403)
    assert "expired" in str(caught.value)
    assert "clock" not in str(caught.value)
    assert transcript.text == WELCOME.text


@pytest.mark.parametrize(
    ("ahead", "told"), [(7200.0, "2 h 00 min ahead of"), (-600.0, "10 min behind")]
)
def test_s24_a_signature_that_a_wrong_clock_spoils_is_told_as_that(
    service: DashScope, time: Time, ahead: float, told: str
) -> None:
    provider = qwen_at(service, time, ahead=ahead)
    model = resolve(FUN)
    status = finished(provider, provider.submit(at(URL), model, PLAIN), model)
    date = format_datetime(datetime.fromtimestamp(START, UTC), usegmt=True)
    service.failures.append(
        faults.store_error(403, "AccessDenied", "Request has expired.", headers={"date": date})
    )

    with pytest.raises(RefusedError, match=f"clock is {told}"):
        provider.fetch(status, model, PLAIN)


def test_a_result_that_is_longer_than_any_can_be_is_refused(
    provider: Qwen, service: DashScope
) -> None:
    model = resolve(FUN)
    status = finished(provider, provider.submit(at(URL), model, PLAIN), model)
    length = {"content-length": str(MOST_RESULT + 1)}
    service.failures.append(lambda _: httpx.Response(200, headers=length, content=b"{}"))

    with pytest.raises(UnexpectedAnswerError, match="too large"):
        provider.fetch(status, model, PLAIN)


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.FAILED, JobState.UNKNOWN])
def test_nothing_is_fetched_of_a_job_without_a_result(provider: Qwen, state: JobState) -> None:
    with pytest.raises(RuntimeError, match="no result"):
        provider.fetch(JobStatus(state), resolve(FUN), PLAIN)


def test_characters_that_are_none_are_told(provider: Qwen, service: DashScope) -> None:
    model = resolve(FUN)
    status = finished(provider, provider.submit(at(URL), model, PLAIN), model)
    body = {"transcripts": [{"text": "a X"}]}
    broken = json.dumps(body).encode().replace(b"X", b"\xff")
    service.failures.append(lambda _: httpx.Response(200, content=broken))

    transcript = provider.fetch(status, model, PLAIN)

    assert transcript.text == "a �"
    assert "replaced" in transcript.warnings[0]


# --- looking for a job, taking one back -----------------------------------------------------------


@BOTH
def test_j07_a_job_whose_answer_was_lost_is_found_by_its_result(
    provider: Qwen, service: DashScope, time: Time, name: str
) -> None:
    model, begun = resolve(name), since(time)
    service.jobs.script = JobScript(pending_polls=0, running_polls=0)
    provider.submit(at(OTHER), model, PLAIN)
    service.failures.append(After(Drop("reset")))
    with pytest.raises(NetworkError):
        provider.submit(at(URL), model, PLAIN)

    job = provider.find(at(URL), model, since=begun)

    assert job is not None
    assert job.id == service.jobs.all[1].id
    assert not job.unproven
    assert provider.fetch(finished(provider, job, model), model, PLAIN).text == WELCOME.text
    assert len(submits(service)) == 2


@BOTH
def test_a_job_that_is_still_at_work_is_given_unproven_and_proves_itself_later(
    provider: Qwen, time: Time, name: str
) -> None:
    model, begun = resolve(name), since(time)
    provider.submit(at(OTHER), model, PLAIN)

    job = provider.find(at(URL), model, since=begun)

    assert job is not None
    assert job.unproven
    with pytest.raises(UnexpectedAnswerError, match=r"another recording|none of the results"):
        provider.fetch(finished(provider, job, model), model, PLAIN)


def test_of_several_that_could_be_it_none_is_taken_but_those_known_do_not_count(
    provider: Qwen, service: DashScope, time: Time
) -> None:
    service.jobs.script = JobScript(pending_polls=NEVER)
    model, begun = resolve(FUN), since(time)
    known = provider.submit(at(OTHER), model, PLAIN)
    provider.submit(at(URL), model, PLAIN)

    with pytest.raises(ServiceError, match="2 jobs") as caught:
        provider.find(at(URL), model, since=begun)
    found = provider.find(at(URL), model, since=begun, known={known.id})

    assert caught.value.retry is Retry.AMBIGUOUS
    assert found is not None
    assert found.id == service.jobs.all[1].id


def test_jobs_of_other_models_and_other_times_are_not_looked_at(provider: Qwen, time: Time) -> None:
    model = resolve(FUN)
    provider.submit(at(URL), model, PLAIN)
    time.now += 3600
    provider.submit(at(URL), resolve(QWEN), PLAIN)

    assert provider.find(at(URL), model, since=since(time)) is None


@pytest.mark.parametrize("key", ["data", "tasks"])
def test_the_list_is_read_over_all_its_pages(
    provider: Qwen, service: DashScope, time: Time, key: Any
) -> None:
    service.switches.list_key = key
    service.jobs.script = JobScript(pending_polls=NEVER)
    model, begun = resolve(FUN), since(time)
    jobs = [provider.submit(at(URL), model, PLAIN) for _ in range(101)]

    found = provider.find(at(URL), model, since=begun, known={job.id for job in jobs[1:]})

    assert found is not None
    assert found.id == jobs[0].id


def test_only_what_is_pending_can_be_taken_back(provider: Qwen) -> None:
    model = resolve(FUN)
    job = provider.submit(at(URL), model, PLAIN)

    provider.cancel(job)

    assert provider.poll(job, model).state is JobState.CANCELED
    with pytest.raises(RefusedError) as caught:
        provider.cancel(job)
    assert caught.value.code == "UnsupportedOperation"


def test_x05_no_signed_url_and_no_key_stands_in_any_error(
    provider: Qwen, service: DashScope
) -> None:
    model = resolve(FUN)
    status = finished(provider, provider.submit(at(URL), model, PLAIN), model)
    troubles = [
        httpx.Response(500, text="no"),
        httpx.Response(404, text=f"<Message>{status.result_url}</Message>"),
        httpx.Response(200, text="no"),
    ]
    signature = str(status.result_url).partition("?")[2]

    for trouble in troubles:
        service.failures.add(trouble, times=math.inf)
        with pytest.raises(AsrError) as caught:
            provider.fetch(status, model, PLAIN)
        service.failures.clear()
        assert signature not in str(caught.value)
        assert KEY not in str(caught.value)


# --- every option of every model ------------------------------------------------------------------

_ASKED = {
    Feature.ITN: [Options(itn=True), Options(itn=False)],
    Feature.WORDS: [Options(words=True)],
    Feature.EMOTION: [Options(emotion=True)],
    Feature.DIARIZE: [Options(diarize=True), Options(diarize=True, speakers=2)],
    Feature.CHANNELS: [Options(channels=(0,))],
    Feature.HOTWORDS: [Options(vocabulary="vocab-asrcli-x")],
}


def test_every_option_that_a_model_claims_and_each_of_its_languages_is_taken(
    time: Time, files: dict[str, Any]
) -> None:
    service = DashScope(
        keys=[Key(), Key(value="sk-cn", region="cn-beijing")],
        clock=time.clock,
        fetch=fetch_from(files),
    )
    service.vocabularies.terms = lambda *_: []  # type: ignore[method-assign]
    china = Hosts("https://dashscope.aliyuncs.com/api/v1", "https://dashscope.aliyuncs.com/x")
    intl, cn = qwen_at(service, time), qwen_at(service, time, key="sk-cn", hosts=china)
    for model in models():
        if model.provider != "qwen" or model.api not in JOBS:
            continue
        asked = itertools.chain(*(_ASKED.get(feature, []) for feature in model.features))
        languages = (Options(language=code) for code in model.languages)
        for options in (*asked, *languages):
            (cn if model.regions == ("cn",) else intl).submit(at(URL), model, options)
    service.close()
