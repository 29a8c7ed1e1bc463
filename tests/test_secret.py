from __future__ import annotations

import base64
import pickle

import pytest

from asrcli.secret import Secret, redact

KEY = "sk-9f8e7d6c5b4a39281706"


@pytest.fixture(autouse=True)
def secret() -> Secret:
    return Secret(KEY)


def test_a_secret_shows_itself_to_reveal_alone(secret: Secret) -> None:
    assert secret.reveal() == KEY
    assert KEY not in f"{secret} {secret!r} {[secret]}"


def test_a_secret_is_not_written_anywhere(secret: Secret) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(secret)


@pytest.mark.parametrize(
    "text",
    [
        f"the header was {KEY}",
        f"in base64 {base64.b64encode(KEY.encode()).decode()}",
        "API-KEY: another-key-123456",
        '"authorization": "Bearer another-key-123456"',
        "Authorization=another-key-123456",
        "Bearer another-key-123456789",
        "https://host/x?OSSAccessKeyId=another-key&Signature=another-key%3D",
        "X-Amz-Signature=another-key",
    ],
)
def test_keys_and_signatures_are_blotted_out(text: str) -> None:
    shown = redact(text)

    assert KEY not in shown
    assert "another-key" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "text",
    ["Authorization header missing", "the bearer certificate of the ring", "api-key is missing"],
)
def test_sentences_about_keys_are_left_alone(text: str) -> None:
    assert redact(text) == text
