"""The folders under fixtures/, and how outcomes are written down in their golden files."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree

from converter.issues import Issue
from converter.ledger import Entry, Ledger
from converter.letter import Value, plain

if TYPE_CHECKING:
    from converter.engine import Engine, Outcome

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
    """The outcome of an input that holds one message."""
    (outcome,) = outcomes
    return outcome


def convert(engine: Engine, path: Path, to: str) -> Outcome:
    """Convert a file that holds one message."""
    return only(engine.convert(path.read_bytes(), to=to, name=path.name))


def on_one_line(edifact: bytes) -> bytes:
    """EDIFACT without line ends, which carry no meaning."""
    return edifact.replace(b"\r", b"").replace(b"\n", b"")


def canonical(xml: bytes) -> bytes:
    """Canonical XML: prefixes, attribute order, declaration and encoding are gone, every character of text is kept."""
    out = io.BytesIO()
    etree.fromstring(xml).getroottree().write_c14n(out)
    return out.getvalue().strip()


def issue_lines(issues: Iterable[Issue]) -> str:
    """Issues without what differs between the syntaxes (the place in the input)."""
    lines = Counter((i.severity.value, i.code, i.message, i.target or i.rule, i.count) for i in issues)
    rows = sorted((*key, times) for key, times in lines.items())
    return "".join(
        f"{severity} {code} {where or '-'}{f' x{count * times}' if count * times > 1 else ''}: {message}\n"
        for severity, code, message, where, count, times in rows
    )


def ledger_lines(ledger: Ledger) -> str:
    """Every entry on a line: disposition, leaf, target, loss, rule; sums first."""
    sums = ", ".join(f"{name} {n}" for name, n in ledger.totals().items())
    head = f"{ledger.leaves} leaves: {sums}\n"
    return head + "".join(_line(e) for e in (*ledger.entries, *ledger.defaulted))


def _line(entry: Entry) -> str:
    parts = [str(entry.disposition), entry.leaf or "-"]
    parts += [f"-> {entry.target}"] if entry.target else []
    parts += [f"[{entry.loss}]"] if entry.loss else []
    parts += [f"by {entry.rule}"] if entry.rule else []
    return " ".join(parts) + "\n"


def differences(before: Mapping[str, Value], after: Mapping[str, Value]) -> dict[str, str]:
    """Leaves that a letter gained, lost or changed: leaf id to `added`, `missing` or `changed`."""
    found = {}
    for leaf in (*before, *(leaf for leaf in after if leaf not in before)):
        if leaf not in after:
            found[leaf] = "missing"
        elif leaf not in before:
            found[leaf] = "added"
        elif before[leaf] != after[leaf]:
            found[leaf] = "changed" if plain(before[leaf]) != plain(after[leaf]) else "format changed"
    return found


def losses_by_leaf(forward: Ledger, back: Ledger) -> dict[str, str]:
    """The loss id that the ledgers of both ways name for a leaf of the letter.

    A leaf is the source of an entry on the way forward, the target of one on the way back, or was made on the way back
    from a value that stands in the Bundle under a loss id.
    """
    found: dict[str, str] = {}
    pointers = {e.target: e.loss for e in (*forward.entries, *forward.defaulted) if e.loss}
    for entry in (*forward.entries, *back.entries, *back.defaulted):
        loss = entry.loss or pointers.get(entry.leaf, "")
        if loss:
            found.setdefault(entry.leaf, loss)
            found.setdefault(entry.target, loss)
    return found
