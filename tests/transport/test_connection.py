from __future__ import annotations

import pytest

from asrcli.errors import ConfigurationError
from asrcli.transport.connection import (
    Connection,
    check_base_url,
    check_link,
    is_loopback,
    is_public,
    join_url,
    mask_url,
)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("  https://api.example.com/v1//\n", "https://api.example.com/v1"),
        ("https://api.example.com/v1/v1", "https://api.example.com/v1"),
        ("https://api.example.com/api/v1/api/v1/", "https://api.example.com/api/v1"),
        ("https://api.example.com/a//b", "https://api.example.com/a/b"),
        ("HTTPS://api.example.com:8443/v1", "https://api.example.com:8443/v1"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1"),
    ],
)
def test_a_base_url_is_put_right_where_that_is_safe(given: str, kept: str) -> None:
    assert check_base_url(given) == kept


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com/v1",
        "localhost:8000",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "https://",
        "https:///v1",
        "https://api.example.com:99999",
        "https://api.example.com:0",
        "https://api.example.com:port",
        "https://[::1",
        "https://user:password@api.example.com",
        "https://api.example.com/v1?key=1",
        "https://api.example.com/v1#x",
        "https://api.example.com/a b",
        "https://api.example.com\\@evil.example",
        "https://api.exa\nmple.com",
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_base_url(url)

    assert caught.value.exit_status == 2
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize("host", ["api.example.com", "10.0.0.1", "localhost.example.com"])
def test_plain_http_is_refused_beyond_loopback(host: str) -> None:
    with pytest.raises(ConfigurationError, match="plain http") as caught:
        check_base_url(f"http://{host}/v1")

    assert "--insecure-http" in (caught.value.hint or "")


def test_plain_http_is_taken_where_somebody_insists() -> None:
    assert check_base_url("http://10.0.0.1/", insecure_http=True) == "http://10.0.0.1"


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://h/v1", "models", "https://h/v1/models"),
        ("https://h/v1", "/models", "https://h/v1/models"),
        ("https://h", "api/features", "https://h/api/features"),
        ("https://h/api", "api/features", "https://h/api/features"),
        ("https://h/v1/audio/transcriptions", "audio/transcriptions",
         "https://h/v1/audio/transcriptions"),
        ("https://h/v1/audio", "audio/transcriptions", "https://h/v1/audio/transcriptions"),
        ("https://h/v1", "tasks/", "https://h/v1/tasks/"),
        ("https://h/v1/", "", "https://h/v1"),
    ],
)  # fmt: skip
def test_a_path_that_the_base_already_ends_with_is_not_doubled(
    base: str, path: str, url: str
) -> None:
    assert join_url(base, path) == url


def test_x05_a_url_is_shown_without_its_query_and_without_its_password() -> None:
    shown = mask_url("https://user:pass@oss.example.com/a/b.wav?Signature=abc&Expires=1#frag")

    assert shown == "https://oss.example.com/a/b.wav?…"


def test_a_url_with_control_characters_is_shown_without_them() -> None:
    assert "\x1b" not in mask_url("https://h/\x1b[2J")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.8.8.8", "::1"])
def test_names_and_addresses_of_this_computer_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "127.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:0a00:0001::1",
    ],
)
def test_addresses_that_are_not_open_to_everyone_are_known_in_every_spelling(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://results.example.com/x.json",
        "file:///etc/passwd",
        "https://user:pw@results.example.com/x",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/x",
        "https://127.0.0.1/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://metadata.google.internal/x",
        "https://printer.local/x",
        "//results.example.com/x",
        "https://[bad/x",
        "https://h/\r\nX: 1",
    ],
)
def test_x10_a_link_that_leads_where_it_must_not_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        check_link(url)


def test_x10_a_link_into_the_service_s_own_network_is_taken_where_the_service_is_there() -> None:
    check_link("http://127.0.0.1:8000/x", private=True)
    check_link("https://10.0.0.1/x", private=True)


def test_the_settings_do_not_show_the_environment_which_may_hold_keys() -> None:
    assert "canary" not in repr(Connection(environ={"OPENAI_API_KEY": "canary"}))


@pytest.mark.parametrize("number", [0, 65])
def test_the_number_of_connections_has_limits(number: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        Connection(max_connections=number)
