"""Rows for the invariants of a CareCommunication alone, beside fhirpathpy with the same expressions on the same values.

Only rules of which fhirpathpy gives right verdicts take part, on both sides: true on the sound message, false on its
mutants. It cannot follow references inside the Bundle, for one. Without fhirpathpy there are no rows.
"""

from __future__ import annotations

import importlib.util
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from benchmarks.rows import Row
from converter.fhir.expressions import parse
from converter.fhir.rules import bundles, invariants
from converter.fhir.run import Entry, Run
from tests.fhir.campaign import Original, invented
from tests.fhir.sites import BASE, sites

AIM = 30.0
OURS = "invariants of a CareCommunication, those that fhirpathpy has right"
THEIRS = "fhirpathpy: the same invariants, parsed before"
Tree = list[Any]
Object = dict[str, Any]


@dataclass(frozen=True)
class Asking:
    """A rule of the pack and a value that it is asked of: where, of which type, in which entry."""

    rule: int
    kind: str
    where: tuple[Any, ...]
    value: Any
    entry: Entry


def rows(messages: int) -> Iterator[Row]:
    """Both sides, if fhirpathpy is installed."""
    if importlib.util.find_spec("fhirpathpy") is None:
        return
    sides = Sides(invented())
    yield Row(
        "validate", OURS, lambda: _times(messages, sides.ours), messages, anchor=THEIRS, gate=sides.gate, target=AIM
    )
    yield Row("validate", THEIRS, lambda: _times(messages, sides.theirs), messages, peer=True)


def _times(number: int, work: Callable[[], object]) -> None:
    for _ in range(number):
        work()


class Sides:
    """The rules of one message, asked by us and by fhirpathpy."""

    def __init__(self, original: Original) -> None:
        self.original = original
        self.rules = original.profile.pack.rules

    def ours(self) -> list[bool]:
        """Our verdicts."""
        run, calls = self._our_calls
        verdicts = []
        for entry, check, when, value in calls:
            run.current = entry
            verdicts.append(bool(when and when not in value) or bool(check(value, run)))
        return verdicts

    def theirs(self) -> list[Any]:
        """Their results."""
        return [evaluate(value, around) for evaluate, value, around in self._their_calls]

    def gate(self) -> str:
        """Whether ours are right on the mutants, and enough rules are left to compare."""
        wrong = [k for k, verdicts in self.mutants.items() if any(mine is not False for mine, _ in verdicts)]
        if wrong:
            return f"mutants that break {wrong[0]} are not found"
        return "" if len(self.comparable) > 15 else f"only {len(self.comparable)} rules can be compared"

    @cached_property
    def comparable(self) -> frozenset[int]:
        """The rules that both have right, on every value of the sound message and on its mutants."""
        run, every = askings(self.original, json.loads(self.original.text))
        wrong = {a.rule for a in every if self._verdicts(a, run) != (True, True)}
        keys = {key for key, verdicts in self.mutants.items() if any(v != (False, False) for v in verdicts)}
        return frozenset(a.rule for a in every if a.rule not in wrong and self.rules[a.rule]["key"] not in keys)

    @cached_property
    def mutants(self) -> dict[str, list[tuple[bool | None, bool | None]]]:
        """Key of a rule -> what both say of it where a mutant breaks it, for the first two mutants of each."""
        found: dict[str, list[tuple[bool | None, bool | None]]] = defaultdict(list)
        for mutant in self.original.mutants["invariant"]:
            if len(found[mutant.key]) < 2:
                bundle = json.loads(self.original.text)
                mutant.change(bundle)
                run, every = askings(self.original, bundle)
                at = [a for a in every if self.rules[a.rule]["key"] == mutant.key and _pointer(a.where) in mutant.at]
                found[mutant.key] += [self._verdicts(a, run) for a in at[:1]]
        return {key: verdicts for key, verdicts in found.items() if verdicts}

    @cached_property
    def _chosen(self) -> tuple[Run, list[Asking]]:
        run, every = askings(self.original, json.loads(self.original.text))
        return run, [a for a in every if a.rule in self.comparable]

    @cached_property
    def _our_calls(self) -> tuple[Run, list[tuple[Entry, Any, str, Any]]]:
        run, asked = self._chosen
        return run, [(a.entry, *self._check(a), a.value) for a in asked]

    @cached_property
    def _their_calls(self) -> list[tuple[Any, Any, Object]]:
        return [(self._parsed(a), a.value, {"resource": a.entry.resource}) for a in self._chosen[1]]

    def _check(self, asking: Asking) -> tuple[Any, str]:
        """The function of a rule, and the element without which it holds."""
        return invariants.check_of(self.rules[asking.rule], asking.kind, self.original.profile.pack)

    def _parsed(self, asking: Asking) -> Any:
        return _compiled(json.dumps(self.rules[asking.rule]["tree"]))

    def _verdicts(self, asking: Asking, run: Run) -> tuple[bool | None, bool | None]:
        """What both say; None for what cannot be said."""
        check, when = self._check(asking)
        run.current = asking.entry
        mine = None
        if check not in (None, invariants.always):
            mine = bool(when and when not in asking.value) or bool(check(asking.value, run))
        try:
            result = self._parsed(asking)(asking.value, {"resource": asking.entry.resource})
        except Exception:  # noqa: BLE001 - whatever it stumbles over, there is no verdict
            return mine, None
        return mine, bool(result) and result != [False]


def askings(original: Original, bundle: Object) -> tuple[Run, list[Asking]]:
    """Every rule of a Bundle with every value that it is asked of, and the Run that they are asked in."""
    pack, facts = original.profile.pack, original.facts
    run = Run(pack, bundle)
    bundles.index_entries(run)
    around = {id(e.resource): e for e in run.entries}
    root, found = Entry.of(bundle, "Bundle"), {}
    for number in facts.root(original.profile.key).get("rules", ()):
        found[number, ()] = Asking(number, "Bundle", (), bundle, root)
    for site in sites(bundle, facts, original.profile.key):
        for code, steps, value in site.places():
            named = site.names[steps[len(site.steps)]]
            type_ = value.get("resourceType", code) if isinstance(value, dict) else code
            profiles = named.get("profiles", ()) if isinstance(named, dict) else ()
            keys = [k for url in (BASE + str(type_), *profiles) if (k := facts.key(url))]
            holder = bundle["entry"][steps[1]]["resource"] if steps[:1] == ("entry",) and len(steps) > 2 else bundle
            kind = pack.paths.at(site.facts["id"].partition(".")[0], site.facts["id"], type_)
            for number in {*site.facts.get("rules", ()), *(n for k in keys for n in facts.root(k).get("rules", ()))}:
                found[number, steps] = Asking(number, kind, steps, value, around.get(id(holder), root))
    return run, list(found.values())


@cache
def _compiled(tree: str) -> Any:
    import fhirpathpy
    from fhirpathpy.models import models

    text = expression(json.loads(tree))
    assert parse(text) == json.loads(tree), text
    return fhirpathpy.compile(text, models["r4"], {"traceFn": lambda *_: None})


def _pointer(steps: tuple[Any, ...]) -> str:
    return "".join(f"/{step}" for step in steps)


def expression(tree: Tree) -> str:
    """A tree as FHIRPath."""
    kind = tree[0]
    if kind in ("member", "call", "index"):
        head = "" if tree[1] is None else expression(tree[1])
        if kind == "index":
            return f"{head}[{expression(tree[2])}]"
        dot = "." if head else ""
        arguments = f"({', '.join(map(expression, tree[3:]))})" if kind == "call" else ""
        return f"{head}{dot}{tree[2]}{arguments}"
    if kind == "op":
        right = tree[3][1] if tree[1] in ("is", "as") else expression(tree[3])
        return f"({expression(tree[2])} {tree[1]} {right})"
    if kind == "text":
        escaped = str(tree[1]).replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    plain = {"this": "$this", "empty": "{}", "constant": "%", "sign": "-"}.get(kind, kind)
    if kind == "truth":
        return "true" if tree[1] else "false"
    if kind in ("number", "time"):
        return str(tree[1])
    if kind == "constant":
        return plain + str(tree[1])
    if kind == "sign":
        return plain + expression(tree[2])
    return plain
