"""Rows for letters with a large file: joined to one Bundle, and split again. A `message` here is 1 MB of the file."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from benchmarks.conversion import Parts
from benchmarks.rows import Row
from converter.engine import Engine
from converter.issues import Severity

CASE = Path(__file__).resolve().parents[1] / "fixtures/letters/DIS91/files"
MEGABYTES = 8
RATE = 50
_SIZE = 125  # of the first file of the case


@cache
def content() -> bytes:
    """A file of the size of the rows: the beginning of a PDF, then bytes that look like nothing else."""
    head = b"%PDF-1.4\n"
    return (head + bytes(range(256)) * (MEGABYTES * 1_000_000 // 256 + 1))[: MEGABYTES * 1_000_000]


@cache
def material() -> tuple[bytes, bytes]:
    """The letter and the letter with its files, of which the first is large."""
    letter, files = ((CASE / f"{name}.edi").read_bytes() for name in ("message", "attachment"))
    start = files.index(b":A'", files.index(b"UNO+1")) + 3
    end = files.index(b"UNP+")
    size = len(content())
    whole = files[:start].replace(b"91+%d:" % _SIZE, b"91+%d:" % size) + content() + files[end:]
    whole = whole.replace(b"UNP+%d+1" % _SIZE, b"UNP+%d+1" % size)
    return letter.replace(b":%d'" % _SIZE, b":%d'" % size, 1), whole


def joined(engine: Engine) -> bytes:
    """One Bundle of both letters, validated."""
    letter, files = material()
    (outcome,) = engine.convert(letter, partners=engine.partners([(files, "files")]))
    assert not [issue for issue in outcome.issues if issue.severity is Severity.ERROR]
    return outcome.output or b""


def split(engine: Engine, bundle: bytes) -> list[bytes]:
    """The two letters of the Bundle."""
    return [outcome.output or b"" for outcome in engine.convert(bundle, to="edifact")]


def rows(parts: Parts) -> Iterator[Row]:
    """There and back, with validation."""
    engine = parts.checking
    bundle = joined(engine)

    def gate() -> str:
        at = bundle.index(b'"data": "') + 9
        there = b64decode(bundle[at : bundle.index(b'"', at)]) == content()
        back = content() in split(engine, bundle)[1]
        return "" if there and back else "the file does not come back"

    yield Row(
        "attachment",
        "letter and file, EDIFACT → Bundle JSON, validated, 1 MB",
        lambda: joined(engine),
        MEGABYTES,
        gate=gate,
        target_rate=RATE,
    )
    yield Row(
        "attachment",
        "Bundle JSON → letter and file, EDIFACT, validated, 1 MB",
        lambda: split(engine, bundle),
        MEGABYTES,
        gate=gate,
        target_rate=RATE,
    )
