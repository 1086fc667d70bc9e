"""What a change of the mapping files does to real messages: fields that change, losses gained and gone, failures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from converter.engine import Engine, Outcome
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.letter import pattern
from converter.rehearsal import differences, golden
from converter.rehearsal.rules import place_of
from converter.sources import Input

NEW_LOSS = declare(
    "LNT510",
    "new-loss",
    Severity.ERROR,
    "{path} is lost anew under {loss} in {number} messages",
    why="The receiver no longer gets what the sender wrote, and nobody has said that this is meant.",
    help="Correct the rule, or declare the loss: `medcom-fhir diff … --accept-loss ID`.",
)
FAILS = declare(
    "LNT511",
    "message-now-fails",
    Severity.ERROR,
    "{number} messages now fail with {code}",
    why="What was delivered until now would not be any more.",
    help="Look at one of them with `medcom-fhir explain`, and correct the rule.",
)
MOST = 5
_ENTRY = re.compile(r"/entry/(\d+)/resource")


@dataclass(slots=True)
class Change:
    """One thing that changes, and the messages in which it does."""

    what: str
    where: str
    detail: str
    messages: list[str] = field(default_factory=list)
    rule: str = ""

    def row(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "change": self.what,
            "path": self.where,
            "detail": self.detail,
            "messages": len(self.messages),
            "names": self.messages,
            "rule": self.rule,
        }


@dataclass(slots=True)
class Comparison:
    """Two versions of the mapping files over one corpus."""

    messages: int = 0
    affected: set[str] = field(default_factory=set)
    changes: dict[tuple[str, str, str], Change] = field(default_factory=dict)

    def of(self, *kinds: str) -> list[Change]:
        """The changes of these kinds, those of most messages first."""
        found = [change for change in self.changes.values() if change.what in kinds]
        return sorted(found, key=lambda c: (-len(c.messages), c.what, c.where, c.detail))

    def note(self, message: str, what: str, where: str, detail: str = "", rule: str = "") -> None:
        """Enter a change of a message."""
        change = self.changes.setdefault((what, where, detail), Change(what, where, detail, rule=rule))
        if message not in change.messages:
            change.messages.append(message)
        self.affected.add(message)


def compare(old: Engine, new: Engine, inputs: Iterable[Input]) -> Comparison:
    """Convert every message with both versions and note what differs."""
    found = Comparison()
    for item in inputs:
        before = [o for o in old.convert(item.data, name=item.display) if o.recognised]
        after = [o for o in new.convert(item.data, name=item.display) if o.recognised]
        for number in range(max(len(before), len(after))):
            name = item.display if max(len(before), len(after)) == 1 else f"{item.display}#{number + 1}"
            found.messages += 1
            _message(found, name, *(_one(outcomes, number, item.display) for outcomes in (before, after)))
    return found


def _one(outcomes: list[Outcome], number: int, name: str) -> Outcome:
    return outcomes[number] if number < len(outcomes) else Outcome(name)


def _message(found: Comparison, name: str, before: Outcome, after: Outcome) -> None:
    if before.output is None and after.output is None and _errors(before) == _errors(after):
        return
    if before.output is not None and after.output is None:
        found.note(name, "fails", "", ", ".join(sorted(_errors(after) - _errors(before))) or "no output")
    elif before.output is None and after.output is not None:
        found.note(name, "converts", "", ", ".join(sorted(_errors(before) - _errors(after))))
    else:
        for code in sorted(_errors(after) - _errors(before)):
            found.note(name, "fails", "", code)
        for code in sorted(_errors(before) - _errors(after)):
            found.note(name, "error gone", "", code)
        for path, how in _fields(before, after):
            found.note(name, "field", path, how)
    lost, losing = _losses(before), _losses(after)
    for key in sorted(set(losing) - set(lost)):
        found.note(name, "loss", key[1], key[0], rule=f"{after.type}:{losing[key]}")
    for key in sorted(set(lost) - set(losing)):
        found.note(name, "loss gone", key[1], key[0])


def _errors(outcome: Outcome) -> set[str]:
    return {issue.code for issue in outcome.issues if issue.severity is Severity.ERROR}


def _losses(outcome: Outcome) -> dict[tuple[str, str], str]:
    """The losses of a message with the element that each is about, and the rule."""
    found: dict[tuple[str, str], str] = {}
    bundle = outcome.bundle
    for raw in (*outcome.ledger.raw, *outcome.ledger.raw_defaulted) if outcome.ledger else ():
        leaf, disposition, rule, target, loss = raw
        if loss and disposition != "kept":
            found.setdefault((loss, _named(leaf or target, bundle)), rule)
    return found


def _fields(before: Outcome, after: Outcome) -> Iterator[tuple[str, str]]:
    """The fields of the output that differ, by path without numbers."""
    seen: dict[tuple[str, str], None] = {}
    if before.target == "fhir":
        for one in differences.of_json(before.bundle, after.bundle):
            bundle = after.bundle if one.how == "added" else before.bundle
            for path in _leaves(_named(one.path, bundle), one.was if one.was is not None else one.now):
                seen[path, one.how] = None
    elif before.letter is not None and after.letter is not None:
        for leaf, how in golden.differences(before.letter.values, after.letter.values).items():
            seen[pattern(leaf), how] = None
    if not seen and before.output != after.output:
        seen["", "written otherwise"] = None
    yield from seen


def _leaves(path: str, value: Any) -> Iterator[str]:
    """The paths of the values in a branch that came or went."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _leaves(f"{path}.{key}" if path else key, child)
    elif isinstance(value, list):
        for child in value:
            yield from _leaves(path, child)
    else:
        yield path


def _named(pointer: str, bundle: Mapping[str, Any] | None) -> str:
    """A pointer as `Type.element.element`; a leaf of a letter without its numbers."""
    if not pointer.startswith("/"):
        return pattern(pointer)
    match = _ENTRY.match(pointer)
    name, rest = "Bundle", pointer
    if match is not None and bundle is not None:
        entries = bundle.get("entry") or []
        number = int(match[1])
        resource = entries[number].get("resource") if number < len(entries) else None
        name = str(resource.get("resourceType", "")) if isinstance(resource, dict) else ""
        rest = pointer[match.end() :]
    return ".".join([name, *(step for step in rest.split("/") if step and not step.isdigit())])


# -- telling -----------------------------------------------------------------------------------------------------------


def report(found: Comparison, new: Engine, accepted: frozenset[str], log: IssueLog, folder: str) -> None:
    """The findings: losses that are new and not accepted, and messages that now fail."""
    for change in found.of("loss"):
        if change.detail not in accepted:
            at = place_of(new.mappings, change.rule, folder)
            message = NEW_LOSS.message.format(path=change.where, loss=change.detail, number=len(change.messages))
            log.issues.append(Issue(NEW_LOSS, at, message, rule=change.rule.partition(":")[2], severity=Severity.ERROR))
    for change in found.of("fails"):
        log.add(FAILS, Location(change.messages[0], 1, 1), number=len(change.messages), code=change.detail)


_TITLES = {
    "fails": "Messages that now fail",
    "loss": "Losses gained",
    "loss gone": "Losses gone",
    "converts": "Messages that now convert",
    "error gone": "Errors gone",
    "field": "Fields that change",
}


def markdown(found: Comparison, old: str, new: str) -> str:
    """The comparison for a pull request."""
    lines = [f"### Mapping files: `{_cell(old)}` → `{_cell(new)}`", ""]
    lines += [f"{len(found.affected)} of {found.messages} messages of the corpus are affected.", ""]
    for kind, title in _TITLES.items():
        changes = found.of(kind)
        if changes:
            lines += [f"#### {title}", "", "| what | how | messages | for example |", "|---|---|---|---|"]
            lines += [_row(change) for change in changes]
            lines.append("")
    return "\n".join(lines)


def _row(change: Change) -> str:
    names = ", ".join(f"`{_cell(name)}`" for name in change.messages[:MOST])
    more = f" and {len(change.messages) - MOST} more" if len(change.messages) > MOST else ""
    return f"| {_cell(change.where) or '-'} | {_cell(change.detail)} | {len(change.messages)} | {names}{more} |"


def _cell(content: str) -> str:
    return re.sub(r"[|`<>\r\n]", " ", content)


def text(found: Comparison) -> str:
    """The comparison on a terminal, a line a change."""
    lines = [f"{len(found.affected)} of {found.messages} messages affected"]
    for kind in _TITLES:
        for change in found.of(kind):
            number = len(change.messages)
            lines.append(
                f"{kind}: {change.where or '-'} {change.detail}, {number} messages, first {change.messages[0]}"
            )
    return "\n".join(lines)
