"""`asrcli jobs` and jobs of `transcribe`: the installed program against the emulated service."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Served
from tests.emulators.dashscope import faults, hosts
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.scripts import NEVER, JobScript
from tests.emulators.service import Received
from tests.emulators.troubles import Gate
from tests.program import COMMAND, Ran, environment, run
from tests.recordings import concatenate, recording, side_by_side, silence

SUBMIT = "/api/v1/services/audio/asr/transcription"
POLLS = "GET /api/v1/tasks/?*"
WELCOME, NUMBER = recording("welcome").text, recording("number").text
FAST = JobScript(pending_polls=0, running_polls=0)
FILETRANS = ("-m", "qwen3-asr-flash-filetrans")
FUN = ("-m", "fun-asr")


@pytest.fixture(autouse=True)
def jobs_end_at_once(qwen: Served[DashScope]) -> None:
    qwen.service.jobs.script = FAST


def submits(qwen: Served[DashScope]) -> list[Received]:
    return qwen.service.requests.to("POST", SUBMIT)


def jobs(qwen: Served[DashScope], *arguments: str | Path) -> Ran:
    return run("jobs", *arguments, env=qwen.env)


def detached(qwen: Served[DashScope], *inputs: Path, model: tuple[str, str] = FUN) -> list[str]:
    ran = run("transcribe", "--detach", *model, *inputs, env=qwen.env)
    assert ran.status == 0, ran.err
    return [line.partition("\t")[0] for line in ran.out.splitlines()]


def records(ran: Ran) -> list[dict[str, Any]]:
    assert ran.status == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def assert_told(ran: Ran, status: int, *said: str) -> None:
    assert ran.status == status, ran.err
    for words in said:
        assert words in ran.err
    assert "Traceback" not in ran.err
    assert hosts.KEY not in ran.err + ran.out


def written(folder: Path) -> bytes:
    """The state with its log."""
    return b"".join(path.read_bytes() for path in folder.glob("state.db*"))


# --- transcribe -----------------------------------------------------------------------------------


def test_a_long_recording_goes_to_filetrans_as_one_job(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    clips = [recording(name).path for name in ("welcome", "report", "planet", "bridge", "letter")]
    talk = concatenate(clips * 11, tmp_path / "talk.wav", gap=0.5)

    ran = run("transcribe", "-f", "json", talk, env=qwen.env)

    record = json.loads(ran.out)
    assert (ran.status, record["route"]) == (0, "job"), ran.err
    assert record["model"] == "qwen3-asr-flash-filetrans"
    assert record["text"].split()[:3] == WELCOME.split()[:3]
    assert len(submits(qwen)) == 1


def test_speakers_and_hotwords_reach_fun_asr(qwen: Served[DashScope], welcome: Path) -> None:
    ran = run(
        "transcribe", "--diarize", "--speakers", "2", "--hotword", "welcome", welcome, env=qwen.env
    )

    assert ran.status == 0, ran.err
    (request,) = submits(qwen)
    (vocabulary,) = qwen.service.vocabularies.all
    parameters = request.json["parameters"]
    assert request.json["model"] == "fun-asr"
    assert (parameters["diarization_enabled"], parameters["speaker_count"]) == (True, 2)
    assert parameters["vocabulary_id"] == vocabulary.id


def test_subtitles_have_the_times_of_the_job(qwen: Served[DashScope], welcome: Path) -> None:
    ran = run("transcribe", *FILETRANS, "-f", "srt", welcome, env=qwen.env)

    assert ran.status == 0, ran.err
    assert ran.out.startswith("1\n00:00:0")
    assert " --> 00:00:0" in ran.out


def test_detach_prints_the_id_and_nothing_is_asked_after(
    qwen: Served[DashScope], welcome: Path
) -> None:
    ran = run("transcribe", "--detach", *FILETRANS, welcome, env=qwen.env)

    (job,) = qwen.service.jobs.all
    assert (ran.status, ran.out) == (0, f"{job.id}\n")
    assert job.polls == 0


def test_detach_of_several_names_them(qwen: Served[DashScope], welcome: Path, number: Path) -> None:
    ran = run("transcribe", "--detach", *FUN, welcome, number, env=qwen.env)

    lines = [line.split("\t") for line in ran.out.splitlines()]
    assert [name for _, name in lines] == [str(welcome), str(number)]
    assert {identity for identity, _ in lines} == {job.id for job in qwen.service.jobs.all}


def test_the_same_command_without_detach_waits_for_that_job(
    qwen: Served[DashScope], welcome: Path
) -> None:
    detached(qwen, welcome)

    ran = run("transcribe", *FUN, welcome, env=qwen.env)

    assert (ran.status, ran.out) == (0, f"{WELCOME}\n")
    assert len(submits(qwen)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_j09_r11_a_run_that_is_killed_while_it_polls_submits_once_in_all(
    qwen: Served[DashScope], welcome: Path
) -> None:
    gate = Gate()
    qwen.service.failures.add(gate, route=POLLS)
    process = subprocess.Popen(
        [*COMMAND, "transcribe", *FUN, str(welcome)],
        env=environment(**qwen.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert gate.arrived.wait(30)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    gate.open()

    ran = run("transcribe", *FUN, welcome, env=qwen.env)

    assert (ran.status, ran.out) == (0, f"{WELCOME}\n"), ran.err
    assert len(submits(qwen)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_j08_a_run_that_is_killed_while_it_submits_submits_once_in_all(
    qwen: Served[DashScope], welcome: Path
) -> None:
    """The service took it, and nobody heard its answer."""
    gate = Gate()

    def answered_but_never_heard(request: Received) -> Any:
        answer = qwen.service.answer(request)
        gate.wait()
        return answer

    qwen.service.failures.add(answered_but_never_heard, route=f"POST {SUBMIT}")
    process = subprocess.Popen(
        [*COMMAND, "transcribe", *FUN, str(welcome)],
        env=environment(**qwen.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert gate.arrived.wait(30)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    gate.open()

    ran = run("transcribe", *FUN, welcome, env=qwen.env)

    assert (ran.status, ran.out) == (0, f"{WELCOME}\n"), ran.err
    assert "may have been submitted before" in ran.err
    assert len(submits(qwen)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_r14_ctrl_c_while_a_job_is_waited_for_keeps_it(
    qwen: Served[DashScope], welcome: Path
) -> None:
    gate = Gate()
    qwen.service.failures.add(gate, route=POLLS)
    process = subprocess.Popen(
        [*COMMAND, "transcribe", *FUN, str(welcome)],
        env=environment(**qwen.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert gate.arrived.wait(30)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    gate.open()

    ran = jobs(qwen, "wait")

    assert process.returncode == 130
    assert (ran.status, ran.out) == (0, f"{WELCOME}\n"), ran.err


def test_j02_a_job_that_takes_too_long_is_exit_10_and_kept(
    qwen: Served[DashScope], welcome: Path
) -> None:
    qwen.service.jobs.script = JobScript(pending_polls=NEVER)

    ran = run("transcribe", *FUN, "--job-timeout", "1", welcome, env=qwen.env)

    assert_told(ran, 10, "has not ended in time")
    assert [job["state"] for job in records(jobs(qwen, "list", "--json"))] == ["pending"]


def test_j03_j12_a_job_that_failed_waits_for_consent(
    qwen: Served[DashScope], welcome: Path
) -> None:
    """Once it is forgotten, the same command submits another."""
    qwen.service.jobs.scripts.append(
        JobScript(pending_polls=0, running_polls=0, ending="FAILED", message="no luck")
    )
    first = run("transcribe", *FUN, welcome, env=qwen.env)
    again = run("transcribe", *FUN, welcome, env=qwen.env)
    assert_told(first, 9, "no luck", "InternalError", "request ", "asrcli jobs forget ")
    assert_told(again, 9, "no luck", "InternalError", "asrcli jobs forget ")
    assert len(submits(qwen)) == 1

    jobs(qwen, "forget", qwen.service.jobs.all[0].id)

    assert run("transcribe", *FUN, welcome, env=qwen.env).out == f"{WELCOME}\n"


# --- list and show --------------------------------------------------------------------------------


def test_jobs_are_listed_the_newest_first_without_asking_the_service(
    qwen: Served[DashScope], welcome: Path, number: Path
) -> None:
    (one,) = detached(qwen, welcome)
    (two,) = detached(qwen, number)
    before = len(qwen.service.requests)

    ran = jobs(qwen, "list")

    head, *rows = [line.split("\t") for line in ran.out.splitlines()]
    assert head == ["id", "state", "model", "input", "age", "seconds"]
    assert [row[:4] for row in rows] == [
        [two, "pending", "fun-asr", str(number)],
        [one, "pending", "fun-asr", str(welcome)],
    ]
    assert len(qwen.service.requests) == before


def test_a_refreshed_list_has_the_states_of_the_service(
    qwen: Served[DashScope], welcome: Path
) -> None:
    detached(qwen, welcome)

    (record,) = records(jobs(qwen, "list", "--refresh", "--json"))

    assert (record["type"], record["state"]) == ("job", "succeeded")


def test_fetched_jobs_are_listed_only_with_all(qwen: Served[DashScope], welcome: Path) -> None:
    run("transcribe", *FUN, welcome, env=qwen.env)

    assert records(jobs(qwen, "list", "--json")) == []
    assert "--all shows 1 whose transcripts were fetched" in jobs(qwen, "list").err
    assert [r["state"] for r in records(jobs(qwen, "list", "--all", "--json"))] == ["fetched"]


def test_no_jobs_are_no_rows(qwen: Served[DashScope]) -> None:
    ran = jobs(qwen, "list")

    assert (ran.status, ran.out.count("\n")) == (0, 1)
    assert ran.err == "asrcli: there are no jobs here\n"


def test_show_takes_the_beginning_of_an_id_and_asks_once(
    qwen: Served[DashScope], welcome: Path
) -> None:
    (identity,) = detached(qwen, welcome)

    (record,) = records(jobs(qwen, "show", "--json", identity[:8]))

    assert (record["id"], record["state"]) == (identity, "succeeded")
    assert record["source"] == str(welcome.resolve())
    assert qwen.service.jobs.all[0].polls == 1


def test_show_asks_nobody_offline(qwen: Served[DashScope], welcome: Path) -> None:
    (identity,) = detached(qwen, welcome)

    ran = jobs(qwen, "show", "--offline", identity)

    assert ran.status == 0, ran.err
    assert f"id\t{identity}\n" in ran.out
    assert "handle" not in ran.out
    assert qwen.service.jobs.all[0].polls == 0


def test_a_job_that_the_service_lost_is_shown_with_what_is_known(
    qwen: Served[DashScope], welcome: Path
) -> None:
    (identity,) = detached(qwen, welcome)
    qwen.service.failures.add(faults.invalid_key(), route=POLLS)

    ran = jobs(qwen, "show", identity)

    assert_told(ran, 4, "refused")
    assert identity in ran.out


@pytest.mark.parametrize("command", ["show", "wait", "cancel", "forget"])
@pytest.mark.parametrize("identity", ["nothing", "../../x", ""])
def test_x08_an_id_that_nobody_has_is_refused(
    qwen: Served[DashScope], command: str, identity: str
) -> None:
    assert_told(jobs(qwen, command, identity), 2, "there is no job")
    assert not qwen.service.requests


def test_a_beginning_that_several_share_is_refused(qwen: Served[DashScope], tmp_path: Path) -> None:
    # Of seventeen ids in hexadecimal digits two begin alike.
    paths = [Path(shutil.copy(recording("number").path, tmp_path / f"{i}.wav")) for i in range(17)]
    for number, path in enumerate(paths):
        with path.open("ab") as file:
            file.write(bytes([number]) * 3200)
    found = detached(qwen, *paths)
    shared = next(i[0] for i in found if sum(j[0] == i[0] for j in found) > 1)

    assert_told(jobs(qwen, "show", "--offline", shared), 2, "several jobs begin with")


# --- wait -----------------------------------------------------------------------------------------


def test_wait_prints_all_open_jobs_and_keeps_the_answers(
    qwen: Served[DashScope], welcome: Path, number: Path
) -> None:
    detached(qwen, welcome)
    detached(qwen, number)

    ran = jobs(qwen, "wait")
    before = len(qwen.service.requests)
    again = run("transcribe", *FUN, welcome, env=qwen.env)

    assert ran.status == 0, ran.err
    assert ran.out == f"==> {welcome} <==\n{WELCOME}\n\n==> {number} <==\n{NUMBER}\n"
    assert (again.out, len(qwen.service.requests)) == (f"{WELCOME}\n", before)


@pytest.mark.parametrize(
    ("kind", "begins"), [("srt", "1\n00:"), ("vtt", "WEBVTT"), ("tsv", "start\tend\ttext\n")]
)
def test_wait_writes_what_it_is_asked_for(
    qwen: Served[DashScope], welcome: Path, kind: str, begins: str
) -> None:
    (identity,) = detached(qwen, welcome)

    ran = jobs(qwen, "wait", "-f", kind, identity)

    assert ran.status == 0, ran.err
    assert ran.out.startswith(begins)


def test_j12_wait_gives_records_failures_included(
    qwen: Served[DashScope], welcome: Path, number: Path
) -> None:
    """The one that is whole is kept, whatever becomes of the other."""
    failing = JobScript(pending_polls=0, running_polls=0, ending="FAILED", message="no luck")
    qwen.service.jobs.scripts.append(failing)
    detached(qwen, welcome)
    detached(qwen, number)

    ran = jobs(qwen, "wait", "-f", "jsonl")

    first, second = map(json.loads, ran.out.splitlines())
    assert ran.status == 3
    assert (first["status"], first["error"]["class"]) == ("failed", "service")
    assert (second["status"], second["text"]) == ("ok", NUMBER)


def test_wait_of_several_as_subtitles_is_refused(
    qwen: Served[DashScope], welcome: Path, number: Path
) -> None:
    detached(qwen, welcome, number)

    assert_told(jobs(qwen, "wait", "-f", "srt"), 2, "srt")


def test_j02_wait_ends_at_its_limit(qwen: Served[DashScope], welcome: Path) -> None:
    qwen.service.jobs.script = JobScript(pending_polls=NEVER)
    detached(qwen, welcome)

    assert_told(jobs(qwen, "wait", "--job-timeout", "1"), 10, "has not ended in time")


def test_wait_for_nothing_ends_at_once(qwen: Served[DashScope]) -> None:
    ran = jobs(qwen, "wait")

    assert (ran.status, ran.out) == (0, "")
    assert_told(ran, 0, "no jobs to wait for")


def test_wait_without_a_key_is_exit_4(qwen: Served[DashScope], welcome: Path) -> None:
    detached(qwen, welcome)

    assert_told(run("jobs", "wait"), 4, "no key for qwen")


# --- cancel and forget ----------------------------------------------------------------------------


def test_a_job_that_has_not_begun_is_canceled(qwen: Served[DashScope], welcome: Path) -> None:
    qwen.service.jobs.script = JobScript(pending_polls=NEVER)
    (identity,) = detached(qwen, welcome)

    ran = jobs(qwen, "cancel", identity)

    assert_told(ran, 0, "was canceled")
    assert qwen.service.jobs.all[0].canceled
    assert [r["state"] for r in records(jobs(qwen, "list", "--json"))] == ["canceled"]


def test_a_job_that_has_begun_cannot_be_canceled(qwen: Served[DashScope], welcome: Path) -> None:
    (identity,) = detached(qwen, welcome)

    ran = jobs(qwen, "cancel", identity)

    assert_told(ran, 9, "UnsupportedOperation", f"`asrcli jobs wait {identity}`")


def test_a_job_that_is_forgotten_is_submitted_anew(qwen: Served[DashScope], welcome: Path) -> None:
    (identity,) = detached(qwen, welcome)

    ran = jobs(qwen, "forget", identity)
    detached(qwen, welcome)

    assert_told(ran, 0, "may go on at the service", "forgot 1 job")
    assert len(submits(qwen)) == 2


def test_all_jobs_are_forgotten_and_answers_stay(
    qwen: Served[DashScope], welcome: Path, number: Path
) -> None:
    run("transcribe", *FUN, welcome, env=qwen.env)
    detached(qwen, number)

    assert_told(jobs(qwen, "forget", "--all"), 0, "forgot 2 jobs")
    assert records(jobs(qwen, "list", "--all", "--json")) == []
    assert run("transcribe", *FUN, "--offline", welcome, env=qwen.env).out == f"{WELCOME}\n"


def test_everything_is_erased_only_with_yes_where_nobody_can_be_asked(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state.db"
    run("transcribe", *FUN, "--state", state, welcome, env=qwen.env)
    refused = jobs(qwen, "forget", "--everything", "--state", state)
    assert_told(refused, 2, "nobody can be asked")
    assert WELCOME.encode()[:12] in written(tmp_path)

    erased = jobs(qwen, "forget", "--everything", "--yes", "--state", state)

    assert_told(erased, 0, "was erased")
    assert WELCOME.encode()[:12] not in written(tmp_path)


@pytest.mark.parametrize("given", [[], ["--all", "--everything"], ["--all", "some-id"]])
def test_what_is_to_be_forgotten_is_said_in_one_way(
    qwen: Served[DashScope], given: list[str]
) -> None:
    assert_told(jobs(qwen, "forget", *given), 2, "--everything")


@pytest.mark.parametrize(
    "command", [[], ["list"], ["show"], ["wait"], ["cancel"], ["forget"]], ids=" ".join
)
def test_help_begins_with_examples(command: list[str]) -> None:
    ran = run("jobs", *command, "--help")

    assert ran.status == 0
    assert ran.out.index("Examples:") < ran.out.index("Options")


# --- channels -----------------------------------------------------------------------------------


@pytest.fixture
def call(tmp_path: Path) -> Path:
    """Two sides, one channel each: one speaks, then the other."""
    one, other = (recording(name).path for name in ("welcome", "number"))
    later = concatenate([silence(12.0, tmp_path / "pause.wav"), other], tmp_path / "later.wav")
    return side_by_side([one, later], tmp_path / "call.wav")


@pytest.mark.parametrize("model", ["fun-asr", "qwen3-asr-flash-filetrans"])
def test_a_service_that_hears_one_channel_alone_is_given_all_of_them_as_one(
    qwen: Served[DashScope], call: Path, model: str
) -> None:
    ran = run("transcribe", "-m", model, call, env=qwen.env)

    assert ran.status == 0, ran.err
    heard = " ".join(ran.out.split())
    assert recording("welcome").text in heard
    assert recording("number").text in heard


def test_each_channel_that_a_job_takes_apart_is_counted_in_what_it_costs(
    qwen: Served[DashScope], call: Path
) -> None:
    asked = ("transcribe", "-n", "-f", "json", "-m", "qwen3-asr-flash-filetrans", call)

    together = run(*asked, env=qwen.env)
    apart = run(*asked, "--split-channels", env=qwen.env)

    costs = [json.loads(ran.out.splitlines()[0])["cost"] for ran in (together, apart)]
    assert costs[1] == pytest.approx(2 * costs[0], rel=0.01)


def test_no_number_of_dollars_or_seconds_is_no_limit(qwen: Served[DashScope], call: Path) -> None:
    for option in ("--max-cost", "--job-timeout"):
        ran = run("transcribe", option, "nan", call, env=qwen.env)

        assert ran.status == 2
        assert "nan" in ran.err
    assert not qwen.server.connections_opened
