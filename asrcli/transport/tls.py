"""Certificates: whom to trust, and why somebody was not."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

from asrcli.errors import ConfigurationError

__all__ = ["explain", "make_context"]

_BUNDLE = "--ca-bundle FILE names the authorities to trust."
# https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
_REASONS = {
    9: ("its certificate is not valid yet", "Check this computer's clock."),
    10: ("its certificate has expired", "Check this computer's clock; else tell the service."),
    18: ("its certificate is self-signed", "If it is yours, name it."),
    19: ("its certificate comes from an authority of its own", "If you trust it, name it."),
    20: ("its certificate comes from an unknown authority", "A proxy may stand in between."),
    21: ("its certificate comes from an unknown authority", "A proxy may stand in between."),
    23: ("its certificate was revoked", ""),
    62: ("its certificate is for another host", "Check --base-url."),
    64: ("its certificate is for another address", "Check --base-url."),
}

# What OpenSSL makes of an answer in plain text; its words differ between releases.
_NOT_TLS = ("wrong_version_number", "http_request", "packet_length", "record_layer_failure")


def make_context(ca_bundle: Path | None, environ: Mapping[str, str]) -> ssl.SSLContext:
    """TLS 1.2 or later, with the authorities of `ca_bundle`; else of `SSL_CERT_FILE` and
    `SSL_CERT_DIR`; else those that httpx brings.

    Raises ConfigurationError, which says where the name came from, if there are none.
    """
    if ca_bundle is not None:
        is_folder = ca_bundle.is_dir()
        file, folder = (None, ca_bundle) if is_folder else (ca_bundle, None)
        context = _load(file, folder, "--ca-bundle", "--ca-bundle")
    else:
        file, folder = (_path(environ.get(name)) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
        if file or folder:
            context = _load(file, folder, "SSL_CERT_FILE", "SSL_CERT_DIR")
        else:
            import httpx

            context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    return context


def _path(value: str | None) -> Path | None:
    return Path(value) if value else None


def _load(
    file: Path | None, folder: Path | None, file_place: str, folder_place: str
) -> ssl.SSLContext:
    if folder is not None and not folder.is_dir():
        raise ConfigurationError(f"{folder_place} names no folder: {folder}")
    try:
        if file is not None:
            file.open("rb").close()
        return ssl.create_default_context(cafile=file, capath=folder)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{file_place} names a file without certificates: {file}"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{file_place} names a file that cannot be read: {file} ({error.strerror})"
        ) from error


def explain(error: ssl.SSLError) -> tuple[str, str | None]:
    """What is wrong with the other side, and what may help; never to look away."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason, remedy = _REASONS.get(
            error.verify_code, (f"its certificate was refused ({error.verify_message})", "")
        )
        return reason, f"{remedy} {_BUNDLE}".strip()
    reason = (error.reason or "").lower()
    if any(word in reason for word in _NOT_TLS):
        return "the server does not speak TLS", "Check scheme and port of --base-url."
    if "version" in reason or "protocol" in reason:
        return "it speaks no TLS that is safe (1.2 or later)", None
    words = reason.replace("_", " ") or "for no reason that it gave"
    return f"the TLS handshake failed: {words}", None
