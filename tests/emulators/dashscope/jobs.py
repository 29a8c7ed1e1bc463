"""Transcription jobs: submitted, polled, listed, canceled; their results for 24 hours.

Pages: https://help.aliyun.com/zh/model-studio/manage-asynchronous-tasks and
https://docs.qwencloud.com/api-reference/speech-recognition/qwen-asr/query-result.
"""

from __future__ import annotations

import json
import math
import threading
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.emulators.dashscope.hints import favored
from tests.emulators.dashscope.ledger import Charge
from tests.emulators.dashscope.models import Kind, Model
from tests.emulators.dashscope.refusals import Refusal, StoreRefusal, invalid
from tests.emulators.dashscope.results import Failure, Result, fun_result, qwen_result
from tests.emulators.dashscope.scripts import FailureReport, JobScript
from tests.emulators.dashscope.sources import Lack, Missing, alike
from tests.emulators.dashscope.submits import Submit, read_submit
from tests.emulators.dashscope.times import DAY, day, in_milliseconds
from tests.emulators.dashscope.world import Call, Reply, World, misplaced
from tests.emulators.recognizer import Undecodable
from tests.emulators.service import Received

__all__ = ["Job", "Jobs"]

_SCHEDULED_AFTER = 0.037
_LACKS = {
    Lack.MALFORMED: ("REQUEST_INVALID_FILE_URL_VALUE", "The file URL is malformed."),
    Lack.UNESCAPED: ("InvalidFile.DownloadFailed", "The audio file cannot be downloaded."),
    Lack.NOT_RESOLVED: ("FILE_DOWNLOAD_FAILED", "The audio file cannot be downloaded."),
    Lack.ABSENT: ("FILE_404_NOT_FOUND", "The file URL is answered with 404."),
    Lack.FORBIDDEN: ("FILE_403_FORBIDDEN", "The file URL is answered with 403."),
    Lack.SERVER: ("FILE_SERVER_ERROR", "The server of the file failed."),
    Lack.UNREACHABLE: ("FILE_DOWNLOAD_FAILED", "The audio file cannot be downloaded."),
    Lack.TOO_LARGE: ("FILE_TOO_LARGE", "The file is larger than 2 GB."),
}


@dataclass(slots=True)
class Job:
    """One job, and what became of it."""

    id: str
    call: Call
    """The submission."""
    model: Model
    submit: Submit
    resolve: bool
    doomed: bool
    """Without `parameters`, on a dedicated host."""
    script: JobScript
    terms: list[str]
    polls: int = 0
    canceled: bool = False
    finished: float | None = None
    outcomes: list[Result | Failure] | None = None
    expired_given: int = 0
    cuts_given: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def state(self, now: float) -> str:
        """The word for the status, as the next answer has it."""
        script = self.script
        if self.canceled:
            return "CANCELED"
        if script.pending_seconds is not None:
            place = now - self.call.now
            pending, running = script.pending_seconds, script.running_seconds
            waits, works = place < pending, place < pending + running
        else:
            poll = max(1, self.polls - script.lost_polls)
            waits = poll <= script.pending_polls
            works = poll <= script.pending_polls + script.running_polls
        return "PENDING" if waits else script.running_as if works else script.ending

    @property
    def ends(self) -> bool:
        """False for a job that nobody sees the end of."""
        return not math.isinf(self.script.pending_polls + self.script.running_polls)


@dataclass(frozen=True, slots=True)
class _Issued:
    """A URL of a result that was given out."""

    job: Job
    body: bytes
    ends: float


class Jobs:
    """All jobs of all accounts."""

    def __init__(self, world: World) -> None:
        self.script = JobScript()
        """For jobs submitted from now on."""
        self.scripts: deque[JobScript] = deque()
        """For the next ones, one each; they go before `script`."""
        self.all: list[Job] = []
        """In the order of their submission."""
        self._world = world
        self._by_id: dict[str, Job] = {}
        self._issued: dict[str, _Issued] = {}
        self._lock = threading.Lock()

    # --- calls --------------------------------------------------------------------------------

    def submit(self, call: Call) -> Reply:
        """`POST …/transcription`."""
        if not call.asks("x-dashscope-async"):
            raise Refusal(
                403, "AccessDenied", "current user api does not support synchronous calls."
            )
        world, body = self._world, call.body
        name = body.get("model")
        if not isinstance(name, str):
            raise invalid("the body must contain model")
        model = world.model(name, call.caller)
        if model is None or model.kind not in {Kind.JOB, Kind.JOB_LIST}:
            raise misplaced()
        submit = read_submit(body, model, several_urls=world.switches.several_urls)
        dedicated = call.origin.dedicated
        job = Job(
            id=str(uuid.uuid4()),
            call=call,
            model=model,
            submit=submit,
            resolve=call.asks("x-dashscope-ossresourceresolve"),
            doomed=dedicated and submit.parameters is None,
            script=self._next_script(),
            terms=favored(world, call, model, submit.parameters or {}),
        )
        for url in submit.urls:
            world.ledger.submit(url)
        with self._lock:
            self.all.append(job)
            self._by_id[job.id] = job
        output = {"task_id": job.id, "task_status": "PENDING"}
        return Reply({"request_id": call.request_id, "output": output})

    def _next_script(self) -> JobScript:
        with self._lock:
            return self.scripts.popleft() if self.scripts else self.script

    def poll(self, call: Call, name: str) -> Reply:
        """`GET …/tasks/{id}`, or POST."""
        job = self._owned(call, name)
        if job is None:
            return _unknown(call, name)
        with job.lock:
            job.polls += 1
            if job.polls <= job.script.lost_polls:
                raise Refusal(404, "NotFound", f"Task {name} can not be found.")
            state = job.state(call.now)
            if state == "UNKNOWN":
                return _unknown(call, name)
            if state in {"SUCCEEDED", "FAILED", "CANCELED"} and job.finished is None:
                job.finished = call.now
            output: dict[str, Any] = {"task_id": name, "task_status": state}
            answer = {"request_id": call.request_id, "output": output}
            if state != "PENDING":
                output |= self._times(job)
            if state == "SUCCEEDED":
                self._tell_results(job, call, answer)
            elif state == "FAILED":
                self._tell_failure(job, output, Failure(job.script.code, job.script.message))
        return Reply(answer)

    def cancel(self, call: Call, name: str) -> Reply:
        """`POST …/tasks/{id}/cancel`, which has no body."""
        if call.request.content:
            raise invalid("the call has no body")
        job = self._owned(call, name)
        if job is not None:
            with job.lock:
                if job.state(call.now) == "PENDING":
                    job.canceled = True
                    return Reply({"request_id": call.request_id})
        raise Refusal(
            400, "UnsupportedOperation", "Failed to cancel the task, please confirm if the task is"
            " in PENDING status.",
        )  # fmt: skip

    def owned_by(self, owner: tuple[str, str]) -> list[Job]:
        """An account's jobs in a region, the newest first."""
        with self._lock:
            return [job for job in reversed(self.all) if job.call.caller.owner == owner]

    def settle(self) -> None:
        """Work through what nobody polled to its end: the service would have, and charged it."""
        for job in list(self.all):
            with job.lock:
                if not job.canceled and job.ends and job.script.ending == "SUCCEEDED":
                    self._outcomes(job)

    def _owned(self, call: Call, name: str) -> Job | None:
        job = self._by_id.get(name)
        if job is None or job.call.caller.owner != call.caller.owner:
            return None
        return job if call.now - job.call.now <= DAY else None

    # --- what an answer holds -----------------------------------------------------------------

    def _times(self, job: Job) -> dict[str, Any]:
        scheduled = job.call.now + _SCHEDULED_AFTER
        times: dict[str, Any] = {
            "submit_time": in_milliseconds(job.call.now),
            self._world.switches.scheduled_key: in_milliseconds(scheduled),
        }
        if job.finished is not None:
            times["end_time"] = in_milliseconds(max(job.finished, scheduled))
        total = len(job.submit.urls)
        return times | {"task_metrics": {"TOTAL": total, "SUCCEEDED": 0, "FAILED": 0}}

    def _tell_results(self, job: Job, call: Call, answer: dict[str, Any]) -> None:
        output = answer["output"]
        outcomes = self._outcomes(job)
        done = [outcome for outcome in outcomes if isinstance(outcome, Result)]
        failed = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
        output["task_metrics"] |= {"SUCCEEDED": len(done), "FAILED": len(failed)}
        listed = job.model.kind is Kind.JOB_LIST
        if done:
            answer["usage"] = {
                "duration" if listed else "seconds": sum(item.seconds for item in done)
            }
        elif not listed or job.script.report is FailureReport.TASK:
            self._tell_failure(job, output, failed[0])
            return
        elif job.script.report is FailureReport.TASK_AND_SUBTASK:
            output["task_status"] = "FAILED"
        if not listed:
            output["result"] = {"transcription_url": self._issue(job, 0, done[0], call)}
            return
        results = [self._subtask(job, number, call) for number in range(len(outcomes))]
        if job.script.reversed_results:
            results.reverse()
        output["results"] = results[job.script.left_out_results :]

    def _subtask(self, job: Job, number: int, call: Call) -> dict[str, Any]:
        outcome = self._outcomes(job)[number]
        shown: dict[str, Any] = {"file_url": job.submit.urls[number]}
        if isinstance(outcome, Failure):
            told = {"code": outcome.code, "message": outcome.message}
            return shown | told | {"subtask_status": "FAILED"}
        shown["transcription_url"] = self._issue(job, number, outcome, call)
        return shown | {"subtask_status": "SUCCEEDED"}

    def _tell_failure(self, job: Job, output: dict[str, Any], failure: Failure) -> None:
        output["task_metrics"] |= {"FAILED": len(job.submit.urls)}
        output |= {"task_status": "FAILED", "code": failure.code, "message": failure.message}

    # --- the work -----------------------------------------------------------------------------

    def _outcomes(self, job: Job) -> list[Result | Failure]:
        if job.outcomes is None:
            job.outcomes = [self._work(job, number) for number in range(len(job.submit.urls))]
        return job.outcomes

    def _work(self, job: Job, number: int) -> Result | Failure:
        if number in job.script.failing:
            return Failure(*job.script.failing[number])
        if job.doomed:
            return Failure("InvalidParameter", "Required body invalid, please check the request.")
        try:
            sha256, result = self._recognize(job, job.submit.urls[number])
        except Missing as error:
            return Failure(*_LACKS[error.lack])
        except Undecodable as error:
            return Failure("DECODE_ERROR", f"The audio cannot be decoded: {error}")
        except Failure as failure:
            return failure
        charged = Charge(
            job.model.id, sha256, result.charged, job.call.request_id, job.call.caller.account
        )
        self._world.ledger.charge(charged)
        return result

    def _recognize(self, job: Job, url: str) -> tuple[str, Result]:
        world, model, given = self._world, job.model, job.submit.parameters or {}
        content = world.sources.read(url, job.call.caller, model, resolve=job.resolve)
        whole = world.listen(content.source)
        if content.suffix is not None and not alike(content.suffix, whole.container):
            raise Failure("FILE_PARSE_FAILED", f"The file is no {content.suffix!r}.")
        if whole.container not in model.formats:
            raise Failure("UNSUPPORTED_FORMAT", f"{whole.container} is not supported.")
        if whole.duration > model.most_seconds:
            raise Failure("AUDIO_DURATION_TOO_LONG", "The audio is longer than 12 hours.")
        if model.kind is Kind.JOB:
            return content.sha256, qwen_result(url, content.source, whole, given, world.listen)
        return content.sha256, fun_result(
            url,
            content.source,
            whole,
            given,
            world.listen,
            terms=job.terms,
            reserved=world.switches.reserved_words,
        )

    # --- files of results ---------------------------------------------------------------------

    def _issue(self, job: Job, number: int, result: Result, call: Call) -> str:
        finished = job.finished or call.now
        ends = finished + DAY
        if job.expired_given < job.script.expired_results:
            job.expired_given += 1
            ends = call.now - 1
        # Path and signature have escapes, as the real ones do.
        path = f"/prod/{job.model.id}/{day(finished)}/10%3A15/{job.id}-{number + 1}.json"
        signature = quote(f"{uuid.uuid4().hex[:20]}+/=", safe="")
        query = f"Expires={int(ends)}&OSSAccessKeyId=LTAIresult&Signature={signature}"
        body = json.dumps(result.body, ensure_ascii=False).encode()
        with self._lock:
            self._issued[f"{path}?{query}"] = _Issued(job, body, ends)
        base = (job.script.result_base or call.origin.results_url).rstrip("/")
        if self._world.switches.results_by_http:
            base = base.replace("https://", "http://")
        return f"{base}{path}?{query}"

    def download(self, request: Received, now: float) -> bytes:
        """The file behind a URL that was given out; raises StoreRefusal."""
        if request.method != "GET":
            raise StoreRefusal(405, "MethodNotAllowed", "The method is not allowed.")
        for name in ("authorization", "cookie"):
            if name in request.headers:
                raise StoreRefusal(403, "AccessDenied", f"The URL is signed; {name} is too much.")
        # To the letter: whoever decodes an escape or adds to the query asks for something else.
        target = "/prod/" + request.url.raw_path.decode("ascii").partition("/prod/")[2]
        found = self._issued.get(target)
        if found is None:
            raise StoreRefusal(
                403, "SignatureDoesNotMatch", "The request signature we calculated does not match"
                " the signature you provided.",
            )  # fmt: skip
        if now > found.ends:
            raise StoreRefusal(403, "AccessDenied", "Request has expired.")
        with found.job.lock:
            if found.job.cuts_given < found.job.script.cut_results:
                found.job.cuts_given += 1
                return found.body[: len(found.body) // 2]
        return found.body


def _unknown(call: Call, name: str) -> Reply:
    output = {"task_id": name, "task_status": "UNKNOWN"}
    return Reply({"request_id": call.request_id, "output": output})
