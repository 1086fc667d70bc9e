"""The folders under fixtures/, and how outcomes are written down in their golden files."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree

from converter.ledger import losses_by_leaf
from converter.rehearsal.examples import attachments
from converter.rehearsal.golden import declared, differences, issue_lines, ledger_lines

if TYPE_CHECKING:
    from converter.engine import Engine, Outcome

__all__ = [
    "FIXTURES",
    "Case",
    "canonical",
    "convert",
    "declared",
    "differences",
    "fault_folders",
    "issue_lines",
    "ledger_lines",
    "letter_cases",
    "losses_by_leaf",
    "on_one_line",
    "only",
]
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@dataclass(frozen=True)
class Case:
    """One folder: the same letter in one or both legacy syntaxes."""

    folder: Path

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def messages(self) -> list[Path]:
        return [p for p in (self.folder / "message.edi", self.folder / "message.xml") if p.exists()]

    @property
    def twins(self) -> bool:
        return len(self.messages) == 2


def letter_cases(*, twins: bool = False) -> list[Case]:
    """All cases, by name; with `twins` only those in both syntaxes."""
    folders = sorted({p.parent for p in FIXTURES.glob("letters/*/*/message.*")})
    cases = [Case(folder) for folder in folders]
    return [c for c in cases if c.twins] if twins else cases


def fault_folders() -> list[Path]:
    """The folders of faulty messages, by name."""
    return sorted(p for p in FIXTURES.glob("faults/*") if p.is_dir())


def only(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of an input that holds one message, letters with its objects aside."""
    (outcome,) = [outcome for outcome in outcomes if not outcome.is_partner]
    return outcome


def convert(engine: Engine, path: Path, to: str) -> Outcome:
    """Convert a file that holds one message, with the letters that hold its objects beside it."""
    return only(engine.convert(path.read_bytes(), to=to, name=path.name, partners=attachments(engine, path)))


def on_one_line(edifact: bytes) -> bytes:
    """EDIFACT without line ends, which carry no meaning."""
    return edifact.replace(b"\r", b"").replace(b"\n", b"")


def canonical(xml: bytes) -> bytes:
    """Canonical XML: prefixes, attribute order, declaration and encoding are gone, every character of text is kept."""
    out = io.BytesIO()
    etree.fromstring(xml).getroottree().write_c14n(out)
    return out.getvalue().strip()
