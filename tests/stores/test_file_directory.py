"""Where token files may live (T21): what is refused at the start and what to do, and what is survived later."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from monite_async_stores import (
    EncryptedFileTokenStore,
    Granted,
    Hit,
    StoreError,
    TokenDirectoryError,
    store_from_url,
)
from monite_async_stores._file_directory import TokenDirectory, write_all
from tests.stores.file_bench import NAME, VALUE, ask, records_in, store_value

TOK = f"monite-{NAME.name}.tok"
LOCK = f"monite-{NAME.name}.lock"


def _refusal(path: Path) -> str:
    with pytest.raises(TokenDirectoryError) as caught:
        EncryptedFileTokenStore(path)
    assert isinstance(caught.value, ValueError)
    assert caught.value.directory == path
    return str(caught.value)


def test_a_missing_directory_is_made_for_this_user_alone(tmp_path: Path) -> None:
    """R26: the directory, with those above it, is made when it is missing, and is open to nobody else."""
    path = tmp_path / "cache" / "monite"
    EncryptedFileTokenStore(path)
    assert path.stat().st_mode & 0o777 == 0o700
    assert list(path.iterdir()) == []


def test_the_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the user's home, and a relative path stays where it was when the process moves on."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / ".cache/monite") in repr(EncryptedFileTokenStore("~/.cache/monite"))
    store = EncryptedFileTokenStore("here")
    assert (tmp_path / "here").is_dir()
    assert str(tmp_path / "here") in repr(store)


def test_an_unknown_home_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody knows the home, the error says to give a full path."""
    with pytest.raises(TokenDirectoryError, match="give a full path"):
        EncryptedFileTokenStore("~no-such-user-anywhere/monite")


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_directory_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """T21: with write permission for the group or the world it is refused, and the error gives the command."""
    tmp_path.chmod(mode)
    assert f"mode {mode:04o}" in _refusal(tmp_path)
    assert "chmod 700" in _refusal(tmp_path)
    tmp_path.chmod(0o755)
    EncryptedFileTokenStore(tmp_path)


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    """T21: a link might lead elsewhere tomorrow; one that leads nowhere is refused as well."""
    (tmp_path / "real").mkdir(mode=0o700)
    for target in ("real", "nowhere"):
        link = tmp_path / f"to-{target}"
        link.symlink_to(target)
        assert "is a symbolic link" in _refusal(link)


def test_a_file_is_refused(tmp_path: Path) -> None:
    """A file, or a way that leads through one, is no directory."""
    (tmp_path / "file").write_text("")
    assert "is not a directory" in _refusal(tmp_path / "file")
    assert "cannot be used: Not a directory" in _refusal(tmp_path / "file" / "below")


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the directory can replace what is in it."""
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert f"belongs to user {owner}" in _refusal(tmp_path)


_UNDER_A_LIMIT = """
import os, resource, sys
import cryptography.hazmat.primitives.ciphers.aead
from monite_async_stores import EncryptedFileTokenStore, TokenDirectoryError
user, limits = os.geteuid(), resource.getrlimit(resource.RLIMIT_FSIZE)
if sys.argv[2] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
elif user == 0:
    os.seteuid(65534)
try:
    EncryptedFileTokenStore(sys.argv[1])
except TokenDirectoryError as exc:
    print(exc)
os.seteuid(user)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
"""


def _told(path: Path, trouble: str) -> str:
    """Return what a process is told that may not write there, or not as much as a block."""
    command = [sys.executable, "-c", _UNDER_A_LIMIT, str(path), trouble]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def test_a_directory_without_write_permission_is_refused() -> None:
    """T21: a directory of one's own that one may not write is refused at the start."""
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o755)
        path = Path(base) / "tokens"
        path.mkdir(mode=0o500)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
        assert "cannot be written by this user: run chmod u+rwx" in _told(path, "read-only")
        assert "cannot be written by this user" in _told(path / "below", "read-only")


def test_a_full_disk_is_told_at_the_start(tmp_path: Path) -> None:
    """T21: where not even a block can be written, the store is refused, and nothing is left behind."""
    assert "is on a full disk" in _told(tmp_path, "full")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "full disk"),
        (errno.EDQUOT, "full disk"),
        (errno.EROFS, "read-only filesystem"),
        (errno.EACCES, "cannot be written by this user"),
        (errno.EIO, "cannot be used: Input/output error"),
    ],
)
def test_the_error_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, advice: str) -> None:
    """T21: whatever the first write meets becomes one error with advice, and leaves no file behind."""

    def write(fd: int, content: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", write)
    assert advice in _refusal(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_error_can_be_pickled(tmp_path: Path) -> None:
    """An error that a process pool hands over is the same afterwards."""
    error = TokenDirectoryError(tmp_path, "is a symbolic link")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.directory) == (f"the token directory {tmp_path} is a symbolic link", tmp_path)


@pytest.mark.parametrize("namespace", ["", "a/b", "..", "a.b", "x" * 65, "é"])
def test_a_namespace_must_begin_a_file_name(tmp_path: Path, namespace: str) -> None:
    """A namespace with anything in it that could lead elsewhere is refused."""
    with pytest.raises(ValueError, match="namespace must be"):
        EncryptedFileTokenStore(tmp_path, namespace=namespace)


def test_a_name_must_be_one(tmp_path: Path) -> None:
    """A record's name that could lead to another file is refused."""
    directory = TokenDirectory(tmp_path, "monite")
    for name in ("", "../" * 10 + "ab", "AB" * 16, "ab" * 17):
        with pytest.raises(StoreError, match="32 lower-case hex"):
            directory.at(name, ".tok")


def test_namespaces_share_a_directory(tmp_path: Path) -> None:
    """Two namespaces in one directory know nothing of each other's files, though one name begins the other."""
    directory, other = TokenDirectory(tmp_path, "monite"), TokenDirectory(tmp_path, "monite-eu")
    for place in (directory, other):
        place.replace(place.at(NAME.name, ".tok"), b"content")
    assert _named(directory) == _named(other) == {(NAME.name, ".tok")}
    other.remove(other.at(NAME.name, ".tok"))
    assert _named(directory) == {(NAME.name, ".tok")}
    assert _named(other) == set()


def _named(directory: TokenDirectory) -> set[tuple[str, str] | None]:
    return {directory.parts(filename) for filename in directory.filenames()} - {None}


def test_files_of_writers_have_a_suffix_too(tmp_path: Path) -> None:
    """What a writer has yet to bring to an end is known as such, of a record or of the first look; strangers are not."""
    directory, name = TokenDirectory(tmp_path, "monite"), NAME.name
    assert directory.parts(f"monite-{name}.0123.tmp") == (name, ".tmp")
    assert directory.parts("monite-probe.0123.tmp") == ("probe", ".tmp")
    for stranger in (f"other-{name}.tok", "monite-probe.tok", "monite-x.tmp", "monite-", f"monite-eu-{name}.0.tmp"):
        assert directory.parts(stranger) is None


def test_an_empty_path_is_no_directory(tmp_path: Path) -> None:
    """An empty setting does not make the working directory the place of tokens."""
    with pytest.raises(ValueError, match="empty"):
        EncryptedFileTokenStore("")


def test_what_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    """Only a missing file is a miss; a file that cannot be opened is the system's error."""
    directory = TokenDirectory(tmp_path, "monite")
    (tmp_path / "file").touch()
    assert directory.read(tmp_path / "missing") is None
    with pytest.raises(NotADirectoryError):
        directory.read(tmp_path / "file" / "below")


def _break_by_file(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.write_text("")


def _break_by_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def _break_by_mode(path: Path) -> None:
    path.chmod(0o777)


@pytest.mark.parametrize("break_it", [_break_by_file, _break_by_link, _break_by_mode])
def test_a_directory_that_turns_bad_is_left_alone(tmp_path: Path, break_it: Callable[[Path], None]) -> None:
    """T21: what would have been refused at the start is a ``StoreError`` later, whatever the operation."""
    path = tmp_path / "tokens"
    records = records_in(path)
    gen = store_value(records)
    break_it(path)
    with pytest.raises(StoreError, match="the token directory"):
        ask(records)
    with pytest.raises(StoreError, match="the token directory"):
        records.commit(NAME, "a", gen, VALUE, lifetime_ms=1, left_ms=1)
    with pytest.raises(StoreError, match="the token directory"):
        records.fail(NAME, "a", "kind", ttl_ms=1)
    with pytest.raises(StoreError, match="the token directory"):
        records.invalidate(NAME, gen)
    with pytest.raises(StoreError, match="the token directory"):
        records.purge(NAME)


def test_a_removed_directory_is_made_anew(tmp_path: Path) -> None:
    """When somebody clears the cache, the next operation makes the directory again, and all goes on."""
    path = tmp_path / "tokens"
    records = records_in(path)
    store_value(records)
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    assert isinstance(ask(records, "a"), Granted)
    assert path.stat().st_mode & 0o777 == 0o700
    assert not isinstance(ask(records_in(path), "b"), Granted), "the holder of the lease must show that it lives"


def test_a_failed_write_leaves_the_old_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """T21: on a disk that is full by now a commit fails, the old value stays, and no half a file is left."""
    records = records_in(tmp_path)
    gen = store_value(records, b"old")
    granted = ask(records, "a", bad_gen=gen)
    assert isinstance(granted, Granted)
    before = {path.name for path in tmp_path.iterdir()}
    calls: list[int] = []

    def write(fd: int, content: memoryview) -> int:
        calls.append(fd)
        if len(calls) == 1:
            return len(content) // 2
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(OSError, match="No space"):
            records.commit(NAME, "a", granted.gen, b"new", lifetime_ms=60_000, left_ms=60_000)
    assert {path.name for path in tmp_path.iterdir()} == before
    answer = ask(records)
    assert isinstance(answer, Hit)
    assert answer.value == b"old"


def test_a_directory_in_place_of_a_file(tmp_path: Path) -> None:
    """T21: where a directory has a file's name, reading and writing are errors of the system, and nothing is lost."""
    records = records_in(tmp_path)
    (tmp_path / TOK).mkdir()
    with pytest.raises(IsADirectoryError):
        ask(records)
    directory = TokenDirectory(tmp_path, "monite")
    with pytest.raises(OSError, match="directory"):
        directory.replace(tmp_path / TOK, b"content")
    assert {path.name for path in tmp_path.iterdir()} <= {TOK, LOCK}


def _link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [_link, _pipe])
def test_links_and_pipes_are_no_values(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A link or a pipe in the place of a value is a miss that is neither followed nor waited for, and is replaced."""
    make(tmp_path / TOK)
    records = records_in(tmp_path)
    store_value(records)
    assert (tmp_path / TOK).is_file()
    assert not (tmp_path / TOK).is_symlink()
    assert isinstance(ask(records), Hit)


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    """What is written under the lock never lands in a file that a link leads to."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path = tmp_path / "tokens"
    records = records_in(path)
    (path / LOCK).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        ask(records)
    assert victim.read_bytes() == b"precious"


def test_windows_refuses_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows a file that another process has open just now cannot be replaced: it is tried again, for a while."""
    monkeypatch.delattr(os, "geteuid")
    directory = TokenDirectory(tmp_path, "monite", windows=True)
    path, replace, refusals = directory.at(NAME.name, ".tok"), Path.replace, [1, 2, 3]

    def busy_replace(self: Path, target: Path) -> Path:
        if refusals:
            refusals.pop()
            raise PermissionError(13, "The process cannot access the file")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", busy_replace)
    directory.replace(path, b"content")
    assert directory.read(path) == b"content"
    monkeypatch.setattr("monite_async_stores._file_directory._PATIENCE", 0.01)
    refusals.extend(range(1000))
    with pytest.raises(PermissionError):
        directory.replace(path, b"other")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_elsewhere_permission_is_not_waited_for(tmp_path: Path) -> None:
    """Where a refusal is for good, it is reported at once."""
    calls: list[int] = []

    def refuse() -> None:
        calls.append(1)
        raise PermissionError(13, "Permission denied")

    with pytest.raises(PermissionError):
        TokenDirectory(tmp_path, "monite", windows=False)._patiently(refuse)
    assert calls == [1]


def test_a_write_may_take_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes a few bytes at a time gets them all in the end."""
    write_some = os.write

    def write(fd: int, content: memoryview) -> int:
        return write_some(fd, content[:3])

    monkeypatch.setattr(os, "write", write)
    with (tmp_path / "file").open("wb") as file:
        write_all(file.fileno(), b"ten bytes.")
    assert (tmp_path / "file").read_bytes() == b"ten bytes."


def test_a_store_from_a_url(tmp_path: Path) -> None:
    """``file:///path`` names a directory, with its escapes resolved."""
    (tmp_path / "a b").mkdir(mode=0o700)
    for url in (f"file://{tmp_path}/a%20b", f"file://localhost{tmp_path}/a%20b", f"FILE:{tmp_path}/a b"):
        store = store_from_url(url)
        assert isinstance(store, EncryptedFileTokenStore)
        assert repr(store) == f"<EncryptedFileTokenStore {tmp_path}/a b>"


@pytest.mark.parametrize("url", ["file:", "file:///", "file://host/path", "file:///path?x=1", "file:///path#x"])
def test_a_url_that_names_no_directory(url: str) -> None:
    """Anything but an absolute path on this machine is refused, with the form that is wanted."""
    with pytest.raises(ValueError, match="file:///path"):
        store_from_url(url)


def test_a_windows_path_in_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slash before a drive letter is part of the URL, not of the path."""
    monkeypatch.chdir(tmp_path)
    store_from_url("file:///C:/monite/tokens")
    assert (tmp_path / "C:/monite/tokens").is_dir()
