"""Certificates of a throw-away authority, and a clock."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from tests.transport.rig import FakeTime, server_context


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="session")
def good_tls(authority: trustme.CA) -> ssl.SSLContext:
    """For 127.0.0.1 and service.test."""
    return server_context(authority.issue_cert("127.0.0.1", "service.test"))


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()
