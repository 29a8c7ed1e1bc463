"""Certificates and TLS, on real sockets: rows P01 to P05 and K07 of the fault catalogue."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from asrcli.errors import AsrError, ConfigurationError, NetworkError, Retry, TLSError
from asrcli.transport.tls import make_context
from tests.faults.byte_server import (
    ByteServer,
    Peer,
    before_reading,
    close,
    http,
    json_answer,
    reset,
)
from tests.transport.rig import (
    FakeTime,
    connection,
    make_client,
    make_retrier,
    pointing,
    self_signed_context,
    server_context,
)

GOOD = json_answer({"text": "hello"})


def failure_of(server: ByteServer, time: FakeTime, url: str = "", **settings: Any) -> AsrError:
    made = connection(**settings)
    wire = pointing(made)
    client = make_client(
        url or server.url, settings=made, transport=wire, retrier=make_retrier(time)
    )
    with pytest.raises(AsrError) as caught:
        client.post("x", {})
    client.close()
    return caught.value


def test_an_authority_of_one_s_own_is_trusted_once_it_is_named(
    good_tls: ssl.SSLContext, bundle: Path
) -> None:
    with ByteServer(otherwise=GOOD, tls=good_tls) as server:
        client = make_client(server.url, settings=connection(ca_bundle=bundle))

        assert client.get("x").json == {"text": "hello"}
        client.close()


def test_a_file_of_authorities_may_be_named_by_the_usual_variable(
    good_tls: ssl.SSLContext, bundle: Path
) -> None:
    with ByteServer(otherwise=GOOD, tls=good_tls) as server:
        settings = connection(environ={"SSL_CERT_FILE": str(bundle)})
        client = make_client(server.url, settings=settings)

        assert client.get("x").status == 200
        client.close()


def test_a_folder_of_authorities_takes_the_place_of_the_usual_ones(tmp_path: Path) -> None:
    assert make_context(None, {}).cert_store_stats()["x509_ca"] > 0
    for context in (
        make_context(None, {"SSL_CERT_DIR": str(tmp_path)}),
        make_context(tmp_path, {}),
    ):
        assert context.cert_store_stats()["x509_ca"] == 0


def test_an_unknown_authority_is_refused_at_once_with_the_way_to_name_it(
    good_tls: ssl.SSLContext, time: FakeTime
) -> None:
    with ByteServer(otherwise=GOOD, tls=good_tls) as server:
        error = failure_of(server, time)

    assert isinstance(error, TLSError)
    assert error.exit_status == 6
    assert error.retry is Retry.NEVER
    assert "unknown authority" in str(error)
    assert f"127.0.0.1:{server.port}" in str(error)
    assert "--ca-bundle" in (error.hint or "")
    assert "insecure" not in f"{error} {error.hint}"
    assert time.waited == 0
    assert server.requests == []


def test_p02_an_expired_certificate_is_refused_for_that(
    authority: trustme.CA, bundle: Path, time: FakeTime
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=90)
    leaf = authority.issue_cert("127.0.0.1", not_before=long_ago, not_after=long_ago)
    with ByteServer(otherwise=GOOD, tls=server_context(leaf)) as server:
        error = failure_of(server, time, ca_bundle=bundle)

    assert isinstance(error, TLSError)
    assert "its certificate has expired" in str(error)


def test_p02_a_certificate_from_the_future_is_refused_for_that(
    authority: trustme.CA, bundle: Path, time: FakeTime
) -> None:
    leaf = authority.issue_cert("127.0.0.1", not_before=datetime.now(UTC) + timedelta(days=9))
    with ByteServer(otherwise=GOOD, tls=server_context(leaf)) as server:
        error = failure_of(server, time, ca_bundle=bundle)

    assert "not valid yet" in str(error)
    assert "clock" in (error.hint or "")


def test_p02_a_certificate_of_another_host_is_refused_for_that(
    good_tls: ssl.SSLContext, bundle: Path, time: FakeTime
) -> None:
    with ByteServer(otherwise=GOOD, tls=good_tls) as server:
        error = failure_of(server, time, server.url_for("other.test"), ca_bundle=bundle)

    assert isinstance(error, TLSError)
    assert f"other.test:{server.port}: its certificate is for another host" in str(error)


def test_p02_a_certificate_of_another_address_is_refused_for_that(
    authority: trustme.CA, bundle: Path, time: FakeTime
) -> None:
    leaf = authority.issue_cert("127.0.0.9")
    with ByteServer(otherwise=GOOD, tls=server_context(leaf)) as server:
        error = failure_of(server, time, ca_bundle=bundle)

    assert "its certificate is for another address" in str(error)


def test_p02_a_self_signed_certificate_is_refused_for_that(
    authority: trustme.CA, time: FakeTime
) -> None:
    with ByteServer(otherwise=GOOD, tls=self_signed_context(authority)) as server:
        error = failure_of(server, time)

    assert isinstance(error, TLSError)
    assert "self-signed" in str(error)
    assert "--ca-bundle" in (error.hint or "")


def test_a_server_of_plain_http_is_told_from_one_with_a_bad_certificate(time: FakeTime) -> None:
    with ByteServer(otherwise=before_reading(close(http(400, b"plain")))) as server:
        error = failure_of(server, time, f"https://127.0.0.1:{server.port}")

    assert isinstance(error, TLSError)
    assert "does not speak TLS" in str(error)
    assert time.waited == 0


def test_a_server_that_does_not_answer_in_tls_is_left_at_the_connect_limit(time: FakeTime) -> None:
    def wait(peer: Peer) -> None:
        peer.wait_until_left()
        peer.close()

    with ByteServer(otherwise=before_reading(wait)) as server:
        url = f"https://127.0.0.1:{server.port}"
        error = failure_of(server, time, url, connect_timeout=0.1)

    assert isinstance(error, NetworkError)
    assert "did not answer in TLS within 0.1 s" in str(error)


@pytest.mark.parametrize("fault", [close(), reset()], ids=["closed", "reset"])
def test_a_handshake_that_breaks_off_is_tried_again(fault: Any, time: FakeTime) -> None:
    def break_off(peer: Peer) -> None:
        peer.socket.recv(1024)
        fault(peer)

    with ByteServer(otherwise=before_reading(break_off)) as server:
        error = failure_of(server, time, f"https://127.0.0.1:{server.port}")

    assert error.retry is Retry.TRANSIENT
    assert "broke off the TLS handshake" in str(error)
    assert not error.possible_duplicate
    assert server.connections == 5


def test_a_body_that_ends_without_farewell_was_cut(
    good_tls: ssl.SSLContext, bundle: Path, time: FakeTime
) -> None:
    body = http(200, b'{"text":"hello"}', framing="close")
    with ByteServer(otherwise=close(body, politely=False), tls=good_tls) as server:
        error = failure_of(server, time, ca_bundle=bundle)

    assert isinstance(error, NetworkError)
    assert "was closed within the answer" in str(error)
    assert error.possible_duplicate


def test_a_body_that_ends_with_farewell_is_whole(good_tls: ssl.SSLContext, bundle: Path) -> None:
    body = http(200, b'{"text":"hello"}', framing="close")
    with ByteServer(otherwise=close(body), tls=good_tls) as server:
        client = make_client(server.url, settings=connection(ca_bundle=bundle))

        assert client.post("x", {}).json == {"text": "hello"}
        client.close()


def test_versions_before_1_2_are_refused() -> None:
    assert make_context(None, {}).minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_variable_that_names_nothing_is_named(variable: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=variable) as caught:
        make_context(None, {variable: str(tmp_path / "missing")})

    assert caught.value.exit_status == 2


def test_a_bundle_that_is_missing_is_named_with_its_flag(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--ca-bundle"):
        make_context(tmp_path / "missing.pem", {})


def test_a_bundle_without_certificates_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.pem"
    path.write_text("nothing here")

    with pytest.raises(ConfigurationError, match="without certificates"):
        make_context(path, {})


def test_settings_of_certificates_do_not_matter_without_tls(tmp_path: Path) -> None:
    environ = {"SSL_CERT_FILE": str(tmp_path / "missing")}
    with ByteServer(otherwise=GOOD) as server:
        client = make_client(server.url, settings=connection(environ=environ))

        assert client.get("x").status == 200
        client.close()


def test_a_server_that_wants_a_certificate_from_us_is_a_network_error(
    authority: trustme.CA, bundle: Path, time: FakeTime
) -> None:
    context = server_context(authority.issue_cert("127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    with ByteServer(otherwise=GOOD, tls=context) as server:
        error = failure_of(server, time, ca_bundle=bundle)

    assert error.exit_status == 6
    assert f"127.0.0.1:{server.port}" in str(error)
