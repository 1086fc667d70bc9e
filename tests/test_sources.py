"""Inputs: what is read, under which label, and that hostile files and archives end in issues, not in harm."""

from __future__ import annotations

import gzip
import io
import os
import random
import socket
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from converter import archives
from converter.errors import InterchangeError
from converter.issues import IssueLog
from converter.limits import Limits
from converter.sources import Input, inputs, require

MESSAGE = b"UNA:+.? 'UNB+UNOC:3+invented'"


def read(*paths: Path | str, limits: Limits | None = None) -> tuple[list[Input], list[str]]:
    """All inputs, and the codes of the issues in their order."""
    log = IssueLog()
    found = list(inputs([str(p) for p in paths], log, limits))
    return found, [issue.code for issue in log]


def names(found: list[Input]) -> list[str]:
    return [i.name for i in found]


def make_zip(path: Path, content: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return path


def make_tar(path: Path, content: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


MAKERS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "a.zip": make_zip,
    "a.ZIP": make_zip,
    "a.tar": make_tar,
    "a.tar.gz": make_tar,
    "a.tgz": make_tar,
}


def test_a_file_is_named_after_itself_and_is_explicit(tmp_path: Path) -> None:
    path = tmp_path / "message.edi"
    path.write_bytes(MESSAGE)
    assert read(path) == ([Input("message.edi", str(path), MESSAGE, explicit=True)], [])


def test_folders_are_read_in_the_order_of_names_and_below_their_top(tmp_path: Path) -> None:
    for name in ("b.edi", "a/z.xml", "a/c/d.json", "c.edi"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found, codes = read(tmp_path)
    assert names(found) == ["a/c/d.json", "a/z.xml", "b.edi", "c.edi"]
    assert not codes
    assert not any(i.explicit for i in found)


def test_a_path_that_does_not_exist_is_wrong_use_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"x")
    with pytest.raises(InterchangeError, match="gone"):
        require([str(tmp_path / "here"), "-", str(tmp_path / "gone")])
    require([str(tmp_path / "here"), "-"])


def test_an_empty_folder_is_a_warning(tmp_path: Path) -> None:
    assert read(tmp_path) == ([], ["BAT010"])


def test_links_and_pipes_in_folders_are_skipped_with_a_record_but_followed_when_named(tmp_path: Path) -> None:
    outside = tmp_path / "outside.edi"
    outside.write_bytes(MESSAGE)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "plain.edi").write_bytes(MESSAGE)
    (folder / "file").symlink_to(outside)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(folder, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/s")
        os.close(here)
    found, codes = read(folder)
    assert names(found) == ["plain.edi"]
    assert codes == ["BAT002"] * 4
    assert names(read(folder / "file")[0]) == ["file"]


def test_an_unreadable_file_is_an_issue_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.edi", "b.edi", "c.edi"):
        (tmp_path / name).write_bytes(MESSAGE)
    opened = Path.open

    def refuse(self: Path, *arguments: object, **named: object) -> object:
        if self.name == "b.edi":
            raise PermissionError(13, "Permission denied")
        return opened(self, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    found, codes = read(tmp_path)
    assert names(found) == ["a.edi", "c.edi"]
    assert codes == ["BAT001"]


def test_a_file_that_vanishes_while_the_folder_is_read_is_an_issue(tmp_path: Path) -> None:
    for name in ("a.edi", "b.edi"):
        (tmp_path / name).write_bytes(MESSAGE)
    log = IssueLog()
    found = inputs([str(tmp_path)], log)
    assert next(found).name == "a.edi"
    (tmp_path / "b.edi").unlink()
    assert list(found) == []
    assert [i.code for i in log] == ["BAT001"]


def test_a_file_above_the_limit_is_an_issue_and_one_at_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123456")
    found, codes = read(tmp_path, limits=Limits(input=5))
    assert names(found) == ["a"]
    assert codes == ["BAT006"]


def test_ndjson_gives_an_input_a_line_with_its_line_number(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    path.write_bytes(b'{"a":1}\n\n{"b":2}\r\n' + b'{"long":"' + b"x" * 50 + b'"}\n{"c":3}')
    found, codes = read(path, limits=Limits(message=20))
    assert [(i.name, i.line, i.data.strip()) for i in found] == [
        ("x.ndjson", 1, b'{"a":1}'),
        ("x.ndjson", 3, b'{"b":2}'),
        ("x.ndjson", 5, b'{"c":3}'),
    ]
    assert codes == ["BAT006"]
    assert all(i.explicit for i in found)


def test_empty_ndjson_is_one_empty_input(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    path.write_bytes(b"\n \n")
    assert [i.data for i in read(path)[0]] == [b""]


@pytest.mark.parametrize("name", MAKERS)
def test_archives_are_streamed_and_nothing_is_extracted(tmp_path: Path, name: str) -> None:
    path = MAKERS[name](tmp_path / name, {"in/b.edi": MESSAGE, "a.edi": b"", "./c.edi": MESSAGE})
    found, codes = read(path)
    assert [(i.name.removeprefix("./"), i.data) for i in found] == [
        ("in/b.edi", MESSAGE),
        ("a.edi", b""),
        ("c.edi", MESSAGE),
    ]
    assert found[0].display == f"{path}/in/b.edi"
    assert not codes
    assert not any(i.explicit for i in found)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", MAKERS)
def test_an_archive_in_a_folder_is_part_of_the_label(tmp_path: Path, name: str) -> None:
    (tmp_path / "sub").mkdir()
    MAKERS[name](tmp_path / "sub" / name, {"m.edi": MESSAGE})
    assert names(read(tmp_path)[0]) == [f"sub/{name}/m.edi"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_hostile_names_are_labels(tmp_path: Path, name: str) -> None:
    hostile = ["../../up.edi", "/etc/passwd", "C:\\Windows\\x.edi", "n" * 4096, "\x1b[31mred"]
    path = MAKERS[name](tmp_path / name, dict.fromkeys(hostile, MESSAGE))
    found, codes = read(path)
    assert len(found) == len(hostile)
    assert not codes
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_archives_in_archives_are_not_opened(tmp_path: Path, name: str) -> None:
    path = MAKERS[name](tmp_path / name, {"inner.zip": b"PK", "inner.tar.gz": b"", "m.edi": MESSAGE})
    found, codes = read(path)
    assert names(found) == ["m.edi"]
    assert codes == ["BAT008", "BAT008"]


@pytest.mark.parametrize(("name", "code"), [("a.zip", "BAT003"), ("a.tar", "BAT003"), ("a.tgz", "BAT003")])
@pytest.mark.parametrize("content", [b"", b"x", b"UNB+UNOC:3'" * 400, b"\0" * 20])
def test_what_is_no_archive_is_an_issue(tmp_path: Path, name: str, code: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert read(tmp_path / name) == ([], [code])


def test_a_zip_that_grows_too_far_is_refused_without_taking_the_memory(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "bomb.zip", {"a.edi": MESSAGE, "bomb.edi": b"\0" * 100_000_000})
    tracemalloc.start()
    found, codes = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert names(found) == ["a.edi"]
    assert codes == ["BAT007"]
    assert peak < 20_000_000
    # Negative control: with the limit raised it is read.
    assert len(read(path, limits=Limits(ratio=2000))[0]) == 2


def test_a_gzip_that_grows_too_far_is_refused(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "bomb.tgz", {"a.edi": MESSAGE, "bomb.edi": b"\0" * 100_000_000})
    found, codes = read(path)
    assert names(found) == ["a.edi"]
    assert codes == ["BAT007"]
    assert len(read(path, limits=Limits(ratio=2000))[0]) == 2


def test_short_repetitive_members_are_no_bomb(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"a.xml": b"<a/>" * 100_000})
    assert read(path)[1] == []


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_members_and_archives_above_the_ceilings_are_issues(tmp_path: Path, name: str) -> None:
    content = {f"{n}.edi": os.urandom(1000 * n) for n in (1, 3, 2)}
    path = MAKERS[name](tmp_path / name, content)
    found, codes = read(path, limits=Limits(input=2000))
    assert names(found) == ["1.edi", "2.edi"]
    assert codes == ["BAT006"]
    found, codes = read(path, limits=Limits(archive=2000))
    assert names(found) == ["1.edi"][: len(found)]
    assert codes == ["BAT006"]
    assert read(path, limits=Limits(members=2))[1] == ["BAT006"]
    assert read(path, limits=Limits(members=3))[1] == []


def test_a_declared_size_is_not_trusted(tmp_path: Path) -> None:
    """A zip whose directory says 10 bytes where thousands come out is refused, and takes no harm."""
    path = make_zip(tmp_path / "a.zip", {"a.edi": b"\0" * 50_000_000})
    raw = bytearray(path.read_bytes())
    where = raw.rfind(b"PK\1\2")
    raw[where + 24 : where + 28] = (10).to_bytes(4, "little")
    path.write_bytes(raw)
    found, codes = read(path)
    assert found == []
    assert len(codes) == 1


def encrypted(path: Path) -> Path:
    make_zip(path, {"a.edi": MESSAGE, "secret.edi": MESSAGE, "z.edi": MESSAGE})
    raw = bytearray(path.read_bytes())
    at = raw.find(b"secret.edi")
    raw[at - 30 + 6] |= 1
    at = raw.find(b"secret.edi", at + 10)
    raw[at - 46 + 8] |= 1
    path.write_bytes(raw)
    return path


def test_an_encrypted_member_is_an_issue_and_the_others_are_read(tmp_path: Path) -> None:
    found, codes = read(encrypted(tmp_path / "a.zip"))
    assert names(found) == ["a.edi", "z.edi"]
    assert codes == ["BAT005"]


def test_members_that_are_read_without_zipfile_are_what_zipfile_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in an archive that was altered anywhere; most members are read that way, and none that is damaged."""
    content = {"a.edi": MESSAGE, "mappe/æ.edi": MESSAGE[:30], "c": b""}
    whole, taken, listed = make_zip(tmp_path / "a.zip", content).read_bytes(), [], []
    plain, directory = archives._plain, archives._plain_directory

    def noting(file: IO[bytes], entry: Any, limit: int) -> bytes | None:
        taken.append(data := plain(file, entry, limit))
        return data

    def listing(file: IO[bytes], size: int) -> tuple[bytes, int] | None:
        listed.append(found := directory(file, size))
        return found

    for at in range(0, len(whole), 2):
        (tmp_path / "a.zip").write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        monkeypatch.setattr(archives, "_plain", noting)
        monkeypatch.setattr(archives, "_plain_directory", listing)
        found = read(tmp_path / "a.zip")
        monkeypatch.setattr(archives, "_plain", lambda *_: None)
        monkeypatch.setattr(archives, "_plain_directory", lambda *_: None)
        assert found == read(tmp_path / "a.zip"), at
    assert len(taken) > taken.count(None) > 0
    assert len(listed) > listed.count(None) > 0


def test_members_listed_without_zipfile_are_not_kept(tmp_path: Path) -> None:
    """What zipfile keeps of as many members is many times the directory itself."""
    path = make_zip(tmp_path / "a.zip", {f"{number:06}.edi": b"" for number in range(1500)})

    def peak(take: Callable[[IO[bytes]], object]) -> int:
        with path.open("rb") as file:
            tracemalloc.start()
            take(file)
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return found

    size = path.stat().st_size
    held = peak(lambda file: sum(1 for _ in archives._zip(file, "a.zip", IssueLog(), Limits())))
    assert held < size < peak(zipfile.ZipFile) / 3


def test_a_wrong_checksum_in_a_zip_is_an_issue_and_the_others_are_read(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {n: b"content of " + n.encode() for n in ("a", "b", "c")}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"content of b", b"CONTENT of b"))
    found, codes = read(path)
    assert names(found) == ["a", "c"]
    assert codes == ["BAT004"]


def test_other_methods_of_packing_are_an_issue(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"a": MESSAGE}, zipfile.ZIP_BZIP2)
    assert read(path) == ([], ["BAT009"])


def test_links_and_devices_in_archives_are_skipped_with_a_record(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (
            ("sym", tarfile.SYMTYPE),
            ("hard", tarfile.LNKTYPE),
            ("dev", tarfile.CHRTYPE),
            ("pipe", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        member = tarfile.TarInfo("m.edi")
        member.size = len(MESSAGE)
        archive.addfile(member, io.BytesIO(MESSAGE))
    found, codes = read(path)
    assert names(found) == ["m.edi"]
    assert codes == ["BAT002"] * 4
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(link, "/etc/passwd")
    assert read(tmp_path / "a.zip") == ([], ["BAT002"])


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_an_archive_cut_off_anywhere_gives_whole_members_and_an_issue(tmp_path: Path, name: str) -> None:
    content = {f"{n}.edi": bytes(random.Random(n).choices(b"ABC'+:", k=700)) for n in range(4)}
    whole = MAKERS[name](tmp_path / name, content).read_bytes()
    if name == "a.tar":  # the rest is padding: tar records are 10 kB
        whole = whole[: 4 * 1536 + 1024]
    kept = set()
    for length in range(1, len(whole) - (1024 if name == "a.tar" else 0), 7):
        (tmp_path / name).write_bytes(whole[:length])
        found, codes = read(tmp_path / name)
        assert len(codes) == 1, length
        assert codes[0] in {"BAT003", "BAT004"}
        assert all(content[i.name] == i.data for i in found), length
        kept.add(len(found))
    assert 3 in kept
    (tmp_path / name).write_bytes(whole)
    assert read(tmp_path / name)[1] == []


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_altered_archives_never_give_a_traceback(tmp_path: Path, name: str) -> None:
    content = {"a.edi": MESSAGE * 10, "in/b.edi": os.urandom(300)}
    whole = MAKERS[name](tmp_path / name, content).read_bytes()
    rng = random.Random(7)
    for _ in range(400):
        raw = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            raw[rng.randrange(min(len(raw), 4000))] = rng.randrange(256)
        (tmp_path / name).write_bytes(raw)
        read(tmp_path / name)


def test_a_tar_header_cannot_ask_for_memory(tmp_path: Path) -> None:
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 5_000_000_000
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(member.tobuf() + b"n" * 3_000_000))
    assert read(path) == ([], ["BAT003"])


def test_a_zip_that_lists_too_many_members_is_not_loaded(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {f"{n}": b"" for n in range(20)}, zipfile.ZIP_STORED)
    assert read(path, limits=Limits(members=19)) == ([], ["BAT006"])


def test_zips_written_to_a_pipe_are_read_also_when_cut(tmp_path: Path) -> None:
    """Such a zip has its sizes after each member (bit 3 of the flags)."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    raw = Pipe()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.edi", MESSAGE * 3)
        archive.writestr("b.edi", MESSAGE)
    path = tmp_path / "a.zip"
    path.write_bytes(raw.getvalue())
    assert [i.data for i in read(path)[0]] == [MESSAGE * 3, MESSAGE]
    path.write_bytes(raw.getvalue()[:-60])
    found, codes = read(path)
    assert [i.data for i in found] == [MESSAGE * 3, MESSAGE]
    assert codes == ["BAT004"]


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(MESSAGE)

    monkeypatch.setattr("sys.stdin", Stdin)
    assert read("-") == ([Input("stdin", "stdin", MESSAGE, explicit=True)], [])
    Stdin.buffer = io.BytesIO(MESSAGE)
    assert read("-", limits=Limits(input=5)) == ([], ["BAT006"])
