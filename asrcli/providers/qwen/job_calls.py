"""The calls around a transcription job: submit, look for, ask after, fetch, take back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from asrcli.errors import (
    ConfigurationError,
    RefusedError,
    RemoteError,
    Retry,
    RightsError,
    ServiceError,
    UnexpectedAnswerError,
)
from asrcli.providers.base import Job, JobState, JobStatus, Model, Options
from asrcli.providers.calls import MENDED, host_of
from asrcli.providers.qwen import jobs
from asrcli.providers.qwen.results import read_result
from asrcli.providers.reading import text_at
from asrcli.transcript import Transcript
from asrcli.transport.connection import may_be_public
from asrcli.transport.fetch import Fetcher
from asrcli.transport.http import Answer, HTTPClient

__all__ = ["MOST_RESULT", "JobCalls"]

MOST_RESULT = 128_000_000
"""Bytes of a result: twelve hours of dense Chinese are about 20 MB a channel."""

_SLACK = timedelta(minutes=5)
"""What the clocks of the service and of this computer may differ by."""
_MOST_PAGES = 5
_MOST_POLLED = 50


class JobCalls:
    """Thread-safe. `fetcher(private=…)` makes a keyless client, for private networks or not."""

    def __init__(
        self,
        service: HTTPClient,
        fetcher: Callable[..., Fetcher],
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._service = service
        self._make_fetcher = fetcher
        self._fetchers: dict[bool, Fetcher] = {}
        self._now = now
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections that results were fetched over."""
        with self._lock:
            for fetcher in self._fetchers.values():
                fetcher.close()

    def submit(self, location: str, model: Model, options: Options) -> Job:
        """Begin a job; never sent twice where the first may have been taken."""
        headers = {"X-DashScope-Async": "enable"}
        if location.startswith("oss://"):
            headers["X-DashScope-OssResourceResolve"] = "enable"
        body = jobs.submit_body(location, model, options)
        try:
            answer = self._service.post(jobs.SUBMIT_PATH, body, headers=headers, submit=True)
            task = jobs.read_submitted(answer)
        except UnexpectedAnswerError as error:
            # It took the request, and what it said of it cannot be read.
            if error.http_status is not None and error.http_status < 300:
                error.retry = Retry.AMBIGUOUS
            raise
        return Job(task, self._service.service, model.id, self._service.base_url, location)

    def poll(self, job: Job) -> JobStatus:
        """Ask once; 404 is told as the state UNKNOWN, as the service itself does later on.

        Raises ConfigurationError for a job of another host, which would seem to be gone here.
        """
        self._check_host(job)
        try:
            answer = self._service.get(jobs.task_path(job.id))
        except RemoteError as error:
            if error.http_status != 404 or isinstance(error, RightsError):
                raise
            said = error.code or "HTTP 404"
            return JobStatus(JobState.UNKNOWN, said, request_id=error.request_id)
        return jobs.read_status(answer, job)

    def cancel(self, job: Job) -> None:
        """Only what is still pending can be taken back; else raises RefusedError.

        The call has no body (https://help.aliyun.com/zh/model-studio/manage-asynchronous-tasks).
        """
        self._check_host(job)
        self._service.post(jobs.task_path(job.id, cancel=True), None, ambiguous=False)

    def _check_host(self, job: Job) -> None:
        here = self._service.base_url
        if job.host not in {here, host_of(here)}:
            raise ConfigurationError(
                f"the job {job.id} was submitted to {job.host}",
                hint="Only that host knows it: choose it with --region or --base-url.",
            )

    # --- results ------------------------------------------------------------------------------

    def fetch(self, status: JobStatus, model: Model, options: Options) -> Transcript:
        """Read the result; raises RefusedError with `RESULT_EXPIRED` if its URL is too old."""
        told = (status.request_id,) if status.request_id else ()
        if status.no_speech:
            found = Transcript((), self._service.service, model.id)
        else:
            if status.result_url is None:
                raise RuntimeError(f"there is no result of a job that is {status.state}")
            answer = self._result(status.result_url)
            if status.location:
                _prove(answer, status.location)
            found = read_result(answer.json, model, options)
            if answer.mended:
                found = replace(found, warnings=(*found.warnings, MENDED))
        return replace(found, request_ids=told, billed_seconds=status.billed_seconds)

    def _result(self, url: str) -> Answer:
        """The file behind the URL, which is sent to the letter: its signature covers escapes."""
        private = self._service.private
        url = _secured(url)
        fetcher = self._fetcher(private=private)
        answer = fetcher.get(url, most_bytes=MOST_RESULT)
        if not _readable(answer):
            answer = fetcher.get(url, most_bytes=MOST_RESULT)
        return answer

    def _fetcher(self, *, private: bool) -> Fetcher:
        with self._lock:
            if private not in self._fetchers:
                self._fetchers[private] = self._make_fetcher(private=private)
            return self._fetchers[private]

    # --- the list -----------------------------------------------------------------------------

    def find(
        self, location: str, model: Model, *, since: datetime, known: Collection[str] = ()
    ) -> Job | None:
        """The job for a recording that was submitted since then; `known` are those of others.

        The list names no recordings: a job proves itself by its result. One that has none yet is
        given as `unproven` if it is the only one. Raises ServiceError (`Retry.AMBIGUOUS`) while
        several could be the one.
        """
        unclear: list[Job] = []
        for listed in self._listed(model, since=since, known=known)[:_MOST_POLLED]:
            job = Job(
                listed.id,
                self._service.service,
                model.id,
                self._service.base_url,
                location,
                unproven=True,
            )
            match self._is_of(job):
                case True:
                    return replace(job, unproven=False)
                case None:
                    unclear.append(job)
        if len(unclear) > 1:
            raise ServiceError(
                self._service.service,
                f"{len(unclear)} jobs could be of this recording; which one, shows when they end",
                retry=Retry.AMBIGUOUS,
            )
        return unclear[0] if unclear else None

    def _listed(
        self, model: Model, *, since: datetime, known: Collection[str]
    ) -> list[jobs.Listed]:
        """Jobs that may be the one, the newest first."""
        now, since = self._now(), since - _SLACK
        found: list[jobs.Listed] = []
        for page in range(1, _MOST_PAGES + 1):
            query = jobs.list_query(model, since=since, until=now + _SLACK, page=page)
            rows, more = jobs.read_list(self._service.get(jobs.LIST_PATH, params=query), model)
            found += [row for row in rows if row.id not in known]
            if not more:
                break
        return [row for row in found if row.created is None or row.created >= since]

    def _is_of(self, job: Job) -> bool | None:
        """Whether the job is of its location; None if that does not show yet."""
        try:
            status = self.poll(job)
            if status.state is JobState.SUCCEEDED and status.location is None:
                return True  # its results name their recordings: that was seen to
            if status.result_url and job.location:
                return bool(_prove(self._result(status.result_url), job.location))
        except (UnexpectedAnswerError, RefusedError):
            return False  # of another recording, or with a result that nobody can read any more
        gone = {JobState.UNKNOWN, JobState.FAILED, JobState.CANCELED}
        return False if status.state in gone else None


def _prove(answer: Answer, location: str) -> bool:
    """True if the result is of that recording; raises UnexpectedAnswerError if not."""
    if not jobs.same_recording(text_at(answer.json, "file_url"), location):
        raise answer.unexpected("the result is of another recording")
    return True


def _readable(answer: Answer) -> bool:
    try:
        _ = answer.json
    except UnexpectedAnswerError:
        return False
    return True


def _secured(url: str) -> str:
    """The URL with https where it says http: object stores answer to both."""
    scheme, mark, rest = url.partition("://")
    host: Any = rest.partition("/")[0]
    if mark and scheme.lower() == "http" and ":" not in host and may_be_public(host):
        return f"https://{rest}"
    return url
