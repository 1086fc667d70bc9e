"""Converts every letter under fixtures/letters into out/ (or the folder named) and prints one row a message.

Also a first look at the library: an `Engine` is made once, and `convert` yields an outcome a message.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from converter.directory import Directory
from converter.engine import Engine, Outcome
from converter.issues import IssueLog, Severity

ROOT = Path(__file__).resolve().parents[1]
LETTERS = ROOT / "fixtures" / "letters"
OUT = ROOT / "out"
COLUMNS = (
    "message",
    "type",
    "syntax",
    "target",
    "issues",
    "leaves",
    "mapped",
    "lossy",
    "checked",
    "kept",
    "ignored",
    "lost",
)


def converted(engine: Engine) -> Iterator[tuple[Path, Outcome]]:
    """Every message of the fixtures, with what became of it."""
    for path in sorted(LETTERS.rglob("message.*")):
        name = path.relative_to(LETTERS)
        for outcome in engine.convert(path.read_bytes(), to="fhir", name=name.as_posix()):
            yield name, outcome


def issues_of(outcome: Outcome) -> str:
    """`2E 1W 4I`: errors, warnings, infos; `none` when there are none."""
    counts = Counter(issue.severity for issue in outcome.issues)
    return " ".join(f"{counts[s]}{s.name[0]}" for s in Severity if counts[s]) or "none"


def row(name: Path, outcome: Outcome) -> tuple[str, ...]:
    """The table row of one message; leaves are counted by disposition."""
    totals = Counter(outcome.ledger.totals() if outcome.ledger else {})
    leaves = outcome.ledger.leaves if outcome.ledger else 0
    lossy = totals["mapped-lossy"] + totals["folded-to-text"]
    numbers = (
        leaves,
        totals["mapped"],
        lossy,
        totals["constant-checked"],
        totals["kept"],
        totals["ignored"],
        totals["lost"],
    )
    kind = f"{outcome.type} {outcome.version}"
    target = outcome.target if outcome.output is not None else "not built"
    return (name.as_posix(), kind, outcome.syntax, target, issues_of(outcome), *map(str, numbers))


def table(rows: list[tuple[str, ...]]) -> str:
    """Aligned columns: words to the left, numbers to the right."""
    widths = [max(len(r[i]) for r in (COLUMNS, *rows)) for i in range(len(COLUMNS))]
    lines = []
    for cells in (COLUMNS, tuple("-" * w for w in widths), *rows):
        lines.append(
            "  ".join(c.ljust(w) if i < 5 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        )
    return "\n".join(line.rstrip() for line in lines)


def main(out: Path = OUT) -> int:
    """Convert, write and print. Returns 0 when every message was built or refused with an error that says why."""
    log = IssueLog()
    engine = Engine(directory=Directory.load(ROOT / "fixtures" / "organisations.csv", log))
    rows, written, silent = [], [], 0
    for name, outcome in converted(engine):
        rows.append(row(name, outcome))
        if outcome.output is None:
            silent += not any(issue.severity is Severity.ERROR for issue in outcome.issues)
            continue
        path = out / name.with_name(f"{name.name}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(outcome.output)
        written.append(path)
    print(table(rows))
    print(f"\n{len(rows)} messages, {len(written)} Bundles written. Look at one:")
    shown = next((p for p in written if p.parent.name == "plain"), written[0] if written else out)
    print(f"  {os.path.relpath(shown)}")
    return 1 if silent or not written else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
