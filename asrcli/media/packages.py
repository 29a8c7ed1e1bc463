"""The libraries that do the work, and a sentence for the one that cannot be loaded.

All of them are installed with asrcli; but where there is no wheel, or a shared library is missing
(soundfile raises OSError then), what does not need them works on.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from asrcli.errors import MissingHelperError

__all__ = ["has_libsndfile", "require"]


def require(package: str) -> None:
    """Raise MissingHelperError if `package` cannot be imported."""
    try:
        import_module(package)
    except (ImportError, OSError) as error:
        raise MissingHelperError(
            f"this recording needs the Python package {package}, which cannot be loaded: {error}",
            hint=f"`pip install {package}` in the environment of asrcli.",
        ) from error


@cache
def has_libsndfile() -> bool:
    """True if soundfile can be imported; without it FFmpeg reads what it would."""
    try:
        import_module("soundfile")
    except (ImportError, OSError):
        return False
    return True
