"""Zip and tar archives as streams of (label, bytes). Nothing is ever extracted to disk.

Labels are never opened as paths: `../../etc/passwd` in a zip is the name of some bytes. Sizes that an archive declares
are not trusted; bytes are counted as they stream (threats Z1 to Z5). What is wrong with one member is an issue, the
members before it are kept, and those after it where the format allows to find them.
"""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, Literal, Protocol

from converter.issues import IssueKind, IssueLog, Location, Severity, declare
from converter.limits import Limits

NOT_A_FILE = declare(
    "BAT002",
    "input-not-a-file",
    Severity.INFO,
    "skipped: {found}, not a regular file",
    why="A link or a device found in a folder or archive can point anywhere, so it is never followed.",
    help="If it was meant, name its target on the command line.",
)
NOT_AN_ARCHIVE = declare(
    "BAT003",
    "archive-unreadable",
    Severity.ERROR,
    "not readable as {format}",
    why="Nothing of the archive can be used.",
    help="Check that the suffix names the real format and that the file was transferred whole, in binary mode.",
)
DAMAGED = declare(
    "BAT004",
    "archive-damaged",
    Severity.ERROR,
    "damaged: {problem}",
    why="A member with a wrong checksum may hold altered text, and what stood after a cut is unknown.",
    help="Get the archive again. The members that could be read whole are used in any case.",
)
ENCRYPTED = declare(
    "BAT005",
    "member-encrypted",
    Severity.ERROR,
    "the archive member is encrypted",
    why="Its messages are not read.",
    help="Decrypt the archive first and name the decrypted files or archive.",
)
TOO_LARGE = declare(
    "BAT006",
    "input-too-large",
    Severity.ERROR,
    "larger than the limit `{limit}` of {allowed}",
    why="A limit guards against input that is made to exhaust memory.",
    help="If the input is genuine, raise that limit with `--limit NAME=SIZE`.",
)
EXPANDS = declare(
    "BAT007",
    "archive-expands-too-far",
    Severity.ERROR,
    "unpacks to more than {ratio} times its packed size",
    why="Archives that grow like this are made to exhaust memory; letters shrink to a tenth, hardly to a hundredth.",
    help="If the archive is genuine, raise the limit with `--limit ratio=N`.",
)
NESTED = declare(
    "BAT008",
    "archive-in-archive",
    Severity.WARNING,
    "skipped: an archive inside an archive is not opened",
    why="The messages in it are not read; archives nested in each other are a way to hide their real size.",
    help="Take the inner archive out and name it on the command line.",
)
COMPRESSION = declare(
    "BAT009",
    "member-compression",
    Severity.ERROR,
    "packed with a method that is not read (method {method})",
    why="Its messages are not read.",
    help="Pack the archive with the usual method (deflate), or store its members unpacked.",
)

_CHUNK = 1024 * 1024
# Short repetitive letters may shrink to less than a hundredth, so the ratio is held against larger output only.
_RATIO_FROM = 1024 * 1024
_TAR = (".tar", ".tar.gz", ".tgz")
_UTF8 = 0x800  # a flag of a zip member: how its name is written
_PLAIN_FLAGS = 0xE | _UTF8  # and others: how hard it was packed, lengths after it
# What the standard library raises on damaged archives, found by mutating archives (tests/test_sources.py).
_FAULTS = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, struct.error, ValueError, NotImplementedError)
_LOCAL = struct.Struct("<4s5H3I2H")  # what stands before a member of a zip
_SAME = struct.Struct("<4s2x2H16x2H")  # what of that must be as the directory says, and how long the rest is
_CENTRAL = struct.Struct("<8x2H4x3I3H4x2I")  # an entry of its directory: what is used of it
_JUDGED = struct.Struct("<4s2x2H10x2I3H8xI")  # and what tells whether it is a plain one
_END = struct.Struct("<4s4H2IH")  # what stands after the directory
_LOCATOR, _LARGE, _VERSION = 20, 0xFFFFFFFF, 63  # of the longer format; the version of the format that zipfile knows
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAX_TAR_HEADER = 1024 * 1024

Member = tuple[str, bytes]


class LimitError(Exception):
    """A limit would be broken. `whole`: the rest of the archive is left too, since its size as a whole is the fault."""

    def __init__(self, kind: IssueKind, *, whole: bool = False, **facts: Any) -> None:
        super().__init__(kind.code)
        self.kind, self.whole, self.facts = kind, whole, facts

    def report(self, log: IssueLog, at: Location) -> None:
        """Add the issue that it stands for."""
        log.add(self.kind, at, **self.facts)


def is_archive(name: str) -> bool:
    """Whether a file of that name is opened as an archive."""
    return name.lower().endswith((".zip", *_TAR))


class Openable(Protocol):
    """What can be opened for reading and has a name: a path, or bytes that somebody holds."""

    @property
    def name(self) -> str:
        """The file's own name."""

    def open(self, mode: Literal["rb"]) -> IO[bytes]:
        """The bytes from their beginning."""


def members(path: Openable, display: str, log: IssueLog, limits: Limits) -> Iterator[Member]:
    """The regular files of an archive, with their names in it as labels.

    Raises `OSError` if the archive cannot be read. Links, devices and archives inside are skipped with a record;
    faults become issues at `display/label`.
    """
    read = _zip if path.name.lower().endswith(".zip") else _tar
    with path.open("rb") as file:
        yield from read(file, display, log, limits)


class _Budget:
    """Counts what comes out of one archive, against its packed size and the total."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.out = 0

    def spend(self, read: int, packed: int) -> None:
        """Count `read` bytes more, from `packed` bytes so far."""
        self.out += read
        if self.out > self.limits.archive:
            raise LimitError(TOO_LARGE, whole=True, limit="archive", allowed=self.limits.archive)
        if self.out > max(_RATIO_FROM, packed * self.limits.ratio):
            raise LimitError(EXPANDS, whole=True, ratio=self.limits.ratio)


def read_whole(file: IO[bytes], limits: Limits) -> bytes:
    """All bytes of a file; `LimitError` if it has more than the limit `input`."""
    parts, size = [], 0
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        if size > limits.input:
            raise LimitError(TOO_LARGE, limit="input", allowed=limits.input)
        parts.append(chunk)
    return b"".join(parts)


def _usable(label: str, display: str, log: IssueLog) -> bool:
    if is_archive(label):
        log.add(NESTED, Location(f"{display}/{label}"))
        return False
    return True


# Zip


_Entry = tuple[str, bytes, int, int, int, int, int, int, int, int | None]
"""What the directory of a zip says of a member: its name, and as it stands there; mode, flags, method, checksum, sizes
packed and unpacked, where it begins, and where the next thing does if somebody made sure that members do not overlap.
"""


def _zip(file: IO[bytes], display: str, log: IssueLog, limits: Limits) -> Iterator[Member]:
    at = Location(display)
    count = _listed(file)
    if count is not None and count > limits.members:
        log.add(TOO_LARGE, at, limit="members", allowed=limits.members)
        return
    packed, budget, small = _size(file), _Budget(limits), min(_RATIO_FROM, limits.input)
    archive, directory = None, _plain_directory(file, packed)
    try:
        archive = zipfile.ZipFile(file) if directory is None else None
    except _FAULTS:
        yield from _zip_without_directory(file, display, log, limits)
        return
    entries = _entries(*directory) if directory is not None else map(_entry, archive.infolist() if archive else ())
    for number, entry in enumerate(entries):
        name = entry[0]
        if name.endswith("/") or not _zip_usable(entry, display, log):
            continue
        try:
            if (data := _plain(file, entry, small)) is None:
                archive = archive or zipfile.ZipFile(file)
                data = _zip_member(archive, archive.infolist()[number], packed, budget)
            else:
                budget.spend(len(data), packed)
            yield name, data
        except LimitError as refusal:
            refusal.report(log, Location(display) if refusal.whole else Location(f"{display}/{name}"))
            if refusal.whole:
                return
        except (*_FAULTS, RuntimeError) as error:
            log.add(DAMAGED, Location(f"{display}/{name}"), problem=_problem(error))


def _entry(member: zipfile.ZipInfo) -> _Entry:
    name = member.orig_filename
    told = name.encode() if name.isascii() else name.encode("utf-8" if member.flag_bits & _UTF8 else "cp437", "replace")
    return (
        member.filename,
        told,
        member.external_attr >> 16,
        member.flag_bits,
        member.compress_type,
        member.CRC,
        member.compress_size,
        member.file_size,
        member.header_offset,
        getattr(member, "_end_offset", None),  # newer versions of zipfile refuse members that overlap
    )


def _plain_directory(file: IO[bytes], size: int) -> tuple[bytes, int] | None:
    """The directory of a zip, and where it begins, if in all of it there is nothing that zipfile has to judge.

    zipfile makes an object an entry, which takes as long as reading the member, and keeps all. What is cut or broken,
    or of the longer format for large archives, is left to it, and so are members that are not one after the other.
    """
    file.seek(max(0, size - _END.size - _LOCATOR))
    tail = file.read()
    last = tail[-_END.size :]
    if len(last) < _END.size or tail.startswith(b"PK\6\7"):
        return None
    mark, disk, first_disk, _, _, length, start, comment = _END.unpack(last)
    if mark != b"PK\5\6" or disk or first_disk or comment or start + length != size - _END.size:
        return None
    file.seek(start)
    directory = file.read(length)
    at = before = 0
    while at + _CENTRAL.size <= len(directory):
        mark, version, flags, packed, full, name, extra, more, place = _JUDGED.unpack_from(directory, at)
        if mark != b"PK\1\2" or version & 0xFF > _VERSION or place < before or _LARGE in (packed, full, place):
            return None
        at += _CENTRAL.size
        noted = at + name
        if (flags & _UTF8 or extra) and not _is_plain(directory[at:noted], flags, directory[noted : noted + extra]):
            return None
        at = noted + extra + more
        before = place + _LOCAL.size
    return (directory, start) if at == length and before <= start else None


def _is_plain(name: bytes, flags: int, extra: bytes) -> bool:
    """Whether a name can be read, and what is noted beside it is whole and changes no size, place or name."""
    try:
        name.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError:
        return False
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind in (0x0001, 0x7075) or 4 + length > len(extra):
            return False
        extra = extra[4 + length :]
    return True


def _entries(directory: bytes, end: int) -> Iterator[_Entry]:
    """The entries of such a directory, which begins where the last member ends. None of them is kept."""
    at, last = 0, None
    while at < len(directory):
        flags, method, checksum, packed, size, length, extra, more, mode, place = _CENTRAL.unpack_from(directory, at)
        at += _CENTRAL.size
        told = directory[at : at + length]
        at += length + extra + more
        name = told.decode("ascii" if told.isascii() else "utf-8" if flags & _UTF8 else "cp437")
        if "\0" in name:  # so zipfile reads it
            name = name.partition("\0")[0]
        if last is not None:
            yield *last, place
        last = name, told, mode >> 16, flags, method, checksum, packed, size, place
    if last is not None:
        yield *last, end


def _zip_usable(entry: _Entry, display: str, log: IssueLog) -> bool:
    label, mode, flags, method = entry[0], entry[2], entry[3], entry[4]
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        log.add(NOT_A_FILE, Location(f"{display}/{label}"), found=kind_of_file(mode))
    elif flags & 1:
        log.add(ENCRYPTED, Location(f"{display}/{label}"))
    elif method not in _METHODS:
        log.add(COMPRESSION, Location(f"{display}/{label}"), method=method)
    else:
        return _usable(label, display, log)
    return False


def _zip_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, packed: int, budget: _Budget) -> bytes:
    limits, parts, size = budget.limits, [], 0
    with archive.open(member) as stream:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > limits.input:
                raise LimitError(TOO_LARGE, limit="input", allowed=limits.input)
            if size > max(_RATIO_FROM, member.compress_size * limits.ratio):
                raise LimitError(EXPANDS, ratio=limits.ratio)
            budget.spend(len(chunk), packed)
            parts.append(chunk)
    return b"".join(parts)


def _plain(file: IO[bytes], entry: _Entry, limit: int) -> bytes | None:
    """A member up to that size in which all is as its entry says, at a quarter of what zipfile takes; else None.

    Whatever is wrong with a member is found and told by zipfile. Of small ones no ratio is looked at.
    """
    _, told, _, flags, method, checksum, packed, size, place, end = entry
    if size > limit or packed > limit or flags & ~_PLAIN_FLAGS:
        return None
    file.seek(place)
    start = _LOCAL.size + len(told)
    block = file.read(start + packed)
    if len(block) < start:
        return None
    mark, flags_here, method_here, length, extra = _SAME.unpack_from(block)
    same = flags_here == flags and method_here == method and length == len(told) and block[_LOCAL.size : start] == told
    if mark != b"PK\3\4" or not same:
        return None
    if extra:
        block += file.read(extra)
        start += extra
    if end is not None and place + start + packed > end:
        return None
    data: bytes | None = block[start:]
    if data is not None and method == zipfile.ZIP_DEFLATED:
        data = _inflated(data, size)
    whole = len(block) - start == packed and data is not None and len(data) == size and zlib.crc32(data) == checksum
    return data if whole else None


def _inflated(data: bytes, size: int) -> bytes | None:
    """What a small member of that size holds; None if it is not packed as it should be."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(data, size + 1)
    except zlib.error:
        return None
    return data if inflater.eof and not inflater.unused_data else None


def kind_of_file(mode: int) -> str:
    """What stands there instead of a regular file, from its mode bits."""
    return "a symbolic link" if stat.S_ISLNK(mode) else "a device, socket or pipe"


def _size(file: IO[bytes]) -> int:
    return file.seek(0, io.SEEK_END)


def _problem(error: BaseException) -> str:
    """What the library found, without its text, which may repeat names and bytes of the archive."""
    if isinstance(error, EOFError | tarfile.ReadError):
        return "it ends too early"
    if isinstance(error, zipfile.BadZipFile) and "CRC" in str(error):
        return "the checksum is wrong"
    return "its structure is broken"


def _listed(file: IO[bytes]) -> int | None:
    """How many members the directory at the end of a zip lists; None if there is none.

    zipfile reads the whole directory into objects at once, so the number must be known before it is asked.
    """
    size = _size(file)
    start = max(0, size - 66_000)
    file.seek(start)
    tail = file.read()
    found = tail.rfind(b"PK\5\6")
    if found < 0 or len(tail) - found < 22:
        return None
    count, length = struct.unpack_from("<H", tail, found + 10)[0], struct.unpack_from("<I", tail, found + 12)[0]
    wide = tail.rfind(b"PK\6\6", 0, found)
    if wide >= 0 and len(tail) - wide >= 48:
        count, length = struct.unpack_from("<QQ", tail, wide + 32)
    # A record of the directory has 46 bytes at least; the count itself may lie.
    return int(max(count, min(length, size) // 46 if length > 46 * 65_535 else 0))


def _zip_without_directory(file: IO[bytes], display: str, log: IssueLog, limits: Limits) -> Iterator[Member]:
    """The members that stand whole in a zip whose directory at the end is cut off or broken."""
    packed, budget, found = _size(file), _Budget(limits), False
    file.seek(0)
    while (header := file.read(_LOCAL.size)).startswith(b"PK\3\4") and len(header) == _LOCAL.size:
        found = True
        try:
            member = _local_member(file, header, packed, budget)
        except LimitError as refusal:
            refusal.report(log, Location(display))
            return
        except _FAULTS:
            break
        if member is not None and not member[0].endswith("/"):
            label = member[0]
            if _usable(label, display, log):
                yield member
    if found:
        log.add(DAMAGED, Location(display), problem="its list of members is cut off or broken")
    else:
        log.add(NOT_AN_ARCHIVE, Location(display), format="a zip archive")


def _local_member(file: IO[bytes], header: bytes, packed: int, budget: _Budget) -> Member | None:
    _, _, flags, method, _, _, checksum, length, _, name_length, extra_length = _LOCAL.unpack(header)
    name = file.read(name_length).decode("utf-8" if flags & 0x800 else "cp437", "replace")
    file.seek(extra_length, io.SEEK_CUR)
    if flags & 1 or method not in _METHODS or length == 0xFFFFFFFF:
        raise zipfile.BadZipFile("not read without a directory")
    if method == zipfile.ZIP_STORED:
        if flags & 8:
            raise zipfile.BadZipFile("its length stands nowhere before it")
        data = file.read(length)
        budget.spend(len(data), packed)
    else:
        data = _inflate(file, packed, budget)
    if flags & 8:
        checksum = _after_member(file)
    if zlib.crc32(data) != checksum:
        raise EOFError
    return name, data


def _inflate(file: IO[bytes], packed: int, budget: _Budget) -> bytes:
    inflater, parts, size = zlib.decompressobj(-zlib.MAX_WBITS), [], 0
    while not inflater.eof:
        chunk = inflater.unconsumed_tail or file.read(64 * 1024)
        if not chunk:
            raise EOFError
        out = inflater.decompress(chunk, _CHUNK)
        size += len(out)
        if size > budget.limits.input:
            raise LimitError(TOO_LARGE, limit="input", allowed=budget.limits.input)
        budget.spend(len(out), packed)
        parts.append(out)
    file.seek(-len(inflater.unused_data), io.SEEK_CUR)
    return b"".join(parts)


def _after_member(file: IO[bytes]) -> int:
    """The checksum in the record after a member whose header left it open; its signature is optional."""
    first = file.read(4)
    if first == b"PK\7\10":
        first = file.read(4)
    file.seek(8, io.SEEK_CUR)
    if len(first) < 4:
        raise EOFError
    return int(struct.unpack("<I", first)[0])


# Tar


class _Counted(io.RawIOBase):
    """A readable stream that keeps a budget over what is unpacked from `packed`."""

    def __init__(self, stream: IO[bytes] | _Gunzip, packed: IO[bytes], budget: _Budget) -> None:
        super().__init__()
        self._stream, self._packed, self._budget = stream, packed, budget

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._budget.spend(len(data), self._packed.tell())
        return data


class _Gunzip:
    """Unpacks gzip and hands out what stands before a cut, where `gzip.GzipFile` keeps that to itself."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def read(self, size: int) -> bytes:
        """At most `size` bytes, empty at the end; `EOFError` where it is cut, `zlib.error` where it is broken."""
        while True:
            if self._inflater.eof:
                rest = self._inflater.unused_data or self._packed.read(_CHUNK)
                # Several gzip streams may stand after one another; zeros are padding.
                if not rest.strip(b"\0"):
                    return b""
                self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
            else:
                rest = self._inflater.unconsumed_tail or self._packed.read(_CHUNK)
                if not rest:
                    raise EOFError
            data = self._inflater.decompress(rest, size)
            if data:
                return data


class _Header(tarfile.TarInfo):
    """Says what tarfile passes over: a cut or broken header after the first would end the archive without a word.

    A header that announces a huge name is refused too, since tarfile would read all of it into memory.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> _Header:
        try:
            header = super().frombuf(buf, encoding, errors)  # type: ignore[arg-type]
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise
            raise tarfile.ReadError("header cut or broken") from error
        ordinary = header.type in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE)
        if not ordinary and header.size > _MAX_TAR_HEADER:
            raise tarfile.ReadError("header too large")
        return header


def _tar(file: IO[bytes], display: str, log: IssueLog, limits: Limits) -> Iterator[Member]:
    at, found = Location(display), False
    plain = display.lower().endswith(".tar")
    stream = file if plain else _Gunzip(file)
    unpacked = _Counted(stream, file, _Budget(limits))
    try:
        with tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_Header) as archive:
            for count, member in enumerate(archive, 1):
                found = True
                if count > limits.members:
                    raise LimitError(TOO_LARGE, limit="members", allowed=limits.members)
                yield from _tar_member(archive, member, display, log, limits)
        # tarfile stops at the end mark; the checksum of gzip stands after it.
        while unpacked.read(_CHUNK):
            pass
    except LimitError as refusal:
        refusal.report(log, at)
    except _FAULTS as error:
        if found:
            log.add(DAMAGED, at, problem=_problem(error))
        else:
            log.add(NOT_AN_ARCHIVE, at, format="a tar archive" if plain else "a tar archive packed with gzip")


def _tar_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, display: str, log: IssueLog, limits: Limits
) -> Iterator[Member]:
    label = member.name.removeprefix("./")
    at = Location(f"{display}/{label}")
    # A stream has no way back, so tarfile's own list of members would only grow.
    archive.members = []  # type: ignore[attr-defined]
    if member.isdir():
        return
    if not member.isreg() or member.issparse():
        log.add(NOT_A_FILE, at, found="a link" if member.islnk() or member.issym() else "a device or special file")
        return
    if not _usable(label, display, log):
        return
    stream = archive.extractfile(member)
    if stream is None:
        return
    try:
        data = read_whole(stream, limits)
    except LimitError as refusal:
        if refusal.whole:
            raise
        refusal.report(log, at)
        return
    yield label, data
