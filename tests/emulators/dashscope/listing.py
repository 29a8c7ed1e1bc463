"""`GET /tasks/`: which jobs an account has.

Page: https://help.aliyun.com/zh/model-studio/manage-asynchronous-tasks.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.emulators.dashscope.jobs import Job, Jobs
from tests.emulators.dashscope.refusals import invalid
from tests.emulators.dashscope.times import CHINA, DAY
from tests.emulators.dashscope.world import Call, Reply

__all__ = ["list_jobs"]

_FILTERS = {
    "task_id",
    "start_time",
    "end_time",
    "model_name",
    "status",
    "api_key_id",
    "region",
    "page_no",
    "page_size",
}
_MOST_ON_PAGE = 100


def list_jobs(jobs: Jobs, call: Call, key: str) -> Reply:
    """The page that was asked for; `key` is where the list goes. Raises a Refusal."""
    pairs = call.request.url.params.multi_items()
    given = dict(pairs)
    if len(given) != len(pairs) or not set(given) <= _FILTERS:
        raise invalid(f"the query has an unknown or repeated name: {sorted(given)}")
    first, last = _span(given, call.now)
    number = _number(given, "page_no", 1, 1_000_000)
    size = _number(given, "page_size", 10, _MOST_ON_PAGE)
    found = [
        job
        for job in jobs.owned_by(call.caller.owner)
        if first <= job.call.now < last + 1 and call.now - job.call.now <= DAY
    ]
    rows = [row for row in (_row(job, call) for job in found) if _fits(row, given)]
    return Reply(
        {
            "request_id": call.request_id,
            "page_no": number,
            "page_size": size,
            "total": len(rows),
            "total_page": -(-len(rows) // size),
            key: rows[(number - 1) * size : number * size],
        }
    )


def _span(given: dict[str, str], now: float) -> tuple[float, float]:
    last = _moment(given["end_time"]) if "end_time" in given else now
    first = _moment(given["start_time"]) if "start_time" in given else last - DAY
    if not 0 <= last - first <= DAY:
        raise invalid("start_time and end_time must be at most 24 hours apart")
    return first, last


def _moment(text: str) -> float:
    try:
        if len(text) != 14:
            raise ValueError(text)
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=CHINA).timestamp()
    except ValueError as error:
        raise invalid(f"a time must be YYYYMMDDhhmmss: {text!r}") from error


def _number(given: dict[str, str], name: str, default: int, most: int) -> int:
    text = given.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise invalid(f"{name} must be 1 to {most}: {text!r}")
    return int(text)


def _row(job: Job, call: Call) -> dict[str, Any]:
    submitted = job.call
    row: dict[str, Any] = {
        "task_id": job.id,
        "status": job.state(call.now),
        "model_name": job.model.id,
        "region": submitted.caller.region,
        "gmt_create": int(submitted.now * 1000),
        "start_time": int(submitted.now * 1000) + 37,
        "request_id": submitted.request_id,
        "api_key_id": "api-key-1",
        "caller_uid": submitted.caller.account,
        "caller_parent_id": submitted.caller.account,
        "user_api_unique_key": f"apikey:v1:audio:asr:transcription:{job.model.id}",
    }
    if job.finished is not None:
        row["end_time"] = int(job.finished * 1000)
    return row


def _fits(row: dict[str, Any], given: dict[str, str]) -> bool:
    names = ("task_id", "model_name", "status", "api_key_id", "region")
    return all(row[name] == given[name] for name in names if name in given)
