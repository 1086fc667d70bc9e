"""Rules at work: prepared once for a letter version and a stretch of days, then a few look-ups a letter."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from converter.definitions import Definition
from converter.definitions.check import Report
from converter.issues import IssueKind, IssueLog
from converter.letter import Letter, Value, pattern, plain
from converter.rules.checks import CHECKS, Facts, ValueCheck
from converter.rules.reading import MAX_LEVEL, Rule, load

DEFAULT_LEVEL = 2
"""The level of checks of replacement CPR numbers, unless told otherwise: levels from 3 on are hints."""


@dataclass(slots=True)
class _Judge:
    """A rule at work on the leaves of one version."""

    rule: Rule
    kind: IssueKind
    judge: ValueCheck


@dataclass(slots=True)
class _Leaf:
    """What is asked about a leaf: in any case, and by the value of a leaf beside it.

    `by` is per leaf beside: its name, its id where nothing repeats, and the rules by its value.
    """

    always: list[_Judge]
    by: list[tuple[str, str, dict[Value | None, list[_Judge]]]]

    def findings(self, leaf: str, value: str, values: Mapping[str, Value], found: list[_Finding]) -> None:
        """Add what is found about a value that is there."""
        for judge in self.always:
            if (facts := judge.judge(value, leaf, values, judge.rule)) is not None:
                found.append((leaf, judge, facts))
        for name, beside, judges in self.by:
            for judge in judges.get(values.get(beside or _sibling(leaf, name)), ()):
                if (facts := judge.judge(value, leaf, values, judge.rule)) is not None:
                    found.append((leaf, judge, facts))


def _sibling(leaf: str, name: str) -> str:
    return f"{leaf[: leaf.rfind('.') + 1]}{name}"


_Finding = tuple[str, _Judge, Facts]


@dataclass(slots=True)
class _Plan:
    """The rules of a version on a stretch of days: about leaves that stand once, that repeat, and about the whole.

    `least` is the lowest limit of all sums.
    """

    single: list[tuple[str, _Leaf]]
    repeated: dict[str, _Leaf]
    present: list[tuple[Rule, str]]
    sums: list[tuple[Rule, frozenset[str]]]
    least: int | None


def _size(values: Mapping[str, Value]) -> int:
    """The characters of all formatted text: a first look, which hardly any letter needs more than."""
    return sum([len(text) for value in values.values() if type(value) is tuple for _, text in value])


class Rules:
    """The rules of a folder of mapping files, up to a level of checks of replacement CPR numbers."""

    def __init__(self, rules: list[Rule], dates: tuple[str, ...], ecpr_level: int = DEFAULT_LEVEL) -> None:
        if not 0 <= ecpr_level <= MAX_LEVEL:
            raise ValueError(f"the level must be 0 to {MAX_LEVEL}")
        self.rules = [rule for rule in rules if rule.ecpr_level <= ecpr_level]
        self._dates = dates
        self._days = sorted(day for rule in self.rules for day in rule.days)
        self._plans: dict[tuple[str, str, int], _Plan] = {}

    @classmethod
    def load(cls, folder: Path, ecpr_level: int = DEFAULT_LEVEL) -> Rules:
        """The rules under `rules/`. Raises `MappingError` with all faults of all files."""
        return cls(*load(folder), ecpr_level)

    def check(self, definition: Definition, letter: Letter, log: IssueLog) -> None:
        """Report every breach of a rule that is valid on the letter's date; nothing about a refused letter."""
        values = letter.values
        if letter.refused or not values:
            return
        day = ""
        for leaf in self._dates:
            if leaf in values:
                day = str(values[leaf])
                break
        plan = self._plan(definition, day)
        found: list[_Finding] = []
        for leaf, asked in plan.single:
            value = values.get(leaf)
            if type(value) is str:
                asked.findings(leaf, value, values, found)
        if plan.repeated:
            for leaf in values:
                if "[" in leaf and (repeated := plan.repeated.get(pattern(leaf))) is not None:
                    value = values[leaf]
                    if type(value) is str:
                        repeated.findings(leaf, value, values, found)
        missing = [(rule, leaf) for rule, leaf in plan.present if leaf not in values] if plan.present else []
        long = plan.least is not None and _size(values) > plan.least
        if found or missing or long:
            self._report(found, missing, plan.sums if long else [], letter, log)

    def _report(
        self,
        found: list[_Finding],
        missing: list[tuple[Rule, str]],
        sums: list[tuple[Rule, frozenset[str]]],
        letter: Letter,
        log: IssueLog,
    ) -> None:
        report, values = Report(letter, log), letter.values
        for leaf, judge, facts in found:
            rule = judge.rule
            told = {"severity": rule.severity, **facts}
            report.add(judge.kind, leaf, value=plain(values[leaf]), rule=rule.id, **told)
        for rule, leaf in missing:
            told = {"rule": rule.id, "severity": rule.severity, "element": leaf, "said": rule.id}
            report.absent(CHECKS[rule.check].kind, leaf, "", **told)
        for rule, leaves in sums:
            sizes = {leaf: len(plain(values[leaf])) for leaf in values if pattern(leaf) in leaves}
            if (size := sum(sizes.values())) > rule.limit:
                told = {"rule": rule.id, "severity": rule.severity, "found": size, "limit": rule.limit}
                report.add(CHECKS[rule.check].kind, max(sizes, key=sizes.__getitem__), **told)
        report.close()

    def _plan(self, definition: Definition, day: str) -> _Plan:
        # A text that is no day sorts somewhere, and the letter's own checks report it.
        stretch = bisect_right(self._days, day) if day else len(self._days)
        key = (definition.type, definition.version, stretch)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._prepared(definition, day)
        return plan

    def _prepared(self, definition: Definition, day: str) -> _Plan:
        asked: dict[str, list[_Judge]] = {}
        plan = _Plan([], {}, [], [], None)
        for rule in self._on(day):
            leaves = [leaf for leaf in definition.leaves if any(path.match(leaf) for path in rule.paths)]
            check = CHECKS[rule.check]
            if check.value is not None:
                judge = _Judge(rule, check.kind, check.value)
                for leaf in leaves:
                    asked.setdefault(leaf, []).append(judge)
            elif rule.limit:
                plan.sums.append((rule, frozenset(leaves)))
            else:
                plan.present += [(rule, leaf) for leaf in leaves if definition.leaf(leaf) is not None]
        for leaf, judges in asked.items():
            once = definition.leaf(leaf) is not None
            about = _about(leaf, judges, definition, once=once)
            if not about.always and not about.by:
                continue
            if once:
                plan.single.append((leaf, about))
            else:
                plan.repeated[leaf] = about
        plan.least = min((rule.limit for rule, _ in plan.sums), default=None)
        return plan

    def _on(self, day: str) -> list[Rule]:
        newest = max((rule.valid_from for rule in self.rules), default="")
        return [found for rule in self.rules if (found := rule.on(day or newest)) is not None]


def _about(leaf: str, judges: list[_Judge], definition: Definition, *, once: bool) -> _Leaf:
    """What is asked about a leaf; a rule whose condition names a leaf that the version does not have is left out."""
    about = _Leaf([], [])
    by: dict[str, dict[Value | None, list[_Judge]]] = {}
    for judge in judges:
        if judge.rule.when is None:
            about.always.append(judge)
            continue
        name, values = judge.rule.when
        if _sibling(leaf, name) in definition.leaves:
            for value in values:
                by.setdefault(name, {}).setdefault(value, []).append(judge)
    about.by = [(name, _sibling(leaf, name) if once else "", rules) for name, rules in by.items()]
    return about
