"""What is written down of a job, read back; and the ways in which a job ends without a result."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from asrcli.errors import AsrError, ServiceError
from asrcli.providers.base import Hotword, Job, JobState, JobStatus, Options
from asrcli.providers.qwen.failures import failure
from asrcli.state.jobs import StoredJob

__all__ = [
    "anew",
    "costs_again",
    "ended_badly",
    "failed_before",
    "is_gone",
    "job_of",
    "options_of",
]

_GONE = frozenset(
    {
        "file_404_not_found",
        "file_403_forbidden",
        "file_download_failed",
        "invalidfile.downloadfailed",
    }
)
"""Codes that say that the service did not get at the recording: nothing was done, nor charged."""


def job_of(stored: StoredJob) -> Job:
    """The job as the provider knows it."""
    return Job(
        stored.id or "",
        stored.provider,
        stored.model,
        stored.host,
        stored.location or None,
        unproven=stored.unproven,
    )


def options_of(stored: StoredJob) -> Options:
    """What was asked for; what this version does not know of it is left out."""
    try:
        found: dict[str, Any] = json.loads(stored.options)
        names = {entry.name for entry in fields(Options)}
        known = {name: value for name, value in found.items() if name in names}
        if "channels" in known:
            known["channels"] = tuple(known["channels"])
        if "hotwords" in known:
            known["hotwords"] = tuple(Hotword(**word) for word in known["hotwords"])
        return Options(**known)
    except (AttributeError, TypeError, ValueError):  # a later version wrote it
        return Options()


def is_gone(error: AsrError) -> bool:
    """True if the service did not get at the recording."""
    return (error.code or "").lower() in _GONE


def ended_badly(job: Job, status: JobStatus) -> AsrError:
    """The error of a job that ended, and not by failing."""
    if status.state is JobState.UNKNOWN:
        said = "is no longer known there: it has expired, or is of another account or region"
    else:
        said = f"ended as {status.said or status.state}"
    return ServiceError(
        job.provider,
        f"the job {job.id} {said}",
        code=status.said,
        request_id=status.request_id,
        hint=anew(job.id),
    )


def anew(id: str) -> str:  # noqa: A002 - as the field
    """What to do to have another job."""
    return f"`asrcli jobs forget {id}` lets it be submitted anew."


def failed_before(stored: StoredJob) -> AsrError:
    """The error of a job that failed in an earlier run, of the class that it had then."""
    reason = stored.message or "it gives no reason"
    error = failure(stored.code, f"the job {stored.id} failed before: {reason}")
    error.hint = anew(stored.id or stored.key)
    return error


def costs_again(stored: StoredJob) -> bool:
    """True for a job that failed for a reason that is still there, as far as anybody knows."""
    if stored.state != JobState.FAILED or stored.unproven:
        return False
    error = failure(stored.code, stored.message or "")
    return not error.stops_run and not is_gone(error)
