"""One run of `upload`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asrcli.cli.choosing import known_provider
from asrcli.cli.session import Session, require_stdout
from asrcli.core.asking import Asker
from asrcli.core.batch import exit_status, run
from asrcli.core.store import Stored, store
from asrcli.errors import FeatureError, KeyMissingError, UsageError
from asrcli.output.sanitize import for_json
from asrcli.providers.base import Feature, Model
from asrcli.providers.catalogue import resolve
from asrcli.settings import Settings

__all__ = ["Storing"]


class Storing:
    """Uploads files; `__call__` gives the exit status of the run."""

    def __init__(self, session: Session, *, as_json: bool) -> None:
        self._session = session
        self._as_json = as_json

    def __call__(self, files: Sequence[Path], provider: str | None, model_id: str) -> int:
        """Print a reference for each file, in the order in which they were named."""
        session = self._session
        require_stdout()
        name = known_provider(provider) or _first_with_key(session.settings)
        model = _model(model_id, name)
        asker = Asker(session.provider(name), session.memory())
        statuses = []
        with session.console.progress(len(files)) as progress:

            def work(path: Path) -> Stored:
                shown = progress.begin(str(path))
                try:
                    stored = store(path, asker, model)
                except BaseException:
                    shown.end(failed=True)
                    raise
                shown.end()
                return stored

            for done in run(files, work, workers=session.network.calls, stop=session.stop):
                if done.result is not None:
                    session.console.write_data([self._line(done.item, done.result)])
                elif done.error is not None:
                    session.console.error(done.error, name=str(done.item))
                error = done.error
                statuses.append(0 if done.result else error.exit_status if error else 3)
        return exit_status(statuses, several=len(files) > 1)

    def _line(self, path: Path, stored: Stored) -> str:
        if not self._as_json:
            return f"{stored.reference}\n"
        expires = stored.reference.expires
        record = {
            "v": 1,
            "type": "upload",
            "input": str(path),
            "provider": stored.reference.provider,
            "reference": str(stored.reference),
            "path": stored.reference.location,
            "bytes": stored.audio.size,
            "sha256": stored.sha256,
            "expires": expires.isoformat(timespec="seconds") if expires else None,
        }
        return f"{for_json(record)}\n"


def _first_with_key(settings: Settings) -> str:
    for name in ("qwen", "onemin"):
        if settings.usable(name):
            return name
    raise KeyMissingError(
        "upload", [*settings.key_places("qwen")[:2], *settings.key_places("onemin")]
    )


def _model(model_id: str, provider: str) -> Model:
    if provider == "local":
        raise UsageError("local keeps nothing: it reads files where they are")
    model = resolve(model_id, provider=provider)
    if Feature.UPLOAD not in model.features:
        raise FeatureError("uploads", model.id, [])
    return model
