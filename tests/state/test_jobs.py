"""Jobs on the disk before they are submitted, and by one process alone."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asrcli.errors import LockedError
from asrcli.state.store import Store
from tests.state.processes import Child, go, intend, line


def test_a_job_is_written_down_before_it_is_submitted_and_found_by_its_id_after(path: Path) -> None:
    ends = datetime(2030, 1, 1, tzinfo=UTC)
    with closing(Store(path, clock=lambda: 7.0)) as store:
        intend(store, source="https://host/talk.wav", expires=ends)
    with closing(Store(path, clock=lambda: 8.0)) as store:
        intended = store.jobs.find("k")
        store.jobs.submitted("k", "task-1", "https://other/api", possible_duplicate=True)
        store.jobs.update("k", "failed", code="Bad", message="no sound")
        job = store.jobs.by_id("task-1")

    assert intended is not None
    assert (intended.id, intended.state, intended.submitted) == (None, "intended", None)
    assert job is not None
    assert (job.host, job.state, job.code, job.message) == (
        "https://other/api", "failed", "Bad", "no sound",
    )  # fmt: skip
    assert (job.source, job.expires) == ("https://host/talk.wav", ends)
    assert job.created.timestamp() == 7.0
    assert job.submitted is not None
    assert job.submitted.timestamp() == 8.0
    assert job.possible_duplicate


def test_jobs_are_listed_by_their_states(path: Path) -> None:
    with closing(Store(path)) as store:
        intend(store, "a")
        intend(store, "b")
        store.jobs.submitted("b", "task-b", "h")

        assert [job.key for job in store.jobs.all(["pending", "running"])] == ["b"]
        assert store.jobs.ids() == {"task-b"}


def test_a_job_that_another_process_submits_is_not_submitted_here(path: Path, child: Child) -> None:
    other = child(INTENDS)
    assert line(other) == "intended"
    with closing(Store(path)) as store:
        with pytest.raises(LockedError, match=r"talk\.wav") as error:
            intend(store)
        assert error.value.exit_status == 11

        go(other)
        assert line(other) == "submitted"
        with pytest.raises(LockedError):
            intend(store)
        job = store.jobs.find("k")
        assert job is not None
        assert job.id == "task-1"


def test_the_intent_of_a_process_that_was_killed_is_taken_over(path: Path, child: Child) -> None:
    other = child(INTENDS)
    assert line(other) == "intended"
    other.kill()
    other.wait()

    with closing(Store(path)) as store:
        left = store.jobs.find("k")
        assert left is not None
        assert left.id is None
        intend(store, owner="heir")
        taken = store.jobs.find("k")
        assert taken is not None
        assert taken.owner == "heir"


def test_one_process_may_try_again_after_a_submit_that_failed(path: Path) -> None:
    with closing(Store(path)) as store:
        intend(store)
        intend(store)
        store.jobs.submitted("k", "task-1", "h")

        assert store.jobs.by_id("task-1") is not None


def test_a_job_that_was_refused_leaves_no_intent(path: Path) -> None:
    with closing(Store(path)) as store, closing(Store(path)) as other:
        intend(store)
        store.jobs.withdraw("k")

        assert store.jobs.find("k") is None
        intend(other)


def test_withdrawing_keeps_a_job_that_has_its_id(path: Path) -> None:
    with closing(Store(path)) as store:
        intend(store)
        store.jobs.submitted("k", "task-1", "h")
        store.jobs.withdraw("k")

        assert store.jobs.by_id("task-1") is not None


def test_the_id_of_a_job_survives_the_loss_of_the_file_in_mid_submit(path: Path) -> None:
    with closing(Store(path)) as store:
        intend(store)
        path.rename(path.with_name("moved"))
        store.jobs.submitted("k", "task-1", "h")

    with closing(Store(path)) as store:
        assert store.jobs.by_id("task-1") is not None


def test_the_locks_of_jobs_do_not_pile_up(path: Path) -> None:
    with closing(Store(path)) as store:
        for key in "abc":
            intend(store, key)
            store.jobs.submitted(key, f"task-{key}", "h")

        assert list((path.parent / "locks").iterdir()) == []


INTENDS = """
store = Store(path)
store.jobs.intend("k", provider="qwen", model="m", host="h", name="talk.wav", location="oss://a",
                  options="{}", seconds=1.0, owner="other")
say("intended")
sys.stdin.readline()
store.jobs.submitted("k", "task-1", "h")
say("submitted")
sys.stdin.readline()
"""
