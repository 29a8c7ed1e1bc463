"""What is not asked for twice, as the recognizer sees it."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asrcli.core.memory import Memory, Sums, request_key
from asrcli.errors import FileUnreadableError, LockedError, NetworkError, OutputError
from asrcli.providers.base import Hotword, Job, Model, Options, Price, Reference
from asrcli.providers.catalogue import resolve
from asrcli.state.store import Answer, Store
from asrcli.transcript import Segment, Timing, Transcript, Word

NOW = 1_800_000_000.0
HEARD = Transcript(
    (
        Segment(
            text="Hello 世界.",
            start=0.0,
            end=1.5,
            timing=Timing.VAD,
            speaker="A",
            channel=1,
            language="en",
            emotion="happy",
            confidence=0.9,
            words=(Word("Hello", 0.0, 1.0, 0.5), Word("世", 1.0, 1.5)),
        ),
        Segment("\udcff"),
    ),
    provider="qwen",
    model="qwen3-asr-flash",
    language="en",
    duration=1.5,
    request_ids=("request-1",),
    billed_seconds=2.0,
    warnings=("cut by length",),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state" / "state.db", clock=lambda: NOW)
    yield store
    store.close()


@pytest.fixture
def memory(store: Store) -> Memory:
    return Memory(store, clock=lambda: NOW)


@pytest.fixture
def model() -> Model:
    return replace(
        resolve("qwen3-asr-flash", provider="qwen"),
        price=Price("a page", "2026-01-01", per_second=0.01),
    )


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    path.write_bytes(b"sound")
    os.utime(path, (NOW - 60, NOW - 60))
    return path


# --- keys -------------------------------------------------------------------------------------


def test_a_key_is_the_same_on_every_computer_and_in_every_version(model: Model) -> None:
    asked = Options(language="en", itn=False, words=True, hotwords=(Hotword("asrcli", 3),))

    assert request_key("hash", model, asked, channel=1, track=None) == KEY
    assert request_key("hash", model, Options()) == BARE_KEY


KEY = "6dc692aa10fff7eece44eb90dc35d0217cf25e62fe9116f3b21e8ada5196bdb2"
BARE_KEY = "da233d956e74c7c1d6cf71bc699dc1ac66d574811e96a6f53f68b15c431068b5"


@pytest.mark.parametrize(
    "asked",
    [
        Options(language="en"),
        Options(itn=False),
        Options(itn=True),
        Options(prompt="x"),
        Options(words=True),
        Options(emotion=True),
        Options(diarize=True),
        Options(speakers=2),
        Options(channels=(0,)),
        Options(hotwords=(Hotword("a"),)),
        Options(hotwords=(Hotword("a", 2),)),
        Options(vocabulary="v"),
    ],
    ids=str,
)
def test_every_option_that_is_set_is_part_of_the_key(model: Model, asked: Options) -> None:
    assert request_key("hash", model, asked) != request_key("hash", model, Options())


def test_sound_model_and_changes_are_part_of_the_key(model: Model) -> None:
    keys = {
        request_key("hash", model, Options()),
        request_key("other", model, Options()),
        request_key("hash", replace(model, id="m"), Options()),
        request_key("hash", replace(model, provider="p"), Options()),
        request_key("hash", model, Options(), channel=0),
        request_key("hash", model, Options(), normalize=True),
    }

    assert len(keys) == 6


def test_an_option_of_a_later_version_leaves_the_keys_as_they_are_until_it_is_set(
    model: Model,
) -> None:
    @dataclass(frozen=True, slots=True)
    class Later(Options):
        whisper: bool = False
        pitch: str | None = None
        rate: float = 1.0

    asked = asdict(Options(language="en"))
    old = request_key("hash", model, Options(language="en"))

    assert request_key("hash", model, Later(**asked)) == old
    assert request_key("hash", model, Later(**asked, whisper=True)) != old


# --- answers ----------------------------------------------------------------------------------


def test_a_transcript_comes_back_with_all_that_it_had(memory: Memory) -> None:
    memory.keep("k", HEARD, seconds=1.5)

    assert memory.recall("k") == HEARD
    assert memory.recall("another") is None


def test_what_a_later_version_knows_of_a_transcript_is_left_out(
    memory: Memory, store: Store
) -> None:
    content = asdict(HEARD) | {"mood": "blue"}
    content["segments"][0].update(pitch=1)
    content["segments"][0]["words"][0].update(loud=True)
    store.remember_answer("k", Answer("qwen", "m", 1.5, content))

    assert memory.recall("k") == HEARD


@pytest.mark.parametrize("content", [None, [], {"segments": 3}, {"segments": [{"timing": "new"}]}])
def test_a_transcript_that_cannot_be_read_is_not_known(
    memory: Memory, store: Store, content: object
) -> None:
    store.remember_answer("k", Answer("qwen", "m", 1.5, content))

    assert memory.recall("k") is None


def test_without_a_store_nothing_is_known_and_nothing_is_kept(wav: Path, model: Model) -> None:
    memory = Memory(None)
    memory.keep("k", HEARD, seconds=1.5)
    memory.keep_upload("u", Reference("qwen", "oss://a"))
    memory.will_write(wav, "s", "o", "d")
    memory.wrote(wav)
    intend(memory, model)
    memory.submitted_job("k", Job("task", "qwen", "m", "h"))
    memory.forget()

    assert memory.recall("k") is None
    assert memory.recall_upload("u", spare=0.0) is None
    assert memory.job("k") is None
    assert not memory.is_ours(wav)
    assert not memory.was_edited(wav)
    assert memory.identify(wav).digest == memory.identify(wav).digest


def test_forgetting_a_recording_takes_its_answers_along_even_if_it_was_never_looked_at(
    memory: Memory, wav: Path
) -> None:
    memory.keep("k", HEARD, seconds=1.5, source=Memory(None).identify(wav).digest)
    memory.keep("other", HEARD, seconds=1.5, source="another")
    memory.forget([wav, wav.with_name("gone.wav")])

    assert memory.recall("k") is None
    assert memory.recall("other") == HEARD


# --- files ------------------------------------------------------------------------------------


def test_a_file_that_looks_as_it_did_is_not_read_again(memory: Memory, wav: Path) -> None:
    first = memory.identify(wav)
    rewrite(wav, b"other", modified=NOW - 60)

    assert memory.identify(wav) == first
    assert memory.identify(wav, cached=False).digest != first.digest


def test_a_file_that_looks_different_is_read_again(memory: Memory, wav: Path) -> None:
    first = memory.identify(wav)
    rewrite(wav, b"other", modified=NOW - 59)

    assert memory.identify(wav).digest != first.digest


@pytest.mark.parametrize("age", [0.0, 1.0, -100.0])
def test_a_file_that_was_changed_just_now_or_in_the_future_is_read_every_time(
    memory: Memory, wav: Path, age: float
) -> None:
    rewrite(wav, b"sound", modified=NOW - age)
    first = memory.identify(wav)
    rewrite(wav, b"other", modified=NOW - age)

    assert memory.identify(wav).digest != first.digest


def rewrite(path: Path, content: bytes, *, modified: float) -> None:
    path.write_bytes(content)
    os.utime(path, (modified, modified))


def test_a_file_that_grows_while_it_is_read_has_no_identity(memory: Memory, wav: Path) -> None:
    wav.write_bytes(bytes(20_000_000))
    begun, stop = threading.Event(), threading.Event()

    def grow() -> None:
        with wav.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"more")
                begun.set()

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        begun.wait()
        with pytest.raises(FileUnreadableError, match="changed while it was read"):
            memory.identify(wav)
    finally:
        stop.set()
        writer.join()


def test_a_file_is_known_to_have_changed_since(memory: Memory, wav: Path) -> None:
    identity = memory.identify(wav)
    assert identity.still(wav)

    rewrite(wav, b"longer sound", modified=NOW - 60)
    assert not identity.still(wav)
    wav.unlink()
    assert not identity.still(wav)


def test_a_file_that_is_not_there_cannot_be_read(memory: Memory, tmp_path: Path) -> None:
    with pytest.raises(FileUnreadableError, match=r"gone\.wav"):
        memory.identify(tmp_path / "gone.wav")


# --- what leaves this computer ----------------------------------------------------------------


def send(memory: Memory, model: Model, error: BaseException | None = None) -> None:
    with memory.sending(model, host="h", seconds=2.0, size=10, digest="d"):
        if error is not None:
            raise error


def test_what_was_answered_and_what_failed_is_written_down(
    memory: Memory, store: Store, model: Model
) -> None:
    twice = NetworkError("qwen", "lost")
    twice.possible_duplicate = True
    send(memory, model)
    for error in (NetworkError("qwen", "lost"), twice, KeyboardInterrupt()):
        with pytest.raises(type(error)):
            send(memory, model, error)

    found = [(e["state"], bool(e["possible_duplicate"]), e["cost"]) for e in store.ledger()]
    assert found == [
        ("answered", False, 0.02),
        ("failed", False, 0.02),
        ("failed", True, 0.02),
        ("failed", False, 0.02),
    ]


def test_an_entry_is_there_while_the_sound_is_on_its_way(
    memory: Memory, store: Store, model: Model
) -> None:
    with memory.sending(model, host="h", seconds=2.0, size=10, digest="d") as entry:
        (found,) = store.ledger()
        assert (found["state"], found["host"], found["bytes"]) == ("sending", "h", 10)
        entry.possible_duplicate = True

    (found,) = store.ledger()
    assert (found["state"], found["possible_duplicate"]) == ("answered", 1)


def test_an_answer_is_not_lost_because_its_entry_cannot_be_ended(
    memory: Memory, store: Store, model: Model
) -> None:
    with memory.sending(model, host="h", seconds=2.0, size=10, digest="d"):
        store.close()


def test_nothing_is_sent_that_cannot_be_written_down(
    memory: Memory, store: Store, model: Model
) -> None:
    store.close()

    with (
        pytest.raises(OutputError),
        memory.sending(model, host="h", seconds=2.0, size=10, digest="d"),
    ):
        pytest.fail("it was sent")


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_knows_what_it_has_sent(store: Store, model: Model, kept: bool) -> None:
    memory = Memory(store if kept else None)
    threads = [threading.Thread(target=send, args=(memory, model)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    sums = memory.sums
    assert replace(sums, cost=None) == Sums(8, 80, 16.0, None)
    assert sums.cost == pytest.approx(0.16)
    send(memory, replace(model, price=None))
    assert memory.sums.cost is None


# --- uploads, jobs ----------------------------------------------------------------------------


def test_an_upload_is_found_again_until_it_ends(memory: Memory) -> None:
    ends = datetime.fromtimestamp(NOW + 3600, UTC)
    memory.keep_upload("k", Reference("qwen", "oss://a", ends))

    assert memory.recall_upload("k", spare=600.0) == Reference("qwen", "oss://a", ends)
    assert memory.recall_upload("k", spare=3601.0) is None
    memory.forget_upload("k")
    assert memory.recall_upload("k", spare=600.0) is None


def test_an_upload_without_an_end_is_trusted_for_a_day(memory: Memory) -> None:
    memory.keep_upload("k", Reference("onemin", "audios/a"))

    assert memory.recall_upload("k", spare=86_000.0) is not None
    assert memory.recall_upload("k", spare=87_000.0) is None


def test_an_upload_belongs_to_a_host_and_at_qwen_to_a_model(memory: Memory, model: Model) -> None:
    onemin = replace(model, provider="onemin")

    def key(model: Model, host: str = "h") -> str:
        return memory.upload_key("hash", model, host)

    assert key(model) != key(replace(model, id="m"))
    assert key(model) != key(model, "other")
    assert key(onemin) == key(replace(onemin, id="m"))


def intend(memory: Memory, model: Model) -> None:
    memory.intend_job(
        "k", model, host="h", name="talk.wav", location="oss://a", options=Options(itn=False),
        seconds=1.0,
    )  # fmt: skip


def test_a_job_is_written_down_with_what_was_asked(memory: Memory, model: Model) -> None:
    intend(memory, model)
    memory.submitted_job("k", Job("task", "qwen", model.id, "host", unproven=True))
    memory.update_job("k", "failed", NetworkError("qwen", "lost", code="Gone"))

    job = memory.job("k")
    assert job is not None
    assert (job.id, job.host, job.unproven, job.options) == ("task", "host", True, '{"itn": false}')
    assert (job.state, job.code, job.message) == ("failed", "Gone", "qwen: lost (Gone)")
    assert memory.job_ids() == {"task"}


def test_two_runs_do_not_submit_one_job(memory: Memory, store: Store, model: Model) -> None:
    other = Store(store.path)
    intend(memory, model)
    with pytest.raises(LockedError):
        intend(Memory(other), model)
    memory.withdraw_job("k")
    intend(Memory(other), model)
    other.close()


# --- results ----------------------------------------------------------------------------------


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write(memory: Memory, path: Path, content: bytes, options: str = "options") -> None:
    """As a run does that is not killed."""
    memory.will_write(path, "hash", options, digest(content))
    path.write_bytes(content)
    memory.wrote(path)


def test_a_result_is_finished_if_it_was_made_of_the_same_in_the_same_way(
    memory: Memory, tmp_path: Path
) -> None:
    result = tmp_path / "talk.txt"
    assert not memory.is_ours(result)
    write(memory, result, b"text")

    assert memory.is_ours(result)
    assert memory.is_finished(result, "hash", "options")
    assert not memory.is_finished(result, "another", "options")
    assert not memory.is_finished(result, "hash", "other options")


def test_a_result_that_was_removed_is_not_finished_and_not_edited(
    memory: Memory, tmp_path: Path
) -> None:
    result = tmp_path / "talk.txt"
    write(memory, result, b"text")
    result.unlink()

    assert not memory.is_finished(result, "hash", "options")
    assert not memory.was_edited(result)


def test_a_result_that_somebody_changed_was_edited(memory: Memory, tmp_path: Path) -> None:
    result = tmp_path / "talk.txt"
    write(memory, result, b"text")
    assert not memory.was_edited(result)

    rewrite(result, b"other", modified=NOW - 1)
    assert memory.was_edited(result)


@pytest.mark.parametrize("written", [True, False])
def test_a_run_that_is_killed_while_it_rewrites_a_result_leaves_one_of_ours(
    memory: Memory, tmp_path: Path, written: bool
) -> None:
    result = tmp_path / "talk.txt"
    write(memory, result, b"old")
    memory.will_write(result, "hash", "new options", digest(b"new"))
    if written:
        result.write_bytes(b"new")

    assert memory.is_ours(result)
    assert not memory.was_edited(result)
    assert memory.is_finished(result, "hash", "new options") == written
    assert memory.is_finished(result, "hash", "options") == (not written)


def test_what_was_edited_before_a_run_was_killed_stays_edited(
    memory: Memory, tmp_path: Path
) -> None:
    result = tmp_path / "talk.txt"
    write(memory, result, b"old")
    result.write_bytes(b"edited")
    memory.will_write(result, "hash", "new options", digest(b"new"))

    assert memory.was_edited(result)


def test_a_file_of_somebody_else_does_not_become_ours_before_it_is_overwritten(
    memory: Memory, tmp_path: Path
) -> None:
    result = tmp_path / "talk.txt"
    result.write_bytes(b"not ours")
    memory.will_write(result, "hash", "options", digest(b"new"))

    assert not memory.is_ours(result)
    result.write_bytes(b"new")
    assert memory.is_ours(result)


def test_a_link_is_no_result_that_is_remembered(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    link = tmp_path / "link"
    link.symlink_to("file")
    write(memory, link, b"text")

    assert not memory.is_ours(link)


# --- a full disk ------------------------------------------------------------------------------


def test_an_answer_that_cannot_be_kept_is_used_and_told_once(store: Store) -> None:
    told: list[str] = []
    memory = Memory(store, warn=told.append)
    store.close()
    memory.keep("k", HEARD, seconds=1.5)
    memory.keep("other", HEARD, seconds=1.5)
    memory.update_job("k", "fetched")

    assert memory.recall("k") == memory.recall("other") == HEARD
    assert len(told) == 1
    assert "not remembered" in told[0]


def test_where_nobody_can_be_told_an_answer_that_cannot_be_kept_is_an_error(
    memory: Memory, store: Store
) -> None:
    store.close()
    with pytest.raises(OutputError):
        memory.keep("k", HEARD, seconds=1.5)
