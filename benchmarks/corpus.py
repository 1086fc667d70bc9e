"""Messages to measure with, made from the fixtures when the run starts, each with its own identifiers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LETTERS = ROOT / "fixtures" / "letters"
TABLE = ROOT / "fixtures" / "organisations.csv"
_IDENTIFIER = re.compile(rb"\b(BREV|KUVERT)\d+\b")


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


def corpus(number: int, type_: str = "DIS91") -> list[Message]:
    """That many messages: the fixtures in turn, with identifiers that occur once."""
    originals = [m for m in cases(type_) if _IDENTIFIER.search(m.edifact)]
    return [_numbered(originals[i % len(originals)], i) for i in range(number)] if originals else []


def _numbered(message: Message, index: int) -> Message:
    def fresh(match: re.Match[bytes]) -> bytes:
        return match[1] + b"%08d" % index

    return Message(message.case, _IDENTIFIER.sub(fresh, message.edifact), _IDENTIFIER.sub(fresh, message.oioxml))
