"""Messages to measure with, made from the fixtures when the run starts, each with its own identifiers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LETTERS = ROOT / "fixtures" / "letters"
TABLE = ROOT / "fixtures" / "organisations.csv"
_INTERCHANGE = re.compile(rb"UNB\+(?:[^+]*\+){4}(\w+)(?=[+'])")
_LETTER = re.compile(rb"UNH\+(\w+)\+")
# The same two ids in OIOXML, for types whose EDIFACT layout is not published.
_ENVELOPE_XML = re.compile(rb"</Sent><Identifier>(\w+)</Identifier>")
_LETTER_XML = re.compile(rb"<Letter><Identifier>(\w+)</Identifier>")


@dataclass(frozen=True)
class Message:
    """One letter in both syntaxes; `case` is the fixture that it was made from."""

    case: str
    edifact: bytes
    oioxml: bytes


def cases(type_: str = "DIS91") -> list[Message]:
    """Every fixture of a type that exists in both syntaxes and became a Bundle without errors."""
    folders = sorted(p.parent for p in (LETTERS / type_).glob("*/message.edi"))
    return [
        Message(f.name, (f / "message.edi").read_bytes(), (f / "message.xml").read_bytes())
        for f in folders
        if (f / "message.xml").exists() and _sound(f)
    ]


def _sound(folder: Path) -> bool:
    issues = folder / "issues.txt"
    return issues.exists() and "error" not in issues.read_text(encoding="utf-8").split()


def corpus(number: int, type_: str = "DIS91", under: int = 0) -> list[Message]:
    """That many messages: the fixtures in turn (those of fewer bytes than `under`), with ids that occur once.

    Fixtures with service characters in an id, which the two syntaxes write differently, are left out.
    """
    plain = [m for m in cases(type_) if _INTERCHANGE.search(m.edifact) and _LETTER.search(m.edifact)]
    originals = [m for m in plain if not under or len(m.edifact) < under]
    return [_numbered(originals[i % len(originals)], i) for i in range(number)] if originals else []


def corpus_of_xml(number: int, type_: str, under: int) -> list[Message]:
    """The same for a type that has no EDIFACT form; `edifact` is OIOXML too."""
    files = sorted((LETTERS / type_).glob("*/message.xml"))
    found = [Message(f.parent.name, f.read_bytes(), f.read_bytes()) for f in files if _sound(f.parent)]
    originals = [m for m in found if len(m.oioxml) < under and _LETTER_XML.search(m.oioxml)]
    return [_numbered(originals[i % len(originals)], i) for i in range(number)] if originals else []


def types() -> list[str]:
    """The letter types that have fixtures."""
    return sorted(p.name for p in LETTERS.iterdir() if p.is_dir())


def _numbered(message: Message, index: int) -> Message:
    """The message with other ids of letter and interchange, the same in both syntaxes."""
    found = {b"B%09d" % index: (_LETTER, _LETTER_XML), b"K%09d" % index: (_INTERCHANGE, _ENVELOPE_XML)}
    matches = {
        name: next(filter(None, (f.search(message.edifact) for f in forms)), None) for name, forms in found.items()
    }
    fresh = {match[1]: name for name, match in matches.items() if match}
    ids = re.compile(rb"\b(?:" + b"|".join(map(re.escape, fresh)) + rb")\b")

    def other(match: re.Match[bytes]) -> bytes:
        return fresh[match[0]]

    return Message(message.case, ids.sub(other, message.edifact), ids.sub(other, message.oioxml))
