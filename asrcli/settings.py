"""Keys and hosts, and where each of them was found.

The order is the same for all: flag, `ASRCLI_…` variable, the provider's own variable, the system's
keyring, `config.toml` in the folder for configuration. No flag takes a key.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from asrcli.errors import ConfigurationError, KeyMissingError
from asrcli.secret import Secret

__all__ = ["PROVIDERS", "Found", "Settings", "configuration_path"]

T = TypeVar("T")

PROVIDERS = ("qwen", "onemin", "openai", "local")
"""In the order in which `auto` prefers them."""

_KEY_VARIABLES = {
    "qwen": "DASHSCOPE_API_KEY",
    "onemin": "ONEMIN_API_KEY",
    "openai": "OPENAI_API_KEY",
}
_URL_VARIABLES = {
    "qwen": ("DASHSCOPE_HTTP_BASE_URL", "DASHSCOPE_COMPATIBLE_BASE_URL"),
    "onemin": ("ONEMIN_BASE_URL",),
    "openai": ("OPENAI_BASE_URL",),
}
_FILE_KEYS = {
    "qwen": ("key", "base_url", "region", "workspace"),
    "onemin": ("key", "base_url"),
    "openai": ("key", "base_url"),
}
_MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A value, and the place it came from in words that a user knows."""

    value: T
    place: str


def configuration_path(environ: Mapping[str, str]) -> Path:
    """Where `config.toml` is looked for; a relative `XDG_CONFIG_HOME` is ignored, as XDG says."""
    base = environ.get("XDG_CONFIG_HOME", "")
    if base and Path(base).is_absolute():
        return Path(base) / "asrcli" / "config.toml"
    import platformdirs

    try:
        return platformdirs.user_config_path("asrcli", appauthor=False) / "config.toml"
    except RuntimeError:  # no home folder can be found
        return Path("/nonexistent/asrcli/config.toml")


class Settings:
    """All that is configured, read once and only as far as it is asked for.

    `warn` gets sentences about what was mended or is unsafe; `keyring` looks a key up by provider.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] = os.environ,
        path: Path | None = None,
        base_url: str | None = None,
        region: str | None = None,
        warn: Callable[[str], None] = lambda _: None,
        keyring: Callable[[str], str | None] | None = None,
    ) -> None:
        self._environ = environ
        self._path = path or configuration_path(environ)
        self._base_url = base_url
        self._region = region
        self._warn = warn
        self._keyring = keyring
        self._file: dict[str, dict[str, str]] | None = None
        self._keys: dict[str, Found[Secret] | None] = {}

    # --- keys ---------------------------------------------------------------------------------

    def key(self, provider: str) -> Found[Secret] | None:
        """The key for a provider, or None; raises ConfigurationError for one that cannot be."""
        if provider not in self._keys:
            self._keys[provider] = self._find_key(provider)
        return self._keys[provider]

    def require_key(self, provider: str) -> Found[Secret]:
        """The key for a provider; raises KeyMissingError with the places that were looked at."""
        found = self.key(provider)
        if found is None:
            raise KeyMissingError(provider, self.key_places(provider))
        return found

    def key_places(self, provider: str) -> list[str]:
        """Where a key may be put, first come first."""
        variable = _KEY_VARIABLES[provider]
        keyring = ["the keyring"] if self._keyring else []
        return [f"ASRCLI_{variable}", variable, *keyring, str(self._path)]

    def usable(self, provider: str) -> bool:
        """True when the provider can be asked without any further setting."""
        if provider == "local":
            return True
        if provider == "openai":
            # A stray OPENAI_API_KEY must not send audio anywhere.
            return self.base_url("openai") is not None
        return self.key(provider) is not None

    def _find_key(self, provider: str) -> Found[Secret] | None:
        for value, place in self._key_candidates(provider):
            if value and value.strip():
                return Found(Secret(self._clean_key(value, place)), place)
        return None

    def _key_candidates(self, provider: str) -> Iterator[tuple[str | None, str]]:
        variable = _KEY_VARIABLES[provider]
        for name in (f"ASRCLI_{variable}", variable):
            yield self._environ.get(name), name
        if self._keyring is not None:
            yield self._keyring(provider), "the keyring"
        yield self._in_file(provider, "key"), str(self._path)

    def _clean_key(self, value: str, place: str) -> str:
        key = value.strip().removeprefix("Bearer ").strip()
        if len(key) > 1 and key[0] == key[-1] and key[0] in "'\"":
            key = key[1:-1].strip()
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            raise ConfigurationError(
                f"the key in {place} holds characters that no key has",
                hint="Paste it again, as one line and without quotes.",
            )
        if key != value:
            self._warn(f"the key in {place} was trimmed: it had blanks, quotes or `Bearer` around")
        return key

    # --- hosts --------------------------------------------------------------------------------

    def base_url(self, provider: str) -> Found[str] | None:
        """The base URL somebody set for a provider, or None for its default."""
        if self._base_url:
            return Found(self._base_url, "--base-url")
        for variable in _URL_VARIABLES[provider]:
            for name in (f"ASRCLI_{variable}", variable):
                if value := self._environ.get(name, "").strip():
                    return Found(value, name)
        return self._found_in_file(provider, "base_url")

    def region(self) -> Found[str] | None:
        """The region of Qwen Cloud somebody set, or None for its default."""
        if self._region:
            return Found(self._region, "--region")
        return self._found_in_file("qwen", "region")

    def workspace(self) -> Found[str] | None:
        """The workspace of Qwen Cloud, or None."""
        for name in ("ASRCLI_DASHSCOPE_WORKSPACE_ID", "DASHSCOPE_WORKSPACE_ID"):
            if value := self._environ.get(name, "").strip():
                return Found(value, name)
        return self._found_in_file("qwen", "workspace")

    # --- the file -----------------------------------------------------------------------------

    def _found_in_file(self, provider: str, name: str) -> Found[str] | None:
        value = self._in_file(provider, name)
        return Found(value, str(self._path)) if value else None

    def _in_file(self, provider: str, name: str) -> str | None:
        if self._file is None:
            self._file = self._read_file()
        return self._file.get(provider, {}).get(name)

    def _read_file(self) -> dict[str, dict[str, str]]:
        import tomllib

        if os.path.exists(self._path) and not os.path.isfile(self._path):
            raise ConfigurationError(f"{self._path} is no file")
        try:
            with self._path.open("rb") as file:
                self._check_mode(os.fstat(file.fileno()))
                text = file.read(_MOST_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise ConfigurationError(f"cannot read {self._path}: {error.strerror}") from error
        if len(text) > _MOST_BYTES:
            raise ConfigurationError(f"{self._path} is too large to be a configuration")
        try:
            table = tomllib.loads(text.decode("utf-8-sig"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigurationError(f"cannot read {self._path}: {error}") from error
        return {name: self._section(name, value) for name, value in table.items()}

    def _check_mode(self, status: os.stat_result) -> None:
        if os.name == "posix" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            self._warn(f"others may read {self._path}: `chmod 600` it")

    def _section(self, section: str, value: Any) -> dict[str, str]:
        if section not in _FILE_KEYS:
            self._warn(f"{self._path}: [{section}] is not known{_nearest(section, _FILE_KEYS)}")
            return {}
        if not isinstance(value, dict):
            raise ConfigurationError(f"{self._path}: {section} must be a table: [{section}]")
        kept = {}
        for name, entry in value.items():
            if name not in _FILE_KEYS[section]:
                nearest = _nearest(name, _FILE_KEYS[section])
                self._warn(f"{self._path}: {section}.{name} is not known{nearest}")
            elif not isinstance(entry, str):
                raise ConfigurationError(f"{self._path}: {section}.{name} must be a text")
            else:
                kept[name] = entry
        return kept


def _nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
