"""How a job is to go: when it ends, how, and what its answers hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["NEVER", "FailureReport", "JobScript"]

NEVER = float("inf")


class FailureReport(Enum):
    """Where the Fun-ASR family tells that its only file failed; all three are seen."""

    SUBTASK = "subtask"
    """The task SUCCEEDED, its result FAILED: as documented."""
    TASK_AND_SUBTASK = "task-and-subtask"
    """Both FAILED; the code stands with the result alone."""
    TASK = "task"
    """The task FAILED, and has the code; there are no results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobScript:
    """The course of one job. Without `seconds`, answers to polls are counted.

    By default: one poll PENDING, one RUNNING, then SUCCEEDED or FAILED as the file deserves.
    """

    lost_polls: int = 0
    """So many polls are answered 404 before the job is found."""
    pending_polls: float = 1
    running_polls: float = 1
    pending_seconds: float | None = None
    """By the age of the job instead; then `running_seconds` counts too."""
    running_seconds: float = 0.0
    running_as: str = "RUNNING"
    """A word of the status that nobody has seen before, if a test wants one."""
    ending: str = "SUCCEEDED"
    """`FAILED`, `CANCELED`, `UNKNOWN`, or any other word, with which it goes on for ever."""
    code: str = "InternalError"
    message: str = "Internal server error!"
    """Of a job whose `ending` is FAILED."""
    failing: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """Code and message for some of the URLs, by their place from 0."""
    report: FailureReport = FailureReport.SUBTASK
    expired_results: int = 0
    """So many URLs of results are expired when they are given out; each poll gives new ones."""
    cut_results: int = 0
    """So many downloads of a result break off in the middle of the JSON."""
    result_base: str | None = None
    """Scheme and host (and path) of the URLs of results, in place of the usual ones."""
    reversed_results: bool = False
    left_out_results: int = 0
    """So many results are missing from the answer."""
