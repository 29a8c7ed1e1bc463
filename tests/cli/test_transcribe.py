"""The installed program on recordings: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import jsonschema
import pytest

from asrcli.output.records import schema
from tests.cli.conftest import Served
from tests.emulators.dashscope.app import DashScope
from tests.emulators.onemin import OneMin
from tests.emulators.server import serve
from tests.program import COMMAND, environment, run
from tests.recordings import encode_as, recording

WELCOME = recording("welcome")
NUMBER = recording("number")
FLASH = ("-m", "qwen3-asr-flash")


def plain(text: str) -> list[str]:
    """The words alone, as the embedded engine writes them."""
    kept = (c if c.isalnum() or c in "' " else " " for c in text.lower())
    return "".join(kept).split()


# --- the way of one file ----------------------------------------------------------------------


def test_a_machine_with_no_key_transcribes_at_once(welcome: Path) -> None:
    ran = run("transcribe", welcome)

    assert ran.status == 0, ran.err
    assert ran.out == WELCOME.heard + "\n"


def test_the_embedded_engine_says_in_one_line_that_it_is_rough_and_what_is_better(
    welcome: Path,
) -> None:
    ran = run("transcribe", welcome)

    assert len(ran.err.splitlines()) == 1
    assert "rough" in ran.err
    assert "DASHSCOPE_API_KEY" in ran.err


def test_what_is_rough_is_said_once_however_many_inputs_there_are(
    welcome: Path, tmp_path: Path
) -> None:
    for name in "abc":
        shutil.copyfile(welcome, tmp_path / f"{name}.wav")
    ran = run("transcribe", *sorted(tmp_path.glob("?.wav")), "-j", "3")

    assert ran.status == 0
    assert ran.err.count("rough") == 1


def test_qwen_cloud_gives_the_words(qwen: Served[DashScope], welcome: Path) -> None:
    ran = run("transcribe", welcome, env=qwen.env)

    assert (ran.status, ran.out, ran.err) == (0, WELCOME.text + "\n", "")


def test_onemin_gives_the_words(onemin: Served[OneMin], welcome: Path) -> None:
    ran = run("transcribe", welcome, env=onemin.env)

    assert (ran.status, ran.out, ran.err) == (0, WELCOME.text + "\n", "")


def test_with_both_keys_qwen_cloud_is_asked_and_p_changes_that(
    qwen: Served[DashScope], onemin: Served[OneMin], welcome: Path
) -> None:
    both = qwen.env | onemin.env

    run("transcribe", welcome, env=both)
    run("transcribe", "-p", "onemin", welcome, env=both)

    assert len(qwen.service.requests) == 1
    assert len(onemin.service.requests) == 2  # the upload and the call


def test_a_pipe_is_read(qwen: Served[DashScope], welcome: Path) -> None:
    ran = run("transcribe", "-", env=qwen.env, stdin=welcome.read_bytes())

    assert (ran.status, ran.out) == (0, WELCOME.text + "\n")


def test_an_m4a_whose_index_is_at_its_end_can_come_through_a_pipe(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    encoded = encode_as(WELCOME.path, "m4a", tmp_path)

    ran = run("transcribe", "-", env=qwen.env, stdin=encoded.read_bytes())

    assert (ran.status, ran.out) == (0, WELCOME.text + "\n")


def test_verbose_says_which_model_and_why_and_what_was_converted(
    onemin: Served[OneMin], tmp_path: Path
) -> None:
    encoded = encode_as(WELCOME.path, "mov", tmp_path)  # 1min.ai does not take it

    ran = run("transcribe", "-v", encoded, env=onemin.env)

    assert ran.out == WELCOME.text + "\n"
    assert "qwen3-asr-flash at onemin" in ran.err
    assert "converted from mov" in ran.err


def test_options_can_be_set_by_variables(qwen: Served[DashScope], welcome: Path) -> None:
    ran = run("transcribe", welcome, env=qwen.env | {"ASRCLI_FORMAT": "json"})

    assert json.loads(ran.out)["text"] == WELCOME.text


def test_language_itn_and_prompt_reach_the_service(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    (tmp_path / "prompt.txt").write_text("names: Bridget", "utf-8")
    options = ["-l", "en-GB", "--itn", "--prompt", f"@{tmp_path / 'prompt.txt'}"]

    ran = run("transcribe", welcome, *options, env=qwen.env)

    assert ran.status == 0, ran.err
    (request,) = qwen.service.requests
    assert request.json["parameters"]["asr_options"] == {"language": "en", "enable_itn": True}
    assert request.json["input"]["messages"][0]["content"] == [{"text": "names: Bridget"}]


# --- formats and places -----------------------------------------------------------------------


def test_json_has_everything_and_follows_the_schema(qwen: Served[DashScope], welcome: Path) -> None:
    ran = run("transcribe", *FLASH, "--emotion", "-f", "json", welcome, env=qwen.env)
    record = json.loads(ran.out)

    jsonschema.validate(record, schema())
    assert record["text"] == WELCOME.text
    assert record["segments"][0]["emotion"] == "neutral"
    assert record["segments"][0]["timing"] == "none"
    assert record["language"] == "en"
    assert record["source"]["container"] == "wav"


def test_the_embedded_engine_gives_times_of_words(welcome: Path) -> None:
    ran = run("transcribe", "--words", "-f", "json", welcome)
    record = json.loads(ran.out)
    words = [word for segment in record["segments"] for word in segment["words"]]

    assert [word["text"] for word in words] == plain(WELCOME.text)
    for found, said in zip(words, WELCOME.words, strict=True):
        assert abs(found["start"] - said.start) < 0.25
    assert all(0 <= word["confidence"] <= 1 for word in words)


def test_subtitles_are_written_by_suffix(welcome: Path, tmp_path: Path) -> None:
    ran = run("transcribe", welcome, "-o", tmp_path / "welcome.srt")

    assert (ran.status, ran.out) == (0, "")
    lines = (tmp_path / "welcome.srt").read_text("utf-8").splitlines()
    assert lines[0] == "1"
    assert " --> " in lines[1]
    assert lines[2].startswith("good morning")


def test_several_inputs_are_printed_under_headings_in_their_order(
    qwen: Served[DashScope], welcome: Path, number: Path
) -> None:
    ran = run("transcribe", "number.wav", "welcome.wav", env=qwen.env, cwd=welcome.parent)

    assert ran.status == 0
    assert ran.out == (
        f"==> number.wav <==\n{NUMBER.text}\n\n==> welcome.wav <==\n{WELCOME.text}\n"
    )


def test_headings_can_be_left_out(qwen: Served[DashScope], welcome: Path, number: Path) -> None:
    ran = run("transcribe", "--no-headings", number, welcome, env=qwen.env)

    assert ran.out == f"{NUMBER.text}\n{WELCOME.text}\n"


def test_a_bad_file_fails_alone_and_jsonl_says_so(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.wav").write_text("this is no sound", "utf-8")

    ran = run("transcribe", "-f", "jsonl", tmp_path / "bad.wav", welcome, env=qwen.env)
    records = [json.loads(line) for line in ran.out.splitlines()]

    assert ran.status == 3
    assert [record["status"] for record in records] == ["failed", "ok"]
    assert records[0]["error"]["class"] == "input"
    for record in records:
        jsonschema.validate(record, schema())


def test_a_folder_is_mirrored_in_several_formats(welcome: Path, tmp_path: Path) -> None:
    tree = tmp_path / "in"
    (tree / "deep").mkdir(parents=True)
    shutil.copy(welcome, tree / "deep" / "welcome.wav")
    shutil.copy(NUMBER.path, tree / "number.wav")

    ran = run("transcribe", "-r", tree, "-o", tmp_path / "out", "-f", "text", "-f", "vtt")

    assert ran.status == 0, ran.err
    found = sorted(
        p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")
    )
    assert found == ["deep/welcome.txt", "deep/welcome.vtt", "number.txt", "number.vtt"]


def test_an_existing_result_is_left_alone_before_anything_is_sent(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine", "utf-8")

    ran = run("transcribe", welcome, "-o", tmp_path / "mine.txt", env=qwen.env)

    assert ran.status == 8
    assert "mine.txt exists" in ran.err
    assert "--overwrite" in ran.err
    assert (tmp_path / "mine.txt").read_text("utf-8") == "mine"
    assert qwen.service.requests == []

    again = run("transcribe", "--overwrite", welcome, "-o", tmp_path / "mine.txt", env=qwen.env)

    assert again.status == 0
    assert (tmp_path / "mine.txt").read_text("utf-8") == WELCOME.text + "\n"


def test_json_of_several_inputs_needs_a_folder(welcome: Path, number: Path) -> None:
    ran = run("transcribe", "-f", "json", welcome, number)

    assert ran.status == 2
    assert "-o DIR" in ran.err


def test_a_list_of_files_is_read_from_a_pipe(
    qwen: Served[DashScope], welcome: Path, number: Path
) -> None:
    names = f"# two of them\n\n{welcome}\r\n{number}\n".encode()

    ran = run("transcribe", "--no-headings", "--files-from", "-", env=qwen.env, stdin=names)
    by_nul = run(
        "transcribe", "--no-headings", "-0", "--files-from", "-",
        env=qwen.env, stdin=f"{welcome}\0{number}\0".encode(),
    )  # fmt: skip

    assert ran.out == f"{WELCOME.text}\n{NUMBER.text}\n"
    assert by_nul.out == ran.out


def test_silence_is_an_empty_text_and_no_failure(qwen: Served[DashScope], tmp_path: Path) -> None:
    from tests.recordings import silence

    path = silence(3.0, tmp_path / "silence.wav")

    for env in ({}, qwen.env):
        ran = run("transcribe", path, "-o", "-", env=env)
        record = run("transcribe", path, "-f", "json", env=env)

        assert (ran.status, ran.out) == (0, "")
        assert json.loads(record.out)["empty"] is True


# --- uploads and references -------------------------------------------------------------------


def test_an_upload_prints_a_reference_that_transcribe_takes(
    qwen: Served[DashScope], welcome: Path
) -> None:
    stored = run("upload", welcome, env=qwen.env)
    ran = run("transcribe", stored.out.strip(), env=qwen.env)

    assert stored.out.startswith("oss://")
    assert (ran.status, ran.out) == (0, WELCOME.text + "\n")


def test_an_upload_to_onemin_prints_a_reference_that_transcribe_takes(
    onemin: Served[OneMin], welcome: Path
) -> None:
    stored = run("upload", welcome, env=onemin.env)
    ran = run("transcribe", stored.out.strip(), env=onemin.env)

    assert stored.out.startswith("onemin:")
    assert (ran.status, ran.out) == (0, WELCOME.text + "\n")


def test_an_upload_as_json_tells_size_hash_and_end(qwen: Served[DashScope], welcome: Path) -> None:
    import hashlib

    record = json.loads(run("upload", "--json", welcome, env=qwen.env).out)

    assert record["bytes"] == welcome.stat().st_size
    assert record["sha256"] == hashlib.sha256(welcome.read_bytes()).hexdigest()
    assert record["expires"].endswith("+00:00")


def test_a_reference_of_one_service_is_refused_at_another(qwen: Served[DashScope]) -> None:
    ran = run("transcribe", "-p", "qwen", "onemin:audios/x.wav", env=qwen.env)

    assert ran.status == 2
    assert "-p onemin" in ran.err
    assert qwen.service.requests == []


def test_a_url_goes_through_untouched_where_the_model_takes_urls(
    qwen: Served[DashScope],
) -> None:
    url = "https://host.example/talk%201.mp3"
    run("transcribe", "-m", "qwen3-asr-flash", "--retries", "0", url, env=qwen.env)
    run("transcribe", "--detach", url, env=qwen.env)

    call, job = qwen.service.requests
    assert call.json["input"]["messages"][0]["content"][0]["audio"] == url
    assert job.json["input"]["file_url"] == url


def test_a_url_is_fetched_for_who_cannot_do_it_itself(
    onemin: Served[OneMin], welcome: Path
) -> None:
    with serve(lambda request: httpx.Response(200, content=welcome.read_bytes())) as web:
        url = f"{web.url}/welcome.wav"
        closed = run("transcribe", "-p", "onemin", url, env=onemin.env)
        opened = run("transcribe", "-p", "onemin", "--insecure-http", url, env=onemin.env)

    assert closed.status == 7
    assert "private" in closed.err
    assert (opened.status, opened.out) == (0, WELCOME.text + "\n")


def test_a_web_page_is_no_recording(onemin: Served[OneMin]) -> None:
    page = {"content-type": "text/html"}
    with serve(lambda request: httpx.Response(200, headers=page, content=b"<html>")) as web:
        url = f"{web.url}/talk?sig=secret"
        ran = run("transcribe", "-p", "onemin", "--insecure-http", url, env=onemin.env)

    assert ran.status == 7
    assert "web page" in ran.err
    assert "secret" not in ran.err
    assert onemin.service.requests == []


# --- models -----------------------------------------------------------------------------------


def test_models_marks_what_can_be_used_now(qwen: Served[DashScope]) -> None:
    records = json.loads(run("models", "--json", env=qwen.env).out)
    usable = {(r["id"], r["provider"]) for r in records if r["usable"]}

    assert ("qwen3-asr-flash", "qwen") in usable
    assert ("qwen3-asr-flash", "onemin") not in usable
    assert len({r["id"] for r in records}) >= 11


def test_models_are_filtered_and_one_is_shown_in_full() -> None:
    emotional = json.loads(run("models", "--json", "--emotion", "--batch").out)
    one = run("models", "qwen3-asr-flash")

    assert all("emotion" in r["features"] + r["approximate"] for r in emotional)
    assert all(r["mode"] == "batch" for r in emotional)
    assert "Cantonese (yue)" in one.out
    assert "$0.126/h" in one.out


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    ran = run("models", "qwen3-asr-flsh")

    assert ran.status == 2
    assert "qwen3-asr-flash" in ran.err


# --- the real streams -------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="there is no head")
def test_a_reader_that_leaves_early_ends_it_quietly_with_141(
    qwen: Served[DashScope], welcome: Path
) -> None:
    # The reader is gone before the program writes: it closes its end, then starts the program.
    script = f"exec 3> >(exec true); wait $!; {COMMAND[0]} transcribe {welcome} >&3; echo $?"
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment(**qwen.env), capture_output=True, timeout=60, check=False, text=True,
    )  # fmt: skip

    assert (done.stdout, done.stderr) == ("141\n", "")


def test_the_module_works_as_the_command(welcome: Path) -> None:
    ran = run("transcribe", welcome, command=[sys.executable, "-m", "asrcli"])

    assert ran.out == WELCOME.heard + "\n"
