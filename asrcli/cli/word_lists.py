"""What the commands of `hotwords` do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asrcli.cli.session import Session, require_stdout, stdin, stdin_is_terminal
from asrcli.core.batch import exit_status
from asrcli.core.hotwords import (
    AUTO_PREFIX,
    fitted,
    merged,
    parse_hotwords,
    read_hotwords,
    read_list,
    write_hotwords,
)
from asrcli.errors import AsrError, UsageError
from asrcli.output.sanitize import for_json
from asrcli.providers.base import Hotword
from asrcli.providers.catalogue import resolve
from asrcli.providers.qwen.vocabularies import (
    USUAL_WEIGHT,
    Vocabularies,
    Vocabulary,
    check_id,
    check_prefix,
    require_vocabularies,
)
from asrcli.transport.connection import Connection
from asrcli.transport.retry import Retrier, RetryPolicy

__all__ = ["WordLists"]

_MOST_STDIN = 1_000_001


class WordLists:
    """The lists of one account, in one run of a command."""

    def __init__(self, session: Session, *, as_json: bool = False) -> None:
        self._session = session
        self._console = session.console
        self._as_json = as_json

    def create(self, file: str | None, single: Sequence[str], name: str, prefix: str) -> None:
        """Make a list, and print its id."""
        require_stdout()
        model = resolve(name, provider="qwen")
        require_vocabularies(model)
        check_prefix(prefix)
        if prefix == AUTO_PREFIX:
            raise UsageError(f"{prefix} marks the lists that `transcribe` makes: take another")
        words, warnings = fitted(_words(file, single), model)
        if not model.known:
            taken = f"it is taken for a model of {model.family}"
            warnings = (f"{model.id} is not in the catalogue: {taken}", *warnings)
        self._warn(warnings)
        with self._service() as service:
            identity = service.create(words, model, prefix=prefix)
            made = service.show(identity)
        if not made.usable:
            self._warn([f"the list is {made.status}: it has no effect yet"])
        self._console.detail(f"{len(words):,} hotwords for {model.id}")
        self._console.write_data([f"{for_json(_record(made)) if self._as_json else identity}\n"])

    def list(self, prefix: str | None) -> None:
        """All lists, each with its model and the number of its words."""
        require_stdout()
        if prefix is not None:
            check_prefix(prefix)
        with self._service() as service:
            found = [service.show(entry.id) for entry in service.list(prefix=prefix)]
        if self._as_json:
            self._console.write_data(f"{for_json(_record(entry))}\n" for entry in found)
            return
        columns = ("id", "model", "words", "state", "created", "changed")
        self._console.table(columns, [_row(entry) for entry in found])
        if not found:
            self._console.note("there are no lists of hotwords here")

    def show(self, identity: str) -> None:
        """The words of one list; what else there is to know goes to standard error."""
        require_stdout()
        check_id(identity)
        with self._service() as service:
            found = service.show(identity)
        if self._as_json:
            self._console.write_data([f"{for_json(_record(found))}\n"])
            return
        self._console.note(
            f"{identity}: {_count(found.words)} for {found.model}, {found.status},"
            f" changed {found.modified or 'at an unknown time'}"
        )
        self._console.write_data([write_hotwords(map(_plain, found.words))])

    def update(self, identity: str, file: str | None, single: Sequence[str]) -> None:
        """Replace the words of a list."""
        check_id(identity)
        if identity.startswith(f"vocab-{AUTO_PREFIX}-"):
            raise UsageError(
                f"{identity} was made by `transcribe`, which counts on its words",
                hint="Make a list of your own with `asrcli hotwords create`.",
            )
        asked = _words(file, single)
        with self._service() as service:
            found = service.show(identity)
            model = resolve(found.model or "", provider="qwen")
            words, warnings = fitted(asked, model)
            self._warn(warnings)
            service.update(identity, words)
        self._console.note(f"{identity}: {_count(words)} for {model.id}")

    def delete(self, identities: Sequence[str], *, yes: bool, ask: Callable[[str], bool]) -> int:
        """Remove lists; gives the exit status. Raises UsageError where nobody can be asked."""
        identities = list(dict.fromkeys(map(check_id, identities)))
        if not yes and not (stdin_is_terminal() and self._console.stderr_is_terminal):
            raise UsageError("nobody can be asked here", hint="Give --yes to delete without.")
        statuses = []
        with self._service() as service:
            for identity in identities:
                try:
                    statuses.append(self._deleted(service, identity, yes=yes, ask=ask))
                except AsrError as error:
                    if error.stops_run or len(identities) == 1:
                        raise
                    self._console.error(error, name=identity)
                    statuses.append(error.exit_status)
        return exit_status(statuses, several=len(identities) > 1)

    def _deleted(
        self, service: Vocabularies, identity: str, *, yes: bool, ask: Callable[[str], bool]
    ) -> int:
        if not yes:
            found = service.show(identity)
            question = f"Delete {identity} ({_count(found.words)} for {found.model})?"
            if not ask(question):
                self._console.note(f"{identity} was left alone")
                return 0
        service.delete(identity)
        self._console.note(f"{identity} was deleted")
        return 0

    def _warn(self, warnings: Sequence[str]) -> None:
        for warning in warnings:
            self._console.warning(warning)

    @contextmanager
    def _service(self) -> Iterator[Vocabularies]:
        session, network = self._session, self._session.network
        connection = Connection(
            timeout=network.timeout or None,
            ca_bundle=network.ca_bundle,
            insecure_http=network.insecure_http,
            offline=network.offline,
        )
        retrier = Retrier(
            RetryPolicy(retries=network.retries),
            sleep=session.stop.wait,
            cancelled=session.stop.is_set,
        )
        service = Vocabularies.open(session.settings, connection, retrier=retrier)
        try:
            yield service
        finally:
            service.close()


def _words(file: str | None, single: Sequence[str]) -> tuple[Hotword, ...]:
    """What `[FILE] --hotword WORD…` say; raises UsageError for nothing at all."""
    if file is None and not single:
        raise UsageError("there are no words", hint="Give a file, - for stdin, or --hotword WORD.")
    words = read_hotwords(None, single).words
    if file is None:
        return words
    return merged(words, _from_stdin() if file == "-" else read_list(Path(file)))


def _from_stdin() -> tuple[Hotword, ...]:
    source = stdin()
    if source is None:
        raise UsageError("standard input is closed")
    return parse_hotwords(source.read(_MOST_STDIN), "standard input")


def _count(words: Sequence[Hotword]) -> str:
    return f"{len(words):,} word{'' if len(words) == 1 else 's'}"


def _plain(word: Hotword) -> Hotword:
    """Without a weight that every word has anyway."""
    usual = word.weight == USUAL_WEIGHT
    return Hotword(word.text, None if usual else word.weight, word.language)


def _row(entry: Vocabulary) -> Sequence[str]:
    created, modified = entry.created or "", entry.modified or ""
    count = f"{len(entry.words):,}"
    return (entry.id, entry.model or "", count, entry.status, created, modified)


def _record(entry: Vocabulary) -> dict[str, Any]:
    return {
        "v": 1,
        "type": "vocabulary",
        "id": entry.id,
        "model": entry.model,
        "status": entry.status,
        "usable": entry.usable,
        "created": entry.created,
        "modified": entry.modified,
        "words": [
            {"text": word.text, "weight": word.weight, "language": word.language}
            for word in entry.words
        ],
    }
