"""Jobs from submit to transcript, over interruptions of every kind; 12 hours take no time here."""

from __future__ import annotations

import itertools
import math
import time as wall
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from asrcli.core.asking import Answered, Asker, Sendable
from asrcli.core.job_records import options_of
from asrcli.core.jobs import Detached, JobRunner, Poller
from asrcli.core.memory import Memory
from asrcli.errors import (
    AsrError,
    ConfigurationError,
    InputRefusedError,
    LockedError,
    NetworkError,
    QuotaError,
    RefusedError,
    ServiceError,
    TimeLimitError,
    UnexpectedAnswerError,
)
from asrcli.media.audio import AudioFile
from asrcli.providers.base import Hotword, Job, Model, Options, Reference
from asrcli.providers.calls import SENT_TWICE
from asrcli.providers.catalogue import resolve
from asrcli.providers.qwen.hosts import Hosts
from asrcli.providers.qwen.provider import Qwen
from asrcli.secret import Secret
from asrcli.state.jobs import StoredJob
from asrcli.state.store import Store
from asrcli.transport.connection import Connection
from asrcli.transport.retry import Retrier, RetryPolicy
from asrcli.transport.throttle import Throttle
from tests.emulators.dashscope import faults
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.hosts import KEY
from tests.emulators.dashscope.scripts import NEVER, JobScript
from tests.emulators.dashscope.sources import fetch_from
from tests.emulators.service import Received
from tests.emulators.troubles import After, Drop, Failure
from tests.recordings import recording, silence

SUBMIT = "/api/v1/services/audio/asr/transcription"
POLLS = "GET /api/v1/tasks/?*"
LIST = "GET /api/v1/tasks/"
TALK = Reference(None, "https://files.example/welcome.wav")
WELCOME, LESSON = recording("welcome"), recording("lesson")
URL = TALK.location
OTHER = "https://files.example/lesson.wav"
QUIET = "https://files.example/quiet.wav"
START = float(int(wall.time()))
"""As it is now: uploads end by the clock of the computer."""
HOUR = 3600.0
QWEN, FUN = resolve("qwen3-asr-flash-filetrans"), resolve("fun-asr")
BOTH = pytest.mark.parametrize("model", [QWEN, FUN], ids=lambda model: model.id)


class Time:
    """A clock that stands still but for those who wait."""

    def __init__(self) -> None:
        self.now = START

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def retrier(self) -> Retrier:
        throttle = Throttle(ramp=0, clock=self.clock, sleep=self.sleep)
        return Retrier(
            RetryPolicy(retries=2),
            throttle=throttle,
            clock=self.clock,
            sleep=self.sleep,
            random=lambda: 1.0,
        )


class Killed(BaseException):
    """The process is gone at this very moment."""


class Desk:
    """A computer with a state on its disk, on which runs come and go."""

    def __init__(self, service: DashScope, time: Time, path: Path) -> None:
        self.service = service
        self.time = time
        self.notes: list[str] = []
        self.stopped = False
        base = "https://dashscope-intl.aliyuncs.com"
        self.provider = Qwen(
            Secret(KEY),
            Hosts(f"{base}/api/v1", f"{base}/compatible-mode/v1", "ap-southeast-1"),
            Connection(environ={}),
            retrier=time.retrier(),
            transport=httpx.MockTransport(service),
            now=time.moment,
        )
        self.path = path
        self.memory = self.opened()

    def opened(self) -> Memory:
        return Memory(Store(self.path, clock=self.time.clock), clock=self.time.clock)

    def runner(self, provider: Any = None, memory: Memory | None = None, **more: Any) -> JobRunner:
        provider, memory = provider or self.provider, memory or self.memory
        poller = Poller(
            provider,
            note=self.notes.append,
            stop=lambda: self.stopped,
            clock=self.time.clock,
            wait=self.time.sleep,
        )
        return JobRunner(
            provider, Asker(provider, memory), memory, poller,
            note=self.notes.append, now=self.time.moment, wait=self.time.sleep, **more,
        )  # fmt: skip

    def restart(self) -> None:
        """As after a crash: what the process held is let go of, what it wrote stays."""
        self.memory.close()
        self.memory = self.opened()

    def ask(self, model: Model = QWEN, sent: Sendable = TALK, **more: Any) -> Answered:
        return ask(self.runner(**more), model, sent)

    @property
    def submits(self) -> list[Received]:
        return self.service.requests.to("POST", SUBMIT)

    @property
    def polls(self) -> list[Received]:
        paths = [request.path for request in self.service.requests]
        tasks = zip(paths, self.service.requests, strict=True)
        return [r for path, r in tasks if path.startswith("/api/v1/tasks/") and len(path) > 14]

    @property
    def stored(self) -> StoredJob:
        (job,) = self.stored_jobs
        return job

    @property
    def stored_jobs(self) -> list[StoredJob]:
        assert self.memory.store is not None
        return self.memory.store.jobs.all()


def ask(runner: JobRunner, model: Model = QWEN, sent: Sendable = TALK) -> Answered:
    place = sent.location if isinstance(sent, Reference) else sent.name
    return runner.run(
        f"{model.id} {place}", lambda: sent, model, Options(),
        name=place.rpartition("/")[2], digest="d" * 64, seconds=3.0,
    )  # fmt: skip


class Broken:
    """The provider, but for one call of it, which `instead` makes."""

    def __init__(self, provider: Qwen, name: str, instead: Callable[..., Any]) -> None:
        self._provider = provider
        self._name = name
        self._instead = partial(instead, getattr(provider, name))

    def __getattr__(self, name: str) -> Any:
        return self._instead if name == self._name else getattr(self._provider, name)


def killed_after(call: Callable[..., Any], *arguments: Any) -> Any:
    call(*arguments)
    raise Killed


def killed_before(_call: Callable[..., Any], *_: Any) -> Any:
    raise Killed


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def service(time: Time, tmp_path: Path) -> Iterator[DashScope]:
    silence(3.0, quiet := tmp_path / "quiet.wav")
    files = {URL: WELCOME.path, OTHER: LESSON.path, QUIET: quiet}
    service = DashScope(clock=time.clock, fetch=fetch_from(files))
    yield service
    service.close()


@pytest.fixture
def desk(service: DashScope, time: Time, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(service, time, tmp_path / "state.db")
    yield desk
    desk.stopped = True
    desk.memory.close()


# --- waiting --------------------------------------------------------------------------------------


@BOTH
def test_a_job_is_submitted_once_and_its_transcript_kept(desk: Desk, model: Model) -> None:
    first = desk.ask(model)
    again = desk.ask(model)

    assert (first.transcript.text, first.known) == (WELCOME.text, False)
    assert (again.transcript.text, again.known) == (WELCOME.text, True)
    assert len(desk.submits) == 1
    assert desk.stored.state == "fetched"


@BOTH
def test_j01_twelve_hours_take_at_most_1500_polls(desk: Desk, model: Model) -> None:
    desk.service.jobs.script = JobScript(pending_seconds=11 * HOUR + 59 * 60)

    found = desk.ask(model)

    assert found.transcript.text == WELCOME.text
    assert desk.time.now - START >= 11 * HOUR + 59 * 60
    assert len(desk.polls) <= 1500


def test_j02_a_job_that_never_ends_runs_into_the_limit_and_is_waited_for_again(desk: Desk) -> None:
    desk.service.jobs.script = JobScript(pending_polls=0, running_polls=NEVER)

    with pytest.raises(TimeLimitError) as caught:
        desk.ask(longest=100.0)
    waited = desk.time.now - START
    desk.service.jobs.all[0].script = JobScript(pending_polls=0, running_polls=0)
    desk.restart()
    found = desk.ask()

    assert caught.value.exit_status == 10
    assert 100.0 <= waited < 101.0
    assert (found.transcript.text, len(desk.submits)) == (WELCOME.text, 1)


def test_j03_a_job_that_failed_tells_why_and_is_not_submitted_again_by_itself(desk: Desk) -> None:
    desk.service.jobs.script = JobScript(ending="FAILED", code="InternalError", message="no luck")

    with pytest.raises(ServiceError, match="no luck") as caught:
        desk.ask()
    desk.restart()
    with pytest.raises(ServiceError, match="no luck") as again:
        desk.ask()

    assert (caught.value.code, caught.value.exit_status) == ("InternalError", 9)
    assert caught.value.request_id
    assert (again.value.code, again.value.exit_status) == ("InternalError", 9)
    assert "jobs forget" in (again.value.hint or "")
    assert (desk.stored.state, len(desk.submits)) == ("failed", 1)


def test_j03_a_failed_job_keeps_its_class_of_error(desk: Desk) -> None:
    """A file that cannot be decoded is exit 7 today and tomorrow."""
    desk.service.jobs.script = JobScript(ending="FAILED", code="DECODE_ERROR", message="noise")

    with pytest.raises(InputRefusedError):
        desk.ask()
    with pytest.raises(InputRefusedError):
        desk.ask()


def test_j03_a_job_that_failed_for_want_of_money_is_submitted_again_later(desk: Desk) -> None:
    """Nothing of the recording's own made it fail."""
    desk.service.jobs.scripts.append(JobScript(ending="FAILED", code="Arrearage", message="pay"))

    with pytest.raises(QuotaError):
        desk.ask()
    desk.restart()

    assert desk.ask().transcript.text == WELCOME.text


def test_j04_a_job_that_was_canceled_is_over_and_the_next_run_submits_another(desk: Desk) -> None:
    """Canceled means that nothing was done."""
    desk.service.jobs.scripts.append(JobScript(ending="CANCELED"))

    with pytest.raises(ServiceError, match="CANCELED"):
        desk.ask()

    assert desk.ask().transcript.text == WELCOME.text
    assert len(desk.submits) == 2


def test_j04_a_job_that_has_expired_is_not_submitted_again_without_consent(desk: Desk) -> None:
    with pytest.raises(Detached):
        desk.ask(detach=True)
    desk.time.now += 25 * HOUR

    for _ in range(2):
        with pytest.raises(ServiceError, match="no longer known") as caught:
            desk.ask()

    assert "jobs forget" in (caught.value.hint or "")
    assert len(desk.submits) == 1


def test_j04_a_job_that_seemed_gone_is_found_once_the_right_key_asks(desk: Desk) -> None:
    """UNKNOWN is also what another account is told."""
    desk.service.jobs.script = JobScript(lost_polls=1)
    with pytest.raises(Detached):
        desk.ask(detach=True)
    desk.time.now += HOUR
    with pytest.raises(ServiceError):
        desk.ask()

    assert desk.ask().transcript.text == WELCOME.text
    assert len(desk.submits) == 1


def test_j04_a_word_that_nobody_has_seen_is_waited_out_and_told_once(desk: Desk) -> None:
    desk.service.jobs.script = JobScript(running_polls=5, running_as="REHEARSING")

    assert desk.ask().transcript.text == WELCOME.text
    assert [note for note in desk.notes if "REHEARSING" in note] == desk.notes


def test_j05_a_job_that_is_not_found_in_its_first_minute_is_asked_for_again(desk: Desk) -> None:
    desk.service.jobs.script = JobScript(lost_polls=6)

    assert desk.ask().transcript.text == WELCOME.text
    assert desk.time.now - START < 60.0


def test_j05_j09_a_new_job_of_a_run_that_was_killed_may_not_be_found_at_once_either(
    desk: Desk,
) -> None:
    """The minute counts from the submit, whoever asks."""
    desk.service.jobs.script = JobScript(lost_polls=2)
    with pytest.raises(Detached):
        desk.ask(detach=True)
    desk.restart()

    assert desk.ask().transcript.text == WELCOME.text


def test_j06_polling_survives_bursts_of_failures_and_slows_down(desk: Desk) -> None:
    trouble: list[Failure] = [
        faults.rate_quota(), faults.internal_error(), faults.gateway_timeout(), faults.html(),
        Drop("reset"), faults.service_unavailable(), httpx.Response(200, text="<html></html>"),
    ]  # fmt: skip
    desk.service.failures.add(*trouble * 3, route=POLLS)

    found = desk.ask()

    assert found.transcript.text == WELCOME.text
    assert len(desk.submits) == 1
    assert len(desk.notes) == 1


def test_j06_the_intervals_between_polls_grow(desk: Desk) -> None:
    desk.service.jobs.script = JobScript(pending_polls=20)

    desk.ask()

    times = [request.at for request in desk.polls]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 30.0


def test_a_key_that_is_refused_ends_the_waiting_at_once(desk: Desk) -> None:
    desk.service.failures.add(faults.invalid_key(), route=POLLS, times=math.inf)

    with pytest.raises(AsrError) as caught:
        desk.ask()

    assert (caught.value.exit_status, len(desk.polls)) == (4, 1)


def test_r14_a_run_that_is_stopped_keeps_its_job(desk: Desk) -> None:
    desk.service.jobs.script = JobScript(pending_polls=NEVER)

    def stop(call: Callable[..., Any], *arguments: Any) -> Any:
        desk.stopped = True
        return call(*arguments)

    with pytest.raises(NetworkError, match="cancelled"):
        desk.ask(provider=Broken(desk.provider, "poll", stop))

    assert (desk.stored.id, desk.stored.state) == (desk.service.jobs.all[0].id, "pending")


def test_a_bug_in_a_poll_comes_out_where_it_is_waited_for(desk: Desk) -> None:
    def broken(_call: Callable[..., Any], *_: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        desk.ask(provider=Broken(desk.provider, "poll", broken))


# --- answers that are lost, runs that are killed --------------------------------------------------


@BOTH
def test_j07_a_job_whose_answer_was_lost_is_found_and_not_submitted_again(
    desk: Desk, model: Model
) -> None:
    desk.service.failures.add(After(Drop("reset")), route=f"POST {SUBMIT}")

    found = desk.ask(model)

    assert (found.transcript.text, found.transcript.warnings) == (WELCOME.text, ())
    assert len(desk.submits) == 1


@BOTH
def test_j07_a_submit_that_never_arrived_is_sent_once_more_and_marked(
    desk: Desk, model: Model
) -> None:
    """Nobody can tell whether it was taken, and the list has none."""
    desk.service.failures.add(Drop("reset"), route=f"POST {SUBMIT}")

    found = desk.ask(model)

    assert SENT_TWICE in found.transcript.warnings
    assert len(desk.submits) == 2
    assert desk.stored.possible_duplicate
    assert desk.memory.store is not None
    assert [row["possible_duplicate"] for row in desk.memory.store.ledger()] == [1]


def test_j07_two_answers_that_are_lost_are_not_followed_by_a_third_submit(desk: Desk) -> None:
    """One resubmit at most."""
    desk.service.failures.add(Drop("reset"), route=f"POST {SUBMIT}", times=math.inf)

    with pytest.raises(NetworkError) as caught:
        desk.ask()

    assert caught.value.possible_duplicate
    assert len(desk.submits) == 2


def test_j07_where_the_list_cannot_be_asked_nothing_is_submitted_again(desk: Desk) -> None:
    """The next run looks again."""
    desk.service.failures.add(After(Drop("reset")), route=f"POST {SUBMIT}")
    desk.service.failures.add(faults.internal_error(), route=LIST, times=3)

    with pytest.raises(ServiceError):
        desk.ask()
    desk.restart()
    found = desk.ask()

    assert (found.transcript.text, len(desk.submits)) == (WELCOME.text, 1)


def test_a_submit_that_was_refused_leaves_nothing_to_look_for(desk: Desk) -> None:
    refusal = faults.error(400, "InvalidParameter", "no such parameter")
    desk.service.failures.add(refusal, route=f"POST {SUBMIT}")

    with pytest.raises(RefusedError):
        desk.ask()
    assert desk.stored_jobs == []
    found = desk.ask()

    assert found.transcript.warnings == ()
    assert not [r for r in desk.service.requests if r.path == "/api/v1/tasks/"]


@BOTH
def test_j08_a_run_that_was_killed_before_it_wrote_the_id_down_finds_the_job(
    desk: Desk, model: Model
) -> None:
    with pytest.raises(Killed):
        desk.ask(model, provider=Broken(desk.provider, "submit", killed_after))
    assert (desk.stored.state, desk.stored.id) == ("intended", None)
    desk.restart()

    found = desk.ask(model)

    assert (found.transcript.text, len(desk.submits)) == (WELCOME.text, 1)
    assert "may have been submitted before" in desk.notes[0]


def test_j08_a_run_that_was_killed_before_it_submitted_is_followed_by_a_marked_submit(
    desk: Desk,
) -> None:
    """Nobody knows that it was not, so it is said."""
    with pytest.raises(Killed):
        desk.ask(provider=Broken(desk.provider, "submit", killed_before))
    desk.restart()

    found = desk.ask()

    assert (found.transcript.text, len(desk.submits)) == (WELCOME.text, 1)
    assert SENT_TWICE in found.transcript.warnings


def test_j08_jobs_of_other_recordings_are_not_taken_for_one_that_was_lost(desk: Desk) -> None:
    """Those that are known here are left out."""
    desk.service.jobs.script = JobScript(pending_polls=3)
    with pytest.raises(Detached):
        desk.ask(sent=Reference(None, OTHER), detach=True)
    with pytest.raises(Killed):
        desk.ask(provider=Broken(desk.provider, "submit", killed_after))
    desk.restart()

    assert desk.ask().transcript.text == WELCOME.text
    assert len(desk.submits) == 2


def test_j08_an_intent_of_another_host_is_not_looked_for_here(desk: Desk) -> None:
    """Other regions do not know it."""
    desk.memory.intend_job(
        f"{QWEN.id} {URL}", QWEN, host="dashscope.aliyuncs.com", name="welcome.wav",
        location=URL, options=Options(), seconds=3.0,
    )  # fmt: skip
    desk.restart()

    with pytest.raises(ConfigurationError, match=r"dashscope\.aliyuncs\.com"):
        desk.ask()
    assert desk.submits == []


@BOTH
def test_j08_a_job_that_was_found_and_is_of_another_recording_is_replaced(
    desk: Desk, model: Model
) -> None:
    """Somebody else's job of the same model was the only one in the list."""
    desk.service.jobs.script = JobScript(pending_polls=3)
    with pytest.raises(Killed):
        desk.ask(model, provider=Broken(desk.provider, "submit", killed_before))
    desk.restart()
    others = desk.provider.submit(Reference(None, OTHER), model, Options())

    found = desk.ask(model)

    assert found.transcript.text == WELCOME.text
    assert SENT_TWICE in found.transcript.warnings
    assert [r.json["model"] for r in desk.submits] == [model.id] * 2
    assert desk.stored.id not in {None, others.id}


def test_j09_r11_a_run_that_was_killed_while_it_polled_goes_on_and_submits_nothing(
    desk: Desk,
) -> None:
    with pytest.raises(Killed):
        desk.ask(provider=Broken(desk.provider, "poll", killed_before))
    desk.restart()

    assert desk.ask().transcript.text == WELCOME.text
    assert len(desk.submits) == 1


def test_r11_two_runs_at_once_submit_once(desk: Desk) -> None:
    """The second waits for the job of the first."""
    beside = desk.opened()
    seen: list[str] = []

    def meanwhile(call: Callable[..., Any], *arguments: Any) -> Any:
        with pytest.raises(LockedError):
            ask(desk.runner(memory=beside))
        seen.append("locked")
        return call(*arguments)

    found = desk.ask(provider=Broken(desk.provider, "submit", meanwhile))
    second = ask(desk.runner(memory=beside))
    beside.close()

    assert seen == ["locked"]
    assert (found.transcript.text, second.transcript.text) == (WELCOME.text, WELCOME.text)
    assert len(desk.submits) == 1


def test_a_run_takes_the_job_that_another_one_has_just_submitted(desk: Desk) -> None:
    beside = desk.opened()

    def meanwhile() -> Sendable:
        with pytest.raises(Detached):
            ask(desk.runner(memory=beside, detach=True))
        return Reference(None, URL)

    found = desk.runner().run(
        f"{QWEN.id} {URL}", meanwhile, QWEN, Options(), name="w", digest="d", seconds=3.0
    )
    beside.close()

    assert (found.transcript.text, len(desk.submits)) == (WELCOME.text, 1)


# --- results --------------------------------------------------------------------------------------


@BOTH
def test_j10_a_result_whose_url_expired_is_asked_for_again(desk: Desk, model: Model) -> None:
    desk.service.jobs.script = JobScript(expired_results=1)

    assert desk.ask(model).transcript.text == WELCOME.text
    assert len(desk.submits) == 1


def test_j10_a_result_that_stays_expired_says_what_to_do(desk: Desk) -> None:
    desk.service.jobs.script = JobScript(expired_results=99)

    with pytest.raises(RefusedError) as caught:
        desk.ask()

    assert "jobs forget" in (caught.value.hint or "")
    assert (desk.stored.state, desk.stored.code) == ("succeeded", "ResultExpired")


def test_j11_a_result_on_another_host_is_fetched_without_the_key(desk: Desk) -> None:
    desk.ask()

    (fetched,) = [r for r in desk.service.requests if "result" in r.url.host]
    assert "authorization" not in fetched.headers
    assert "cookie" not in fetched.headers


def test_j12_one_recording_that_fails_inside_a_job_that_succeeded_fails(desk: Desk) -> None:
    """The word of the part counts, and the others of the run are kept."""
    desk.service.jobs.scripts.append(JobScript(failing={0: ("DECODE_ERROR", "noise")}))

    with pytest.raises(InputRefusedError, match="noise"):
        desk.ask(FUN)
    other = desk.ask(FUN, sent=Reference(None, OTHER))

    assert other.transcript.text == LESSON.text
    assert sorted(job.state for job in desk.stored_jobs) == ["failed", "fetched"]


def test_j13_a_result_that_is_missing_is_an_error_and_the_job_is_kept(desk: Desk) -> None:
    desk.service.jobs.script = JobScript(left_out_results=1)

    with pytest.raises(UnexpectedAnswerError):
        desk.ask(FUN)

    assert (desk.stored.state, len(desk.submits)) == ("pending", 1)


def test_j14_a_result_that_was_cut_is_fetched_again_and_nothing_is_submitted(desk: Desk) -> None:
    """Also by the next run, if it stays cut."""
    desk.service.jobs.script = JobScript(cut_results=10)
    with pytest.raises(AsrError):
        desk.ask()
    desk.service.jobs.all[0].cuts_given = 10

    assert desk.ask().transcript.text == WELCOME.text
    assert len(desk.submits) == 1


@BOTH
def test_j15_a_recording_in_which_nobody_speaks_has_an_empty_transcript(
    desk: Desk, model: Model
) -> None:
    found = desk.ask(model, sent=Reference(None, QUIET))

    assert (found.transcript.text, desk.stored.state) == ("", "fetched")


# --- uploads --------------------------------------------------------------------------------------


@pytest.fixture
def audio(tmp_path: Path) -> AudioFile:
    path = tmp_path / "talk.wav"
    path.write_bytes(WELCOME.path.read_bytes())
    return AudioFile(
        path=path, name="talk.wav", container="wav", mime_type="audio/wav", codec="pcm_s16le",
        size=path.stat().st_size, duration=WELCOME.seconds, channels=1, sample_rate=16_000,
    )  # fmt: skip


def uploads(desk: Desk) -> int:
    return len([r for r in desk.service.requests if r.method == "POST" and "oss" in r.url.host])


@BOTH
def test_s20_an_upload_outlives_a_submit_that_failed(
    desk: Desk, audio: AudioFile, model: Model
) -> None:
    desk.service.failures.add(faults.arrears(), route=f"POST {SUBMIT}")
    with pytest.raises(QuotaError):
        desk.ask(model, sent=audio)
    desk.restart()

    assert desk.ask(model, sent=audio).transcript.text == WELCOME.text
    assert uploads(desk) == 1


@BOTH
def test_s20_s21_an_upload_that_is_gone_is_uploaded_again_once(
    desk: Desk, audio: AudioFile, model: Model
) -> None:
    desk.service.failures.add(faults.arrears(), route=f"POST {SUBMIT}")
    with pytest.raises(QuotaError):
        desk.ask(model, sent=audio)
    for key in list(desk.service.uploads.objects):
        desk.service.uploads.expire(key)
    desk.restart()

    assert desk.ask(model, sent=audio).transcript.text == WELCOME.text
    assert (uploads(desk), len(desk.submits)) == (2, 3)


def test_s20_an_upload_that_is_too_old_is_not_submitted(desk: Desk, audio: AudioFile) -> None:
    """It lives for 48 hours."""
    desk.service.failures.add(faults.arrears(), route=f"POST {SUBMIT}")
    with pytest.raises(QuotaError):
        desk.ask(sent=audio)
    desk.time.now += timedelta(hours=49).total_seconds()

    assert desk.ask(sent=audio).transcript.text == WELCOME.text
    first, second = (request.json["input"]["file_url"] for request in desk.submits)
    assert first != second


def test_s20_a_file_that_the_service_cannot_reach_at_its_url_fails_once(desk: Desk) -> None:
    """What is not ours cannot be brought there again."""
    gone = Reference(None, "https://files.example/gone.wav")

    with pytest.raises(InputRefusedError):
        desk.ask(sent=gone)
    assert len(desk.submits) == 1


# --- jobs of earlier runs -------------------------------------------------------------------------


def test_a_job_of_an_earlier_run_is_resumed_without_its_recording(desk: Desk) -> None:
    with pytest.raises(Detached):
        desk.ask(FUN, detach=True)
    desk.restart()

    found = desk.runner().resume(desk.stored, FUN)

    assert (found.transcript.text, desk.stored.state) == (WELCOME.text, "fetched")
    assert desk.ask(FUN).known


def test_j08_an_intent_is_resumed_by_the_list_and_never_submitted(desk: Desk) -> None:
    with pytest.raises(Killed):
        desk.ask(provider=Broken(desk.provider, "submit", killed_after))
    desk.restart()

    assert desk.runner().resume(desk.stored, QWEN).transcript.text == WELCOME.text
    assert len(desk.submits) == 1


def test_an_intent_that_came_to_nothing_says_so(desk: Desk) -> None:
    with pytest.raises(Killed):
        desk.ask(provider=Broken(desk.provider, "submit", killed_before))
    desk.restart()

    with pytest.raises(ServiceError, match="never submitted"):
        desk.runner().resume(desk.stored, QWEN)
    assert desk.submits == []


def test_x08_an_id_that_leads_elsewhere_is_never_asked_for(desk: Desk) -> None:
    evil = httpx.Response(200, json={"output": {"task_id": "../../x", "task_status": "PENDING"}})
    desk.service.failures.add(evil, evil, route=f"POST {SUBMIT}")

    with pytest.raises(UnexpectedAnswerError):
        desk.ask()

    assert not [r for r in desk.service.requests if ".." in r.path]
    assert desk.stored.id is None


def test_what_was_asked_for_is_read_back_as_it_was(desk: Desk) -> None:
    asked = Options(
        language="en", words=True, channels=(0, 1), hotwords=(Hotword("Qwen", 5), Hotword("ASR"))
    )
    desk.memory.intend_job("k", FUN, host="h", name="n", location=URL, options=asked, seconds=1.0)

    assert options_of(desk.stored) == asked


def test_x05_a_job_is_a_value_that_shows_no_signed_url() -> None:
    job = Job("1", "qwen", "fun-asr", "h", "https://files.example/a.wav?Signature=secret")

    assert "secret" not in repr(job)
