"""Many small letters, each with ids that occur once, made from one fixture. Imports nothing of the converter."""

from __future__ import annotations

import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LETTER = (ROOT / "fixtures" / "letters" / "DIS91" / "minimal" / "message.edi").read_bytes()


def letter(number: int) -> bytes:
    """The letter with that number: the same bytes whenever it is asked for."""
    return _LETTER.replace(b"KUVERT00002", b"K%010d" % number).replace(b"BREV00002", b"B%08d" % number)


def broken(number: int) -> bytes:
    """A letter that cannot be read: cut off in the middle."""
    return letter(number)[:400]


def folder(path: Path, numbers: range) -> Path:
    """A folder with a file a letter; the names are in the order of the numbers."""
    path.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (path / f"{number:07d}.edi").write_bytes(letter(number))
    return path


def zipped(path: Path, numbers: range) -> Path:
    """The same as a zip archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in numbers:
            archive.writestr(zipfile.ZipInfo(f"{number:07d}.edi"), letter(number))
    return path


def tarred(path: Path, numbers: range) -> Path:
    """The same as a tar archive packed with gzip."""
    with tarfile.open(path, "w:gz") as archive:
        for number in numbers:
            data = letter(number)
            header = tarfile.TarInfo(f"{number:07d}.edi")
            header.size = len(data)
            archive.addfile(header, BytesIO(data))
    return path
