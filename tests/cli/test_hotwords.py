"""`asrcli hotwords`, whole: the installed program against the emulated service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asrcli.providers.base import Hotword
from tests.cli.conftest import Served
from tests.emulators.dashscope import faults, hosts
from tests.emulators.dashscope.app import DashScope
from tests.program import COMMAND, Ran, environment, run

LIST = "# names\nQwen\nModel Studio\t5\nGPT 4\t\nStraße\t2\tde\n"
UNKNOWN = f"vocab-asrcli-{'0' * 32}"


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text(LIST, "utf-8")
    return path


def words_of(served: Served[DashScope]) -> list[Hotword]:
    (made,) = served.service.vocabularies.all
    return [Hotword(w["text"], w["weight"], w.get("lang")) for w in made.words]


def hotwords(served: Served[DashScope], *arguments: str | Path, stdin: bytes | None = b"") -> Ran:
    return run("hotwords", *arguments, env=served.env, stdin=stdin)


def create(served: Served[DashScope], *arguments: str | Path) -> str:
    ran = hotwords(served, "create", *(arguments or ["--hotword", "Qwen"]))
    assert ran.status == 0, ran.err
    return ran.out.strip()


def assert_told(ran: Ran, status: int, *said: str) -> None:
    assert ran.status == status, ran.err
    for words in said:
        assert words in ran.err
    assert len(ran.err.splitlines()) <= 3
    assert "Traceback" not in ran.err
    assert hosts.KEY not in ran.err + ran.out


# --- create -----------------------------------------------------------------------------------


def test_a_list_is_made_and_its_id_is_all_that_is_printed(
    qwen: Served[DashScope], names: Path
) -> None:
    ran = hotwords(qwen, "create", names)

    (made,) = qwen.service.vocabularies.all
    assert (ran.status, ran.out, ran.err) == (0, f"{made.id}\n", "")
    assert made.id.startswith("vocab-asrcli-")
    assert made.target_model == "fun-asr"
    assert words_of(qwen) == [
        Hotword("Qwen", 4),
        Hotword("Model Studio", 5),
        Hotword("GPT 4", 4),
        Hotword("Straße", 2, "de"),
    ]


def test_model_prefix_and_single_words_are_options(qwen: Served[DashScope]) -> None:
    where = ["-m", "fun-asr-realtime", "--prefix", "talks", "--json"]
    ran = hotwords(qwen, "create", *where, "--hotword", "Kiel", "--hotword", "GPT 4")

    record = json.loads(ran.out)
    assert record["id"].startswith("vocab-talks-")
    assert (record["v"], record["type"], record["model"]) == (1, "vocabulary", "fun-asr-realtime")
    assert record["usable"] is True
    assert [word["text"] for word in record["words"]] == ["Kiel", "GPT 4"]


def test_words_come_from_standard_input_too(qwen: Served[DashScope]) -> None:
    ran = hotwords(qwen, "create", "-", "--hotword", "one", stdin=b"\xef\xbb\xbfone\t5\r\ntwo\r\n")

    assert ran.status == 0
    assert [word.text for word in words_of(qwen)] == ["one", "two"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there are no words"),
        (["nowhere.txt"], "nowhere.txt"),
        (["--hotword", "a\t9"], "no weight"),
        (["--hotword", "a", "--prefix", "Too-Long"], "no prefix"),
        (["--hotword", "a", "--prefix", "asrcliauto"], "take another"),
        (
            ["--hotword", "a", "-m", "qwen3-asr-flash"],
            "qwen3-asr-flash cannot do lists of hotwords",
        ),
        (["--hotword", "a", "-m", "nothing"], "there is no model"),
        (["--hotword", "阿" * 16], "16 characters"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    qwen: Served[DashScope], arguments: list[str], said: str
) -> None:
    assert_told(hotwords(qwen, "create", *arguments), 2, said)
    assert qwen.service.requests == []


def test_an_ambiguous_line_is_refused_with_its_number(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    (tmp_path / "names.txt").write_text("Qwen\nGPT 4\n", "utf-8")

    assert_told(hotwords(qwen, "create", tmp_path / "names.txt"), 2, "names.txt, line 2", "tab")


def test_too_many_words_are_trimmed_with_a_warning(qwen: Served[DashScope], tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("".join(f"w{n}\n" for n in range(501)), "utf-8")

    ran = hotwords(qwen, "create", "-m", "fun-asr-mtl", tmp_path / "names.txt")

    assert ran.status == 0
    assert "the last 1 was left out" in ran.err
    assert len(words_of(qwen)) == 500


def test_the_eleventh_list_is_refused_with_what_to_do(qwen: Served[DashScope]) -> None:
    qwen.service.failures.append(
        faults.error(400, "Throttling.AllocationQuota", "Free allocated quota exceeded.")
    )

    ran = hotwords(qwen, "create", "--hotword", "a")

    assert_told(ran, 9, "already has 10 lists", "asrcli hotwords delete")


def test_a_model_that_is_not_in_the_catalogue_is_told(qwen: Served[DashScope]) -> None:
    ran = hotwords(qwen, "create", "--hotword", "a", "-m", "fun-asr-2030-01-01")

    assert "not in the catalogue" in ran.err


def test_without_a_key_nothing_is_sent(qwen: Served[DashScope]) -> None:
    env = {k: v for k, v in qwen.env.items() if k != "DASHSCOPE_API_KEY"}

    assert_told(run("hotwords", "list", env=env), 4, "DASHSCOPE_API_KEY")
    assert qwen.service.requests == []


def test_a_refused_key_is_told(qwen: Served[DashScope]) -> None:
    ran = run("hotwords", "list", env={**qwen.env, "DASHSCOPE_API_KEY": "sk-wrong"})

    assert_told(ran, 4, "the key from DASHSCOPE_API_KEY was refused")
    assert "sk-wrong" not in ran.err


def test_offline_opens_no_connection(qwen: Served[DashScope]) -> None:
    assert_told(hotwords(qwen, "list", "--offline"), 2, "--offline")
    assert qwen.service.requests == []


# --- list and show ----------------------------------------------------------------------------


def test_lists_are_shown_as_a_table(qwen: Served[DashScope], names: Path) -> None:
    first, second = create(qwen, names), create(qwen, "--prefix", "talks", "--hotword", "a")

    ran = hotwords(qwen, "list")
    some = hotwords(qwen, "list", "--prefix", "talks")

    head, *rows = [line.split("\t") for line in ran.out.splitlines()]
    assert head == ["id", "model", "words", "state", "created", "changed"]
    assert [row[:4] for row in rows] == [
        [second, "fun-asr", "1", "OK"],
        [first, "fun-asr", "4", "OK"],
    ]
    assert [line.split("\t")[0] for line in some.out.splitlines()[1:]] == [second]


def test_lists_are_records_with_json(qwen: Served[DashScope]) -> None:
    names = {create(qwen), create(qwen)}

    ran = hotwords(qwen, "list", "--json")

    records = [json.loads(line) for line in ran.out.splitlines()]
    assert {record["id"] for record in records} == names
    assert records[0]["words"] == [{"text": "Qwen", "weight": 4, "language": None}]


def test_no_lists_are_no_rows(qwen: Served[DashScope]) -> None:
    assert hotwords(qwen, "list", "--json").out == ""
    assert "no lists" in hotwords(qwen, "list").err


def test_what_show_prints_is_what_create_reads(qwen: Served[DashScope], names: Path) -> None:
    ran = hotwords(qwen, "show", create(qwen, names))

    assert ran.out == "Qwen\nModel Studio\t5\nGPT 4\t\nStraße\t2\tde\n"
    assert "4 words for fun-asr, OK" in ran.err


@pytest.mark.parametrize("command", ["show", "update", "delete"])
def test_an_unknown_list_is_told(qwen: Served[DashScope], command: str) -> None:
    more = {"show": [], "update": ["--hotword", "a"], "delete": ["--yes"]}[command]

    assert_told(hotwords(qwen, command, UNKNOWN, *more), 9, "there is no list", "hotwords list")


@pytest.mark.parametrize("command", ["show", "update", "delete"])
def test_what_is_no_id_is_refused_before_anything_is_sent(
    qwen: Served[DashScope], command: str
) -> None:
    more = {"show": [], "update": ["--hotword", "a"], "delete": ["--yes"]}[command]

    assert_told(hotwords(qwen, command, "names.txt", *more), 2, "no id of a list")
    assert qwen.service.requests == []


# --- update and delete ------------------------------------------------------------------------


def test_an_update_replaces_all_words(qwen: Served[DashScope], names: Path) -> None:
    name = create(qwen)

    ran = hotwords(qwen, "update", name, names)

    assert (ran.status, ran.out) == (0, "")
    assert "4 words for fun-asr" in ran.err
    assert [word.text for word in words_of(qwen)] == ["Qwen", "Model Studio", "GPT 4", "Straße"]


def test_a_second_update_at_once_is_refused_by_the_service(qwen: Served[DashScope]) -> None:
    name = create(qwen)
    assert "1 word for fun-asr" in hotwords(qwen, "update", name, "--hotword", "a").err

    assert_told(hotwords(qwen, "update", name, "--hotword", "b"), 9, "5 minutes")


def test_a_deletion_wants_yes_where_nobody_can_be_asked(qwen: Served[DashScope]) -> None:
    name = create(qwen)

    refused = hotwords(qwen, "delete", name)
    done = hotwords(qwen, "delete", "--yes", name)

    assert_told(refused, 2, "--yes")
    assert (done.status, done.out) == (0, "")
    assert qwen.service.vocabularies.all == []


def test_one_of_several_that_is_not_there_does_not_stop_the_others(
    qwen: Served[DashScope],
) -> None:
    name = create(qwen)

    assert hotwords(qwen, "delete", "-y", UNKNOWN, name, name).status == 3
    assert qwen.service.vocabularies.all == []


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("n", 1), ("", 1)])
def test_a_deletion_asks_first_on_a_terminal(
    qwen: Served[DashScope], answer: str, left: int
) -> None:
    import pexpect

    name = create(qwen, "--hotword", "Qwen", "--hotword", "Kiel")
    env = environment(**qwen.env, TERM="dumb")
    child = pexpect.spawn(
        COMMAND[0], ["hotwords", "delete", name], env=env, timeout=60, encoding="utf-8",
        dimensions=(24, 200),
    )  # fmt: skip
    try:
        child.expect_exact(f"Delete {name} (2 words for fun-asr)? [y/N]:")
        child.sendline(answer)
        child.expect(pexpect.EOF)
        child.wait()
    finally:
        child.close(force=True)

    assert child.exitstatus == 0
    assert len(qwen.service.vocabularies.all) == left


# --- on the way to a transcript ---------------------------------------------------------------


def test_a_list_of_words_is_made_once_for_all_runs(
    qwen: Served[DashScope], names: Path, welcome: Path
) -> None:
    for _ in range(2):
        ran = run("transcribe", "--no-cache", "--hotwords", names, welcome, env=qwen.env)
        assert (ran.status, ran.err) == (0, "")

    assert words_of(qwen)[1] == Hotword("Model Studio", 5)


# --- help -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], ["create"], ["list"], ["show"], ["update"], ["delete"]])
def test_help_begins_with_examples(command: list[str]) -> None:
    ran = run("hotwords", *command, "--help")

    assert ran.status == 0
    assert ran.out.index("Examples:") < ran.out.index("Options")
    assert r"\b" not in ran.out


def test_without_a_command_the_help_is_shown() -> None:
    ran = run("hotwords")

    assert ran.status == 2
    assert "create" in ran.out + ran.err
