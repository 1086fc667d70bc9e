"""Letter paths and guards of mapping files against the letter definition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from converter import originals
from converter.directory import Organisation
from converter.issues import Location, Severity, declare
from converter.linting.scope import Scope, Written
from converter.linting.worlds import CHOOSY, Worlds, fires
from converter.mapping import guards
from converter.mapping.coverage import UNKNOWN_LEAF
from converter.mapping.document import Answers, Each, Rule
from converter.yamlfile import Map, place

NO_TABLE = declare(
    "LNT101",
    "unknown-table-column",
    Severity.ERROR,
    "there is no {path!r}: {problem}",
    why="The rule would never find a value.",
    help="Name a table of `tables:` and a column of the organisation table: `$sender_row.sor`; or, with `answers:`, "
    "what the state store knows of the message that is answered: `$original.letter_id`.",
)
NOT_REPEATED = declare(
    "LNT102",
    "each-without-repeats",
    Severity.ERROR,
    "`each` goes over {path!r}, which {problem}",
    why="The loop would run over nothing, or over one element that needs none.",
    help="Name a group of the letter that may repeat: `medcom-fhir explain TYPE` lists them.",
)
NO_EACH = declare(
    "LNT103",
    "repeat-without-each",
    Severity.ERROR,
    "{path!r} may stand several times in a letter, and the rule is not repeated over {group!r}",
    why="Of several values at most one would be carried, and none is found under a path without a number.",
    help="Put the rule under `each: {group}`, or name a repetition: `Group[1].Leaf`.",
)
NO_CODE = declare(
    "LNT104",
    "code-not-of-letter",
    Severity.ERROR,
    "{code!r} is no code of {path!r}{close}",
    why="The comparison is never true, and a letter with that value would break its definition.",
    help="`medcom-fhir explain TYPE` names the code list of each element.",
)
TWICE = declare(
    "LNT105",
    "element-carried-twice",
    Severity.ERROR,
    "{path!r} is carried by {first!r} too, in the same letters, and neither says `also`",
    why="The way back could read two different values, and only one of them can be right.",
    help="Give the rules guards of which only one can hold, or mark the second `also: yes`.",
)
NEVER_HOLDS = declare(
    "LNT106",
    "guard-never-holds",
    Severity.ERROR,
    "no letter satisfies this guard",
    why="The rule would never do anything.",
    help="Look for a slip in a code or an `and` that should be an `or`.",
)
ALWAYS_HOLDS = declare(
    "LNT107",
    "guard-always-holds",
    Severity.WARNING,
    "every letter satisfies this guard",
    why="It looks like a condition and is none; something else was meant, or it misleads.",
    help="Remove the guard, or say what was meant.",
)
NO_WAY_BACK = declare(
    "LNT108",
    "guard-without-way-back",
    Severity.ERROR,
    "the guard looks at {path!r}, which nothing restores on the way back",
    why="The rule works in one direction only, although it says both.",
    help="Carry the element too (by a rule, `origin` or `back`), or give the rule a direction and `because`.",
)
COLUMNS = frozenset(field.name for field in fields(Organisation))


def check(scope: Scope) -> None:
    """All letter paths, guards and groups of one mapping."""
    if scope.letters is None or not scope.letters:
        return
    _Sources(scope).check()


class _Sources:
    def __init__(self, scope: Scope) -> None:
        assert scope.letters is not None
        self.scope, self.letters, self.document = scope, scope.letters, scope.document
        self.worlds, self.broken = Worlds(scope.letters), Worlds(scope.letters, any_absent=True)
        self.restored = self._restored()

    def check(self) -> None:
        for written in self.scope.rules():
            self._rule(written)
        self._resources()
        self._lists()
        for path, at in self._named():
            self._known(path, at, "")
        self._twice()

    # -- rules

    def _rule(self, written: Written) -> None:
        rule, name = written.rule, written.name
        for path in (*rule.sources, *rule.letter_columns.values()):
            if path.startswith("$"):
                self._table(path, rule.place("from", "letter"), name)
            elif rule.forward or rule.back:
                self._repeat(path, written)
        if rule.when:
            # What holds on the way back depends on what was restored so far.
            self._guard(rule.when, rule.place("when"), name, written.group, one_way=not rule.forward)
            if rule.back and rule.const is None and rule.sources:
                self._back(rule, name)
        if rule.sentence_when:
            self._guard(rule.sentence_when, rule.place("first"), name, written.group)

    def _repeat(self, path: str, written: Written) -> None:
        group = self.letters.repeated(path)
        if not group or "[" in path or (path in (group,) and "[*]" in path):
            return
        if not (written.group == group or written.group.startswith(group + ".")):
            at = written.rule.place("from", "letter")
            self.scope.add(NO_EACH, at, rule=written.name, letter=path, path=path, group=group)

    def _guard(self, text: str, at: Location, name: str, inside: str, *, one_way: bool = False) -> None:
        known = True
        for path, values in guards.guard_values(text):
            if path.startswith("$"):
                self._table(path, at, name)
                continue
            if not self._known(path, at, name):
                known = False
                continue
            codes = self.letters.codes(path)
            for code in values if codes is not None else ():
                if code not in (codes or ()):
                    self._no_code(code, path, at, name)
                    known = False
        if not known or one_way:
            return
        self.scope.judged.add((name, at))
        if self.worlds.ever(text, inside=inside) is False:
            self.scope.add(NEVER_HOLDS, at, rule=name)
        elif self.broken.ever(f"not ({text})", inside=inside) is False:
            self.scope.add(ALWAYS_HOLDS, at, rule=name)

    def _no_code(self, code: str, path: str, at: Location, name: str) -> None:
        near = get_close_matches(code, list(self.letters.codes(path) or ()), 1, 0.7)
        close = f"; is {near[0]!r} meant?" if near else ""
        self.scope.add(NO_CODE, at, rule=name, letter=path, code=code, path=path, close=close)

    def _known(self, path: str, at: Location, name: str) -> bool:
        if path.startswith("$"):
            return True
        if self.letters.element(path) is not None:
            return True
        self.scope.add(UNKNOWN_LEAF, at, rule=name, letter=path, path=path + self.letters.close(path))
        return False

    def _table(self, path: str, at: Location, name: str) -> None:
        table, _, column = path[1:].partition(".")
        if path in ("$index", "$type", "$attempt") or table in ("own_text",):
            return
        if table == "original" and self.document.answers is not None:
            if column not in originals.COLUMNS:
                self.scope.add(NO_TABLE, at, rule=name, path=path, problem=f"no column {column!r}")
        elif table not in self.document.tables:
            self.scope.add(NO_TABLE, at, rule=name, path=path, problem=f"no table {table!r}")
        elif column not in COLUMNS:
            self.scope.add(NO_TABLE, at, rule=name, path=path, problem=f"no column {column!r}")

    # -- resources, lists, and what stands outside of rules

    def _resources(self) -> None:
        for resource in self.document.resources.values():
            if resource.each:
                self._group(resource.each, resource.at, resource.name)
            for path in resource.anchor:
                self._known(path, resource.at, resource.name)
            if resource.when:
                self._guard(resource.when, resource.at, resource.name, resource.each)

    def _lists(self) -> None:
        for resource, one in self.scope.lists():
            if isinstance(one, Each):
                self._group(one.group, one.at, f"{resource.name}.{one.name}")

    def _group(self, group: str, at: Location, name: str) -> None:
        element = self.letters.element(group)
        if element is None:
            self.scope.add(NOT_REPEATED, at, rule=name, letter=group, path=group, problem="the letter does not have")
        elif not element.repeats:
            self.scope.add(NOT_REPEATED, at, rule=name, letter=group, path=group, problem="stands once at most")

    def _named(self) -> Iterator[tuple[str, Location]]:
        """Letter paths outside of rules, with their places."""
        doc = self.document
        top = Location(doc.file, 1, 1)
        for path in (*doc.key, *doc.bundle_key, *doc.origin):
            yield str(path), place(path) if place(path).file else top
        for gln, on, when in doc.tables.values():
            yield from ((path, top) for path in (gln, on, *(guards.guard_paths(when) if when else ())))
        if doc.answers is not None:
            yield from ((path, top) for path in _of_answers(doc.answers))
        for declared in doc.declared:
            yield from ((path, declared.at) for path in (guards.guard_paths(declared.when) if declared.when else ()))
        for _, leaf, _ in doc.origin_lossy:
            yield leaf, top
        for rule in doc.back_rules:
            yield from ((path, rule.place("to", "value")) for path in _targets(rule))
            yield from ((p, rule.place("when")) for p in (guards.guard_paths(rule.when) if rule.when else ()))
        yield from self._of_back(doc.back)

    @staticmethod
    def _of_back(back: Map) -> Iterator[tuple[str, Location]]:
        for key in ("fixed", "minted"):
            yield from ((str(line["to"]), place(line["to"])) for line in back.get(key, ()))
        for line in back.get("patient_ids", {}).get("prefer", ()):
            yield str(line["to"]), place(line["to"])
        for line in back.get("parties", ()):
            yield f"{line['party']}.Identifier", place(line["party"])
            if "name" in line:
                yield str(line["name"]), place(line["name"])
        thread = back.get("thread")
        if thread is not None:
            yield str(thread["to"]), place(thread["to"])

    # -- two rules for one element, and guards on the way back

    def _restored(self) -> set[str]:
        """The elements that the way back sets by something else than a guarded rule that looks at them."""
        found = {*self.document.origin, *(path for path, _ in self._of_back(self.document.back))}
        for written in self.scope.rules():
            if written.rule.back:
                found.update((*written.rule.sources, *written.rule.letter_columns.values(), *written.rule.claims))
            if written.rule.sentence_when:
                found.update(path.removeprefix("/") for path in guards.guard_paths(written.rule.sentence_when))
        for rule in self.document.back_rules:
            found.update(_targets(rule))
            found.update(rule.letter_columns.values())
        for line in self.document.back.get("parties", ()):
            found.update(f"{line['party']}.{part}" for part in ("IdentifierCode", "Identifier", "EANIdentifier"))
        return found

    def _back(self, rule: Rule, name: str) -> None:
        for path, values in guards.guard_values(rule.when):
            if values and not path.startswith("$") and path not in self.restored and self.letters.element(path):
                self.scope.add(NO_WAY_BACK, rule.place("when"), rule=name, letter=path, path=path)

    def _twice(self) -> None:
        carriers: dict[str, list[Written]] = {}
        for written in self.scope.rules():
            rule = written.rule
            plain = rule.forward and rule.back and not rule.also and rule.codec.name not in CHOOSY and not rule.id
            for path in rule.sources if plain else ():
                if not path.startswith("$") and "[*]" not in path:
                    carriers.setdefault(path, []).append(written)
        for path, rules in carriers.items():
            for number, second in enumerate(rules):
                for first in rules[:number]:
                    self._overlap(path, first, second)

    def _overlap(self, path: str, first: Written, second: Written) -> None:
        guard = [_whole(w) for w in (first, second)]
        if first.rule.target == second.rule.target:  # of two rules for one place the first that has a value wins
            return
        if self.worlds.ever(*guard, inside=first.group) is not True:
            return
        at = second.rule.place("from", "letter")
        self.scope.add(TWICE, at, rule=second.name, letter=path, path=path, first=first.name)


def _whole(written: Written) -> str:
    """The guard of a rule with that of its resource."""
    when = written.resource.when if written.resource else ""
    return fires(written.rule) + (f" and ({when})" if when else "")


def _of_answers(answers: Answers) -> Iterator[str]:
    """The letter paths of the section `answers`."""
    yield from (answers.letter, answers.envelope, answers.sender, answers.version)
    yield from (*answers.receipt, *answers.sent, *answers.kind)
    for pair in answers.refusals:
        yield from pair


def _targets(rule: Any) -> list[str]:
    """The letter paths that a rule of the way back sets."""
    return [p.strip() for p in rule.target.strip("[]").split(",")] if rule.target else []
