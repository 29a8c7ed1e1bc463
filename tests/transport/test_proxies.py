from __future__ import annotations

import pytest

from asrcli.errors import ConfigurationError
from asrcli.secret import redact
from asrcli.transport.proxies import Proxy, find_proxy


def found(environ: dict[str, str], *, scheme: str = "https", host: str = "h.example") -> str | None:
    proxy = find_proxy(scheme, host, 443, environ)
    return f"{proxy.scheme}://{proxy.host}:{proxy.port}" if proxy else None


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
        ({"https_proxy": "p:3128"}, "http://p:3128"),
        ({"https_proxy": "http://small:1", "HTTPS_PROXY": "http://LARGE:2"}, "http://small:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://p:2"}, "http://p:2"),
        ({"ALL_PROXY": "https://p"}, "https://p:443"),
        ({"all_proxy": "socks5h://p"}, "socks5h://p:1080"),
        ({"HTTP_PROXY": "http://p:3128"}, None),
        ({"HTTPS_PROXY": "http://[::1]:3128"}, "http://::1:3128"),
    ],
)
def test_the_proxy_for_https_is_found_as_curl_finds_it(
    environ: dict[str, str], proxy: str | None
) -> None:
    assert found(environ) == proxy


def test_a_header_of_a_web_request_is_not_taken_for_a_proxy() -> None:
    assert found({"HTTP_PROXY": "http://evil", "REQUEST_METHOD": "GET"}, scheme="http") is None
    assert found({"HTTP_PROXY": "http://good"}, scheme="http") == "http://good:80"


@pytest.mark.parametrize(
    ("exceptions", "host", "direct"),
    [
        ("h.example", "h.example", True),
        (".example", "h.example", True),
        ("*.example", "h.example", True),
        ("other,h.example", "h.example", True),
        ("other h.example", "h.example", True),
        ("H.EXAMPLE", "h.example", True),
        ("*", "h.example", True),
        ("h.example:443", "h.example", True),
        ("h.example:80", "h.example", False),
        ("ample", "h.example", False),
        ("xh.example", "h.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("fd00::1", "fd00::1", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("", "h.example", False),
        (",", "h.example", False),
    ],
)
def test_exceptions_are_honoured(exceptions: str, host: str, direct: bool) -> None:
    environ = {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": exceptions}

    assert (found(environ, host=host) is None) is direct


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_loopback_is_never_asked_of_a_proxy(host: str) -> None:
    assert found({"ALL_PROXY": "http://p:3128"}, host=host) is None


@pytest.mark.parametrize(
    "value",
    ["ftp://x", "http://", "http://p:99999", "socks4://p", "http://p:x", "http://p q", "//"],
)
def test_junk_is_refused_with_the_name_of_the_variable(value: str) -> None:
    with pytest.raises(ConfigurationError, match="ALL_PROXY") as caught:
        found({"ALL_PROXY": value})

    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    "value", ["ftp://user:hush@p", "user:hush@p:x", "http://user:hush@p:99999"]
)
def test_junk_is_shown_without_its_password(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        found({"all_proxy": value})

    assert "hush" not in str(caught.value)


def test_user_and_password_are_decoded_and_kept_as_a_secret() -> None:
    proxy = find_proxy("https", "h.example", 443, {"ALL_PROXY": "http://me:p%40ssw0rd@p:1"})

    assert isinstance(proxy, Proxy)
    assert proxy.login is not None
    assert proxy.login.reveal() == "me:p@ssw0rd"
    assert "ssw0rd" not in repr(proxy)
    assert "ssw0rd" not in redact("the password is p@ssw0rd")


def test_a_socks_proxy_without_its_package_names_the_variable_and_the_extra() -> None:
    with pytest.raises(ConfigurationError, match="ALL_PROXY") as caught:
        find_proxy(
            "https", "h.example", 443, {"ALL_PROXY": "socks5://p"}, installed=lambda _: False
        )

    assert caught.value.exit_status == 2
    assert "asrcli[socks]" in (caught.value.hint or "")
