"""Rows for reading: bytes to segments, bytes to a letter; beside pydifact and a bare lxml parse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.corpus import Message
from benchmarks.rows import Row
from converter import edifact, oioxml
from converter.definitions import Definitions
from converter.edifact.syntax import read_segments
from converter.issues import IssueLog

PYDIFACT = "pydifact: EDIFACT text → segments"


def each(function: Callable[[Any], object], inputs: Sequence[Any]) -> None:
    """Read one message after the other and let it go, as a run over an archive does."""
    for one in inputs:
        function(one)


def rows(messages: Sequence[Message], definitions: Definitions) -> Iterator[Row]:
    """The rows of reading."""
    n = len(messages)
    raw = [m.edifact for m in messages]
    texts = [m.edifact.decode("latin-1") for m in messages]
    xml = [m.oioxml for m in messages]
    yield Row(
        "read",
        "EDIFACT bytes → segments, elements, components",
        lambda: each(segments, raw),
        n,
        anchor=PYDIFACT,
        gate=lambda: same_segments(raw, texts) or broken_segments_are_found(raw),
        target=20,
    )
    yield Row(
        "read",
        "EDIFACT bytes → Letter",
        lambda: each(lambda data: letters(edifact, data, definitions), raw),
        n,
        anchor=PYDIFACT,
        gate=lambda: same_letters(messages, definitions) or wrong_counts_are_found(raw, definitions),
        target=10,
    )
    yield Row("read", PYDIFACT, lambda: each(peer_segments, texts), n, peer=True)
    yield Row(
        "read",
        "OIOXML bytes → Letter",
        lambda: each(lambda data: letters(oioxml, data, definitions), xml),
        n,
        anchor=PYDIFACT,
    )
    yield Row("read", "lxml: OIOXML bytes → tree", lambda: each(peer_tree, xml), n, peer=True)


def segments(data: bytes) -> list:
    """Our lexer: all segments with elements and components, unescaped, places kept."""
    log = IssueLog()
    found: list = []
    for _, part in read_segments(data, log):
        found += part
    return found


def letters(syntax, data: bytes, definitions: Definitions) -> list:
    """Our reader: all checks of envelope, structure and counts included."""
    log = IssueLog()
    found = list(syntax.read(data, definitions, log))
    if any(issue.severity.rank == 2 for issue in log):
        raise AssertionError("the corpus has a faulty letter")
    return found


def peer_segments(text: str) -> list:
    """pydifact's parser alone, the fastest way in; it keeps no places and checks no counts."""
    from pydifact.parser import Parser

    return list(Parser().parse(text))


def peer_tree(data: bytes) -> object:
    """A bare parse, the floor under any XML reader."""
    from lxml import etree

    return etree.fromstring(data)


def same_segments(raw: Sequence[bytes], texts: Sequence[str]) -> str:
    """Both lexers must find the same tags and values. pydifact gives an element of one component as plain text."""
    for data, text in zip(raw, texts, strict=True):
        ours = [(s.tag, [_as_peer(e) for e in s.elements]) for s in segments(data)]
        peers = [(s.tag, s.elements) for s in peer_segments(text) if s.tag != "UNA"]
        if ours != peers:
            return "segments differ from pydifact's"
    return ""


def _as_peer(element: list[str]) -> object:
    return element[0] if len(element) == 1 else element


def broken_segments_are_found(raw: Sequence[bytes]) -> str:
    """Seeded faults: a cut segment, a bad tag, a misplaced release character must each give an issue."""
    for broken in (raw[0][:-3], raw[0].replace(b"BGM", b"bm!"), raw[0].replace(b"BGM+E", b"BGM+?E")):
        log = IssueLog()
        list(read_segments(broken, log))
        if not list(log):
            return "a fault of syntax is not found"
    return ""


def same_letters(messages: Sequence[Message], definitions: Definitions) -> str:
    """Both syntaxes must give the same letter."""
    for message in messages:
        (a,), (b,) = letters(edifact, message.edifact, definitions), letters(oioxml, message.oioxml, definitions)
        if a.values != b.values:
            return f"the two syntaxes of {message.case} differ"
    return ""


def wrong_counts_are_found(raw: Sequence[bytes], definitions: Definitions) -> str:
    """Seeded faults: a wrong count and a wrong reference must each give an error."""
    for broken in (
        raw[0].replace(b"UNT+", b"UNT+9"),
        raw[0].replace(b"UNZ+1+", b"UNZ+1+X"),
        raw[0].replace(b"PAS+", b"PAX+"),
    ):
        log = IssueLog()
        list(edifact.read(broken, definitions, log))
        if not any(issue.severity.rank == 2 for issue in log):
            return "a wrong count, reference or segment is not found"
    return ""
