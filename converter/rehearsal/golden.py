"""How what became of a message is written down in golden files: issues, ledger, and what a round trip changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from converter.issues import Issue
from converter.ledger import Entry, Ledger
from converter.letter import Value, plain


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


def declared(
    before: Mapping[str, Value], after: Mapping[str, Value], losses: Mapping[str, str]
) -> tuple[str, list[str]]:
    """What a round trip changed, a line a leaf with the loss that says so, and the leaves that none speaks of."""
    changes = differences(before, after)
    lines = "".join(f"{losses[leaf]} {change} {leaf}\n" for leaf, change in changes.items() if leaf in losses)
    return lines, sorted(set(changes) - set(losses))
