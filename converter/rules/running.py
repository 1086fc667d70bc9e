"""Rules at work: prepared once for a letter version and a stretch of days, then a few look-ups a letter."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from converter.definitions import Definition
from converter.definitions.check import MAX_SHAPE, MAX_SHAPES, Report
from converter.definitions.values import Shape
from converter.issues import IssueLog
from converter.letter import Letter, Value, pattern, plain
from converter.rules.checks import CHECKS, Check, Facts, ValueCheck
from converter.rules.reading import MAX_LEVEL, Rule, load

DEFAULT_LEVEL = 2
"""The level of checks of replacement CPR numbers, unless told otherwise: levels from 3 on are hints."""


@dataclass(slots=True)
class _Judge:
    """A rule at work on the leaves of one version."""

    rule: Rule
    check: Check
    judge: ValueCheck


@dataclass(slots=True)
class _Leaf:
    """What is asked about a leaf: in any case, and by the value of a leaf beside it, whose name is `beside`.

    `fine` are values that are known to be so, each with the value beside it; None where values must not be kept.
    """

    always: list[_Judge]
    beside: str
    by: dict[Value | None, list[_Judge]]
    fine: set[tuple[Value, Value | None]] | None

    def findings(
        self, leaf: str, value: str, beside: Value | None, values: Mapping[str, Value], found: list[_Finding]
    ) -> None:
        """Add what is found about a value that is there."""
        before = len(found)
        for judge in self.always:
            if (facts := judge.judge(value, leaf, values, judge.rule)) is not None:
                found.append((leaf, judge, facts))
        for judge in self.by.get(beside, ()):
            if (facts := judge.judge(value, leaf, values, judge.rule)) is not None:
                found.append((leaf, judge, facts))
        if self.fine is not None and len(found) == before:
            if len(self.fine) >= MAX_FINE:
                self.fine.clear()
            self.fine.add((value, beside))


def _sibling(leaf: str, name: str) -> str:
    return f"{leaf[: leaf.rfind('.') + 1]}{name}"


_Finding = tuple[str, _Judge, Facts]

MAX_FINE = 4096
"""Values that are remembered as being fine, for one leaf."""


class _Asked(NamedTuple):
    """What is asked of letters with the same leaves: of values, of a leaf that they do not have, of sums of texts.

    `values`: a leaf, the leaf beside it (empty where nothing depends on one), and what is asked. `least` is the lowest
    limit of all sums, `texts` the leaves that they are about.
    """

    values: list[tuple[str, str, _Leaf]]
    missing: list[tuple[Rule, str]]
    texts: list[str]
    least: int

    def is_long(self, values: Mapping[str, Value]) -> bool:
        """A first look at all texts, which hardly any letter needs more than."""
        size = 0
        for leaf in self.texts:
            value = values[leaf]
            if type(value) is tuple:
                for _, text in value:
                    size += len(text)
        return size > self.least


@dataclass(slots=True)
class _Plan:
    """The rules of a version on a stretch of days: about leaves that stand once, that repeat, and about the whole.

    `known` is what it comes to for the leaves of letters that came before.
    """

    single: dict[str, list[_Leaf]]
    repeated: dict[str, list[_Leaf]]
    present: list[tuple[Rule, str]]
    sums: list[tuple[Rule, frozenset[str]]]
    known: dict[Shape | tuple[str, ...], _Asked]

    def asked(self, shape: Shape | tuple[str, ...], there: Mapping[str, Value]) -> _Asked:
        """What is asked of a letter with these leaves."""
        leaves = [(leaf, abouts) for leaf, abouts in self.single.items() if leaf in there]
        leaves += [(leaf, self.repeated.get(pattern(leaf), [])) for leaf in there if "[" in leaf]
        values = [(leaf, _sibling(leaf, a.beside) if a.beside else "", a) for leaf, abouts in leaves for a in abouts]
        missing = [(rule, leaf) for rule, leaf in self.present if leaf not in there]
        texts = [leaf for leaf in there if any(pattern(leaf) in summed for _, summed in self.sums)]
        asked = _Asked(values, missing, texts, min([rule.limit for rule, _ in self.sums], default=0))
        if len(there) <= MAX_SHAPE:
            if len(self.known) >= MAX_SHAPES:
                self.known.clear()
            self.known[shape] = asked
        return asked


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

    def check(self, definition: Definition, letter: Letter, log: IssueLog, shape: Shape | None = None) -> None:
        """Report every breach of a rule that is valid on the letter's date; nothing about a refused letter.

        `shape` is the letter's, where `Definition.check` has told it.
        """
        values = letter.values
        if letter.refused or not values:
            return
        day = ""
        for leaf in self._dates:
            if leaf in values:
                day = str(values[leaf])
                break
        plan, known = self._plan(definition, day), shape or (*values,)
        asked = plan.known.get(known) or plan.asked(known, values)
        found: list[_Finding] = []
        for leaf, sibling, about in asked.values:
            value = values[leaf]
            beside = values.get(sibling) if sibling else None
            if (about.fine is None or (value, beside) not in about.fine) and type(value) is str:
                about.findings(leaf, value, beside, values, found)
        long = asked.texts and asked.is_long(values)
        if found or asked.missing or long:
            self._report(found, asked.missing, plan.sums if long else [], letter, log)

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
            report.add(judge.check.kind, leaf, value=plain(values[leaf]), rule=rule.id, **told)
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
        plan = _Plan({}, {}, [], [], {})
        for rule in self._on(day):
            leaves = [leaf for leaf in definition.leaves if any(path.match(leaf) for path in rule.paths)]
            check = CHECKS[rule.check]
            if check.value is not None:
                judge = _Judge(rule, check, check.value)
                for leaf in leaves:
                    asked.setdefault(leaf, []).append(judge)
            elif rule.limit:
                plan.sums.append((rule, frozenset(leaves)))
            else:
                plan.present += [(rule, leaf) for leaf in leaves if definition.leaf(leaf) is not None]
        for leaf, judges in asked.items():
            kind = plan.single if definition.leaf(leaf) is not None else plan.repeated
            kind[leaf] = _about(leaf, judges, definition)
        return plan

    def _on(self, day: str) -> list[Rule]:
        newest = max((rule.valid_from for rule in self.rules), default="")
        return [found for rule in self.rules if (found := rule.on(day or newest)) is not None]


def _about(leaf: str, judges: list[_Judge], definition: Definition) -> list[_Leaf]:
    """What is asked about a leaf; a rule whose condition names a leaf that the version does not have is left out."""
    found: dict[str, _Leaf] = {}
    for judge in sorted(judges, key=lambda judge: judge.rule.when is not None):
        name, values = judge.rule.when or ("", ())
        if name and _sibling(leaf, name) not in definition.leaves:
            continue
        about = found.setdefault(name, _Leaf([], name, {}, set()))
        for value in values:
            about.by.setdefault(value, []).append(judge)
        if not name:
            about.always.append(judge)
        if not judge.check.lasting:
            about.fine = None
    return [*found.values()]
