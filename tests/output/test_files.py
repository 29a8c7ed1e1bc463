"""Files appear whole or not at all, whatever fails on the way (D01-D06, X09, P17)."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asrcli.errors import OutputError, OutputExistsError
from asrcli.output.files import Disk, sweep, write_atomically

posix = pytest.mark.skipif(
    os.name == "nt", reason="permissions, links and devices as POSIX has them"
)

CALLS = ("open", "write", "chmod", "sync", "close", "rename")


class FailingDisk(Disk):
    """Fails in one of its calls: in place of the call, or for `close` after it."""

    def __init__(self, call: str, error: BaseException) -> None:
        self._call = call
        self._error = error

    def _fail(self, call: str) -> None:
        if call == self._call:
            raise self._error

    def open(self, path: Path) -> int:
        self._fail("open")
        return super().open(path)

    def write(self, descriptor: int, data: memoryview) -> int:
        self._fail("write")
        return super().write(descriptor, data)

    def chmod(self, descriptor: int, mode: int) -> None:
        self._fail("chmod")
        super().chmod(descriptor, mode)

    def sync(self, descriptor: int) -> None:
        self._fail("sync")
        super().sync(descriptor)

    def close(self, descriptor: int) -> None:
        super().close(descriptor)
        self._fail("close")

    def rename(self, source: Path, target: Path) -> None:
        self._fail("rename")
        super().rename(source, target)

    def rename_new(self, source: Path, target: Path) -> None:
        self._fail("rename")
        super().rename_new(source, target)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "talk.txt"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


# --- what is written --------------------------------------------------------------------------


def test_the_file_holds_the_chunks_as_utf8_with_newlines_as_they_are(target: Path) -> None:
    write_atomically(target, ["語\n", "", "b\r\n"], overwrite=False)

    assert target.read_bytes() == "語\nb\r\n".encode()
    assert names(target.parent) == ["talk.txt"]


def test_nothing_to_write_is_an_empty_file(target: Path) -> None:
    write_atomically(target, [], overwrite=False)

    assert target.read_bytes() == b""


def test_a_long_text_is_written_whole(target: Path) -> None:
    write_atomically(target, (f"line {i}\n" for i in range(50_000)), overwrite=False)

    assert target.read_text().splitlines()[-1] == "line 49999"


def test_a_disk_that_takes_less_than_it_is_given_gets_the_rest_again(target: Path) -> None:
    class SlowDisk(Disk):
        def write(self, descriptor: int, data: memoryview) -> int:
            return super().write(descriptor, data[:3])

    write_atomically(target, ["0123456789"], overwrite=False, disk=SlowDisk())

    assert target.read_text() == "0123456789"


def test_a_lone_surrogate_does_not_stop_the_writing(target: Path) -> None:
    write_atomically(target, ["a\ud800b"], overwrite=False)

    assert target.read_text() == "a?b"


def test_the_file_is_not_seen_before_it_is_complete(target: Path) -> None:
    seen: list[list[str]] = []

    def chunks() -> Iterator[str]:
        for _ in range(3):
            yield "x" * 100_000
            seen.append(names(target.parent))

    write_atomically(target, chunks(), overwrite=False)

    assert all(len(found) == 1 and found[0].startswith(".talk.txt.asrcli-") for found in seen)


# --- permissions ------------------------------------------------------------------------------


@posix
def test_a_new_file_has_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.umask(0o027)\n"
        "from pathlib import Path\n"
        "from asrcli.output.files import write_atomically\n"
        "write_atomically(Path(sys.argv[1]), ['x'], overwrite=False)\n"
        "print(oct(os.umask(0)))"
    )
    target = tmp_path / "x.txt"

    done = subprocess.run(
        [sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=True
    )

    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert done.stdout == "0o27\n"


@posix
def test_nobody_else_can_read_the_file_while_it_is_written(target: Path) -> None:
    modes: list[int] = []

    def chunks() -> Iterator[str]:
        yield "x" * 100_000
        modes.extend(stat.S_IMODE(p.stat().st_mode) for p in target.parent.iterdir())

    write_atomically(target, chunks(), overwrite=False)

    assert modes == [0o600]


@posix
def test_a_file_that_is_overwritten_keeps_its_permissions(target: Path) -> None:
    target.write_text("old")
    target.chmod(0o604)

    write_atomically(target, ["new"], overwrite=True)

    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o604


# --- what is there already --------------------------------------------------------------------


def test_a_file_that_is_there_is_left_alone(target: Path) -> None:
    target.write_text("old")

    with pytest.raises(OutputExistsError, match=r"talk\.txt exists"):
        write_atomically(target, ["new"], overwrite=False)

    assert target.read_text() == "old"


def test_a_file_that_appears_while_ours_is_written_is_left_alone(target: Path) -> None:
    def chunks() -> Iterator[str]:
        yield "ours"
        target.write_text("theirs")

    with pytest.raises(OutputExistsError):
        write_atomically(target, chunks(), overwrite=False)

    assert target.read_text() == "theirs"
    assert names(target.parent) == ["talk.txt"]


@posix
@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EACCES])
def test_without_hard_links_a_file_is_put_in_place_all_the_same(target: Path, number: int) -> None:
    class NoLinks(Disk):
        def link(self, source: Path, target: Path) -> None:
            raise failure(number)

    write_atomically(target, ["text"], overwrite=False, disk=NoLinks())

    assert target.read_text() == "text"
    assert names(target.parent) == ["talk.txt"]


@posix
def test_without_hard_links_a_file_that_appears_is_left_alone(target: Path) -> None:
    class NoLinks(Disk):
        def link(self, source: Path, target: Path) -> None:
            target.write_text("theirs")
            raise failure(errno.EPERM)

    with pytest.raises(OutputExistsError):
        write_atomically(target, ["ours"], overwrite=False, disk=NoLinks())

    assert target.read_text() == "theirs"
    assert names(target.parent) == ["talk.txt"]


@posix
def test_without_hard_links_a_failure_leaves_nothing(target: Path) -> None:
    class NoLinks(FailingDisk):
        def rename_new(self, source: Path, target: Path) -> None:
            Disk.rename_new(self, source, target)

        def link(self, source: Path, target: Path) -> None:
            raise failure(errno.EPERM)

    with pytest.raises(OutputError, match="input/output error"):
        write_atomically(
            target, ["ours"], overwrite=False, disk=NoLinks("rename", failure(errno.EIO))
        )

    assert names(target.parent) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_refused(target: Path, overwrite: bool) -> None:
    target.mkdir()

    with pytest.raises(OutputError, match="it is a folder"):
        write_atomically(target, ["x"], overwrite=overwrite)


@posix
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_is_refused_and_not_followed(
    target: Path, tmp_path: Path, overwrite: bool, dangling: bool
) -> None:
    elsewhere = tmp_path / "elsewhere"
    if not dangling:
        elsewhere.write_text("kept")
    target.symlink_to(elsewhere)

    with pytest.raises(OutputError, match="it is a symbolic link"):
        write_atomically(target, ["x"], overwrite=overwrite)

    assert target.is_symlink()
    assert dangling or elsewhere.read_text() == "kept"


@posix
def test_a_link_planted_while_the_file_is_written_is_not_followed(
    target: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"

    def chunks() -> Iterator[str]:
        yield "ours"
        target.symlink_to(elsewhere)

    with pytest.raises(OutputExistsError):
        write_atomically(target, chunks(), overwrite=False)

    assert not elsewhere.exists()


@posix
def test_a_pipe_in_the_file_system_is_refused(target: Path) -> None:
    os.mkfifo(target)

    with pytest.raises(OutputError, match="it is a device or a pipe"):
        write_atomically(target, ["x"], overwrite=True)


@posix
def test_a_read_only_file_is_refused(target: Path) -> None:
    target.write_text("kept")
    target.chmod(0o444)

    with pytest.raises(OutputError, match="the file is read-only"):
        write_atomically(target, ["x"], overwrite=True)

    assert target.read_text() == "kept"


def test_a_folder_that_is_missing_is_named_as_the_reason(target: Path) -> None:
    with pytest.raises(OutputError, match=r"talk\.txt: the folder does not exist"):
        write_atomically(target.parent / "no" / target.name, ["x"], overwrite=False)


def test_a_file_in_place_of_the_folder_is_named_as_the_reason(target: Path) -> None:
    target.write_text("x")

    with pytest.raises(OutputError, match="what should be its folder is a file"):
        write_atomically(target / "x.txt", ["x"], overwrite=False)


# --- devices by name --------------------------------------------------------------------------


@posix
def test_the_null_device_takes_everything() -> None:
    taken: list[str] = []

    def chunks() -> Iterator[str]:
        taken.append("all")
        yield "x"

    write_atomically(Path("/dev/null"), chunks(), overwrite=False)

    assert taken == ["all"]


@posix
def test_standard_output_by_name_goes_on_where_it_was(tmp_path: Path) -> None:
    code = (
        "import os\nfrom pathlib import Path\n"
        "from asrcli.output.files import write_atomically\n"
        "os.write(1, b'before ')\n"
        "write_atomically(Path('/dev/stdout'), ['text '], overwrite=False)\n"
        "os.write(1, b'after')"
    )
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)

    assert (tmp_path / "out").read_text() == "before text after"


@posix
def test_a_stream_of_the_shell_can_be_named() -> None:
    reader, writer = os.pipe()
    try:
        write_atomically(Path(f"/dev/fd/{writer}"), ["text"], overwrite=False)
        assert os.read(reader, 10) == b"text"
    finally:
        os.close(reader)
        os.close(writer)


@posix
def test_a_stream_that_nobody_reads_is_told_from_a_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with pytest.raises(BrokenPipeError):
            write_atomically(Path(f"/dev/fd/{writer}"), ["text"], overwrite=False)
    finally:
        os.close(writer)


@posix
def test_a_stream_that_is_closed_or_full_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="it is closed"):
        write_atomically(Path("/dev/fd/999"), ["x"], overwrite=False)
    with pytest.raises(OutputError, match="no space left"):
        write_atomically(
            Path("/dev/null"),
            ["x"],
            overwrite=False,
            disk=FailingDisk("write", failure(errno.ENOSPC)),
        )


# --- failures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left on device"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "input/output error"),
        (errno.ESTALE, os.strerror(errno.ESTALE)),
    ],
)
def test_a_failure_names_path_and_reason_and_changes_nothing(
    target: Path, call: str, overwrite: bool, number: int, words: str
) -> None:
    if overwrite:
        target.write_text("old")

    with pytest.raises(OutputError) as caught:
        write_atomically(
            target, ["new"], overwrite=overwrite, disk=FailingDisk(call, failure(number))
        )

    assert str(target) in str(caught.value)
    assert words in str(caught.value)
    assert names(target.parent) == (["talk.txt"] if overwrite else [])
    assert not overwrite or target.read_text() == "old"


@pytest.mark.parametrize("call", CALLS)
def test_an_interruption_leaves_nothing_behind(target: Path, call: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_atomically(
            target, ["x"], overwrite=False, disk=FailingDisk(call, KeyboardInterrupt())
        )

    assert names(target.parent) == []


def test_a_failure_of_the_text_itself_leaves_nothing_behind(target: Path) -> None:
    def chunks() -> Iterator[str]:
        yield "x" * 100_000
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_atomically(target, chunks(), overwrite=False)

    assert names(target.parent) == []


@posix
def test_a_file_system_that_cannot_sync_is_no_failure() -> None:
    reader, writer = os.pipe()  # fsync of a pipe is EINVAL
    try:
        Disk().sync(writer)
    finally:
        os.close(reader)
        os.close(writer)


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x" * 251, "語" * 83 + "xx"])
def test_a_name_as_long_as_can_be_is_written(tmp_path: Path, name: str) -> None:
    target = tmp_path / f"{name}.txt"
    seen: list[str] = []

    def chunks() -> Iterator[str]:
        yield "x" * 100_000
        seen.extend(names(tmp_path))

    write_atomically(target, chunks(), overwrite=False)

    assert names(tmp_path) == [target.name]
    assert len(seen[0].encode()) <= 255
    assert seen[0].startswith(f".{name[:60]}")


def test_a_folder_that_takes_no_long_names_gets_a_short_one(tmp_path: Path) -> None:
    class ShortNames(Disk):
        def open(self, path: Path) -> int:
            if len(path.name.encode()) > 143:
                raise failure(errno.ENAMETOOLONG)
            return super().open(path)

    target = tmp_path / ("x" * 130)

    write_atomically(target, ["x"], overwrite=False, disk=ShortNames())

    assert names(tmp_path) == [target.name]


def test_a_name_that_is_too_long_is_named_as_the_reason(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the name is too long"):
        write_atomically(tmp_path / ("x" * 300), ["x"], overwrite=False)

    assert names(tmp_path) == []


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take UTF-8 alone")
def test_a_name_that_is_no_unicode_is_written(tmp_path: Path) -> None:
    target = tmp_path / "caf\udce9.txt"

    write_atomically(target, ["x"], overwrite=False)

    assert target.read_text() == "x"


# --- leftovers --------------------------------------------------------------------------------


LEAVER = """
import os, sys
from pathlib import Path
from asrcli.output.files import write_atomically

def chunks():
    yield "x" * 100_000
    os._exit(9)

write_atomically(Path(sys.argv[1]), chunks(), overwrite=False)
"""


def leave(target: Path) -> None:
    """Let a process die in the middle of writing."""
    done = subprocess.run([sys.executable, "-c", LEAVER, str(target)], check=False)
    assert done.returncode == 9


def test_what_a_killed_run_left_is_removed(target: Path) -> None:
    leave(target)
    before = names(target.parent)

    assert sweep(target.parent) == 1

    assert len(before) == 1
    assert names(target.parent) == []


def test_what_is_being_written_is_not_removed(target: Path) -> None:
    swept: list[int] = []

    def chunks() -> Iterator[str]:
        yield "x" * 100_000
        swept.append(sweep(target.parent))

    write_atomically(target, chunks(), overwrite=False)

    assert swept == [0]
    assert target.exists()


@posix
def test_what_another_process_is_writing_is_not_removed(target: Path) -> None:
    code = LEAVER.replace("os._exit(9)", "print(flush=True); sys.stdin.read()")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()

        swept = sweep(target.parent)

        writer.communicate()
    assert swept == 0
    assert names(target.parent) == ["talk.txt"]


def test_files_of_others_are_not_removed(tmp_path: Path) -> None:
    others = [".talk.txt.tmp", ".x.asrcli-12-34-56.tmp", "talk.txt", ".talk.txt.asrcli-.tmp"]
    for name in others:
        (tmp_path / name).touch()

    assert sweep(tmp_path) == 0
    assert names(tmp_path) == sorted(others)


def test_what_another_machine_left_in_a_shared_folder_is_removed_after_a_day(
    tmp_path: Path,
) -> None:
    left = tmp_path / ".talk.txt.asrcli-000000-1-0123abcd.tmp"
    left.touch()
    made = left.stat().st_mtime

    assert sweep(tmp_path) == 0
    assert sweep(tmp_path, now=made + 3600) == 0
    assert sweep(tmp_path, now=made + 2 * 86400) == 1


def test_a_folder_that_is_not_there_has_nothing_to_sweep(tmp_path: Path) -> None:
    assert sweep(tmp_path / "no") == 0


def test_many_writers_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    problems: list[Any] = []

    def write(number: int) -> None:
        try:
            write_atomically(tmp_path / f"{number}.txt", [str(number)], overwrite=False)
        except OutputError as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    assert [int((tmp_path / f"{n}.txt").read_text()) for n in range(16)] == list(range(16))
