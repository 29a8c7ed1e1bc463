from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from asrcli.errors import ConfigurationError, KeyMissingError
from asrcli.settings import Settings, configuration_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def write(path: Path, text: str | bytes) -> None:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)


def settings(path: Path, environ: dict[str, str] | None = None, **rest: object) -> Settings:
    return Settings(environ=environ or {}, path=path, **rest)  # type: ignore[arg-type]


def key_of(found: Settings, provider: str = "qwen") -> str:
    key = found.key(provider)
    assert key is not None
    return key.value.reveal()


def test_the_own_variable_beats_the_services_and_both_beat_keyring_and_file(path: Path) -> None:
    write(path, '[qwen]\nkey = "from-file"\n')
    environ = {"ASRCLI_DASHSCOPE_API_KEY": "from-own", "DASHSCOPE_API_KEY": "from-service"}
    keyring: Callable[[str], str | None] = lambda _: "from-keyring"  # noqa: E731

    seen = []
    for name in [None, "ASRCLI_DASHSCOPE_API_KEY", "DASHSCOPE_API_KEY"]:
        environ.pop(name or "", None)
        seen.append(key_of(settings(path, environ, keyring=keyring)))
    seen.append(key_of(settings(path)))

    assert seen == ["from-own", "from-service", "from-keyring", "from-file"]


def test_a_key_knows_the_place_it_came_from(path: Path) -> None:
    found = settings(path, {"ONEMIN_API_KEY": "abcdef"}).key("onemin")

    assert found is not None
    assert found.place == "ONEMIN_API_KEY"


def test_a_missing_key_lists_the_places_that_were_looked_at(path: Path) -> None:
    with pytest.raises(KeyMissingError) as caught:
        settings(path).require_key("onemin")

    assert caught.value.exit_status == 4
    assert "ONEMIN_API_KEY" in (caught.value.hint or "")
    assert str(path) in (caught.value.hint or "")


@pytest.mark.parametrize("value", ["", "   ", "\n"])
def test_an_empty_variable_is_no_key(path: Path, value: str) -> None:
    assert settings(path, {"DASHSCOPE_API_KEY": value}).key("qwen") is None


@pytest.mark.parametrize(
    "value", [" sk-abc123 ", "sk-abc123\n", '"sk-abc123"', "'sk-abc123'", "Bearer sk-abc123"]
)
def test_a_key_with_something_around_it_is_trimmed_with_a_note(path: Path, value: str) -> None:
    notes: list[str] = []

    key = key_of(settings(path, {"DASHSCOPE_API_KEY": value}, warn=notes.append))

    assert key == "sk-abc123"
    assert len(notes) == 1
    assert "sk-abc123" not in notes[0]


@pytest.mark.parametrize("value", ["sk-abc\r\nX-Evil: 1", "sk abc", "sk-äbc", "sk-\x07abc"])
def test_a_key_that_could_break_a_header_is_refused_without_showing_it(
    path: Path, value: str
) -> None:
    with pytest.raises(ConfigurationError, match="DASHSCOPE_API_KEY") as caught:
        settings(path, {"DASHSCOPE_API_KEY": value}).key("qwen")

    assert caught.value.exit_status == 2
    assert "abc" not in str(caught.value)


def test_a_stray_openai_key_makes_no_provider_usable(path: Path) -> None:
    environ = {"OPENAI_API_KEY": "sk-abcdef"}
    with_url = environ | {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}

    assert not settings(path, environ).usable("openai")
    assert settings(path, with_url).usable("openai")


def test_local_is_usable_with_nothing_configured(path: Path) -> None:
    assert settings(path).usable("local")


def test_a_flag_beats_the_variable_for_the_base_url(path: Path) -> None:
    found = settings(path, {"ONEMIN_BASE_URL": "https://b"}, base_url="https://a").base_url(
        "onemin"
    )

    assert found is not None
    assert (found.value, found.place) == ("https://a", "--base-url")


def test_a_file_that_others_may_read_is_warned_about(path: Path) -> None:
    write(path, '[qwen]\nkey = "abcdef"\n')
    path.chmod(0o644)
    notes: list[str] = []

    settings(path, warn=notes.append).key("qwen")

    assert "chmod 600" in notes[0]


def test_an_unknown_name_in_the_file_is_warned_about_with_the_nearest(path: Path) -> None:
    write(path, '[qwen]\nkeey = "abcdef"\n[qwne]\nkey = "x"\n')
    notes: list[str] = []

    assert settings(path, warn=notes.append).key("qwen") is None

    assert "did you mean key?" in notes[0]
    assert "did you mean qwen?" in notes[1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[qwen\n", "config.toml"),
        ("[qwen]\nkey = 5\n", "qwen.key must be a text"),
        ('qwen = "x"\n', "must be a table"),
        (b"\xff\xfe[qwen]", "config.toml"),
        (b"#" * 1_000_001, "too large"),
    ],
)
def test_a_broken_file_is_refused_with_its_name(
    path: Path, content: str | bytes, said: str
) -> None:
    write(path, content)

    with pytest.raises(ConfigurationError, match=said):
        settings(path).key("qwen")


def test_a_byte_order_mark_at_the_start_of_the_file_is_no_error(path: Path) -> None:
    write(path, b'\xef\xbb\xbf[qwen]\nkey = "abcdef"\n')

    assert key_of(settings(path)) == "abcdef"


def test_a_relative_xdg_folder_is_ignored(tmp_path: Path) -> None:
    assert configuration_path({"XDG_CONFIG_HOME": str(tmp_path)}).parent.parent == tmp_path
    assert configuration_path({"XDG_CONFIG_HOME": "relative"}).is_absolute()
