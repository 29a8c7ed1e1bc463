"""Calls through proxies: rows N16 to N18 of the fault catalogue."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from asrcli.errors import AsrError, ConfigurationError, NetworkError, Retry
from tests.faults.byte_server import ByteServer, before_reading, close, http, json_answer
from tests.faults.proxy import HTTPProxy, SOCKSProxy
from tests.transport.rig import KEY, FakeTime, connection, make_client, make_retrier

GOOD = json_answer({"text": "hello"})


def address(proxy: ByteServer, login: str = "", scheme: str = "http") -> str:
    return f"{scheme}://{login}{'@' if login else ''}127.0.0.1:{proxy.port}"


def call(environ: dict[str, str], bundle: Path, *, url: str = "https://service.test/v1") -> str:
    settings = connection(environ=environ, ca_bundle=bundle)
    client = make_client(url, settings=settings, retrier=make_retrier(FakeTime()))
    try:
        text = client.post("x", {}).json["text"]
        assert isinstance(text, str)
        return text
    finally:
        client.close()


def failure(environ: dict[str, str], bundle: Path) -> AsrError:
    with pytest.raises(AsrError) as caught:
        call(environ, bundle)
    return caught.value


def test_a_proxy_carries_the_call_and_does_not_see_the_key(
    good_tls: ssl.SSLContext, bundle: Path
) -> None:
    with ByteServer(otherwise=GOOD, tls=good_tls) as server, HTTPProxy(server.port) as proxy:
        assert call({"HTTPS_PROXY": address(proxy)}, bundle) == "hello"

    assert proxy.targets == ["service.test:443"]
    assert KEY.encode() not in b"".join(request.head for request in proxy.requests)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_proxy_with_a_password_gets_it_and_the_service_does_not(
    good_tls: ssl.SSLContext, bundle: Path
) -> None:
    with (
        ByteServer(otherwise=GOOD, tls=good_tls) as server,
        HTTPProxy(server.port, login="me:p@ss") as proxy,
    ):
        assert call({"HTTPS_PROXY": address(proxy, "me:p%40ss")}, bundle) == "hello"

    assert "proxy-authorization" not in server.requests[0].headers


@pytest.mark.parametrize("login", ["", "me:wrong-hush"])
def test_a_proxy_that_wants_a_password_is_named_without_it(
    good_tls: ssl.SSLContext, bundle: Path, login: str
) -> None:
    with (
        ByteServer(otherwise=GOOD, tls=good_tls) as server,
        HTTPProxy(server.port, login="me:right") as proxy,
    ):
        error = failure({"HTTPS_PROXY": address(proxy, login)}, bundle)

    assert isinstance(error, NetworkError)
    assert error.exit_status == 6
    assert f"proxy authentication required by 127.0.0.1:{proxy.port}" in str(error)
    assert "hush" not in f"{error} {error.hint}"
    assert len(proxy.targets) == 1
    assert server.requests == []


def test_a_proxy_that_wants_a_password_for_plain_http_is_named_too(bundle: Path) -> None:
    with ByteServer(otherwise=GOOD) as server, HTTPProxy(server.port, login="me:right") as proxy:
        settings = connection(environ={"HTTP_PROXY": address(proxy)}, insecure_http=True)
        client = make_client("http://service.test", settings=settings)
        with pytest.raises(NetworkError, match="proxy authentication required"):
            client.get("x")
        client.close()


def test_plain_http_goes_through_a_proxy_as_well() -> None:
    with ByteServer(otherwise=GOOD) as server, HTTPProxy(server.port) as proxy:
        settings = connection(environ={"http_proxy": address(proxy)}, insecure_http=True)
        client = make_client("http://service.test", settings=settings)
        assert client.get("x").json == {"text": "hello"}
        client.close()

    assert proxy.targets == ["http://service.test/x"]


@pytest.mark.parametrize(("status", "retry"), [(403, Retry.NEVER), (503, Retry.TRANSIENT)])
def test_a_proxy_that_does_not_connect_is_named_with_its_reason(
    bundle: Path, status: int, retry: Retry
) -> None:
    with HTTPProxy(1, refuse=status) as proxy:
        error = failure({"HTTPS_PROXY": address(proxy)}, bundle)

    assert f"127.0.0.1:{proxy.port} did not connect to service.test:443 ({status})" in str(error)
    assert error.exit_status == 6
    assert error.retry is retry
    assert not error.possible_duplicate


def test_a_proxy_that_is_not_there_is_named(bundle: Path) -> None:
    with HTTPProxy(1) as gone:
        environ = {"HTTPS_PROXY": address(gone)}
    error = failure(environ, bundle)

    assert f"127.0.0.1:{gone.port} refused the connection" in str(error)


def test_a_proxy_that_closes_is_no_unclear_failure(bundle: Path) -> None:
    with ByteServer(otherwise=close()) as proxy:
        error = failure({"HTTPS_PROXY": address(proxy)}, bundle)

    assert error.retry is Retry.TRANSIENT
    assert not error.possible_duplicate


def test_a_certificate_is_checked_behind_a_proxy_too(good_tls: ssl.SSLContext) -> None:
    with ByteServer(otherwise=GOOD, tls=good_tls) as server, HTTPProxy(server.port) as proxy:
        settings = connection(environ={"HTTPS_PROXY": address(proxy)})
        client = make_client("https://service.test", settings=settings)
        with pytest.raises(AsrError, match=r"service\.test: its certificate") as caught:
            client.get("x")
        client.close()

    assert caught.value.retry is Retry.NEVER


def test_a_proxy_that_is_reached_by_tls_carries_tls(good_tls: ssl.SSLContext, bundle: Path) -> None:
    with (
        ByteServer(otherwise=GOOD, tls=good_tls) as server,
        HTTPProxy(server.port, tls=good_tls, login="me:p") as proxy,
    ):
        environ = {"HTTPS_PROXY": address(proxy, "me:p", "https")}
        assert call(environ, bundle) == "hello"

    assert proxy.targets == ["service.test:443"]


def test_a_host_that_is_excepted_is_called_directly(good_tls: ssl.SSLContext, bundle: Path) -> None:
    with ByteServer(otherwise=GOOD, tls=good_tls) as server, HTTPProxy(1, refuse=403) as proxy:
        environ = {"ALL_PROXY": address(proxy)}
        assert call(environ, bundle, url=server.url) == "hello"

    assert proxy.targets == []


@pytest.mark.parametrize("login", ["", "me:p@ss"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_carries_the_call(
    good_tls: ssl.SSLContext, bundle: Path, login: str, scheme: str
) -> None:
    with (
        ByteServer(otherwise=GOOD, tls=good_tls) as server,
        SOCKSProxy(server.port, login=login or None) as proxy,
    ):
        environ = {"ALL_PROXY": address(proxy, login.replace("p@", "p%40"), scheme)}
        assert call(environ, bundle) == "hello"

    assert proxy.targets == ["service.test:443"]


@pytest.mark.parametrize("login", ["", "me:wrong-hush"])
def test_a_socks_proxy_that_wants_a_password_is_named_without_it(bundle: Path, login: str) -> None:
    with SOCKSProxy(1, login="me:right") as proxy:
        error = failure({"ALL_PROXY": address(proxy, login, "socks5")}, bundle)

    assert f"proxy authentication required by 127.0.0.1:{proxy.port}" in str(error)
    assert "hush" not in f"{error} {error.hint}"


def test_a_proxy_that_does_not_speak_socks_is_named(bundle: Path) -> None:
    with ByteServer(otherwise=before_reading(close(http(400)))) as proxy:
        error = failure({"ALL_PROXY": address(proxy, scheme="socks5")}, bundle)

    assert error.exit_status == 6
    assert f"127.0.0.1:{proxy.port}" in str(error)


def test_junk_in_a_proxy_variable_is_found_before_anything_is_sent(bundle: Path) -> None:
    error = failure({"ALL_PROXY": "ftp://x"}, bundle)

    assert isinstance(error, ConfigurationError)
    assert "ALL_PROXY" in str(error)
