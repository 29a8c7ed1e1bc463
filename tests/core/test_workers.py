"""Worker threads: no more than asked for, and errors that come out."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from asrcli.core.workers import Workers


@pytest.fixture
def two() -> Iterator[Workers]:
    workers = Workers(2, name="test")
    yield workers
    workers.close()


def test_what_work_gives_comes_out_of_its_future(two: Workers) -> None:
    futures = [two.submit(lambda n=n: n * n) for n in range(20)]  # type: ignore[misc]

    assert [future.result(10) for future in futures] == [n * n for n in range(20)]


def test_what_work_raises_comes_out_of_its_future(two: Workers) -> None:
    def fail() -> None:
        raise ValueError("no good")

    with pytest.raises(ValueError, match="no good"):
        two.submit(fail).result(10)


def test_no_more_threads_work_than_asked_for(two: Workers) -> None:
    both = threading.Barrier(3)
    release = threading.Event()
    begun = []

    def work() -> None:
        begun.append(threading.get_ident())
        if len(begun) <= 2:
            both.wait(10)
        release.wait(10)

    futures = [two.submit(work) for _ in range(5)]
    both.wait(10)

    assert len(begun) == 2
    release.set()
    for future in futures:
        future.result(10)
    assert len(set(begun)) == 2


def test_after_closing_nothing_is_taken(two: Workers) -> None:
    two.close()

    with pytest.raises(RuntimeError, match="sent home"):
        two.submit(lambda: None)
