"""The official FHIRPath suite for R4: everything that rules use and everything that is claimed passes.

`fhirpath-claims.txt` lists each function and operator with its share of the suite; `pytest --rewrite` writes it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from converter.errors import ProfileError
from converter.fhir.expressions import parse
from converter.fhir.fhirpath.computing import to_text
from converter.fhir.fhirpath.functions import FUNCTIONS
from converter.fhir.fhirpath.general import General, Unsupported
from converter.fhir.fhirpath.model import Model
from converter.fhir.fhirpath.operators import LOGIC, OPERATORS
from converter.fhir.fhirpath.scope import Alone
from converter.fhir.fhirpath.values import Item, PathError, Temporal, Undecided, plain
from tests.fhir.fhirpath_suite import Case, fhir_model, read_resource, read_suite

BASE = "http://hl7.org/fhir/StructureDefinition/"
CLAIMS = Path(__file__).parent / "fhirpath-claims.txt"
CLAIMED = {f"{name}()" for name in FUNCTIONS} | set(OPERATORS) | set(LOGIC) | {"is", "as", "index", "sign"}
FAILED = "does not evaluate"


class BaseScope(Alone):
    """Profiles are base definitions here, which every resource of the type meets."""

    __slots__ = ()

    def conforms(self, item: Any, canonical: str) -> bool:
        if not canonical.startswith(BASE) or not isinstance(item, Item):
            raise Undecided(canonical)
        return canonical.removeprefix(BASE) in item.kind.lineage


@pytest.fixture(scope="module")
def suite(shared: Path) -> list[Case]:
    return read_suite(shared / "fhir/fhirpath-tests/tests-fhir-r4.xml")


@pytest.fixture(scope="module")
def model(shared: Path) -> Model:
    return fhir_model(shared / "fhir/packages")


@pytest.fixture(scope="module")
def verdicts(suite: list[Case], model: Model, shared: Path) -> list[tuple[Case, bool]]:
    folder = shared / "fhir/fhirpath-tests/input"
    return [(case, passes(case, evaluate(case, model, folder))) for case in suite]


def evaluate(case: Case, model: Model, folder: Path) -> list[str] | str:
    """What an expression gives, as texts; FAILED if it has no result."""
    resource = read_resource(folder / case.file, model) if case.file else None
    scope = BaseScope(model, resource, strict=True)
    try:
        compiled = General(parse(case.expression), strict=True).load()
        items = compiled([scope.item(resource)] if resource is not None else [], scope)
    except (ProfileError, PathError, Undecided, Unsupported):
        return FAILED
    return ["true" if items else "false"] if case.predicate else [shown(item) for item in items]


def shown(item: Any) -> str:
    value = plain(item)
    return value.text if isinstance(value, Temporal) else to_text(value) or repr(item)


def passes(case: Case, result: list[str] | str) -> bool:
    if case.invalid or isinstance(result, str):
        return bool(case.invalid) and result == FAILED
    wanted = [text.removeprefix("@").removeprefix("T") for _, text in case.outputs]
    return wanted == result if case.ordered else sorted(wanted) == sorted(result)


def used(tree: Any) -> Iterator[str]:
    """The functions and operators of a tree."""
    if isinstance(tree, list) and tree and isinstance(tree[0], str):
        if tree[0] == "call":
            yield f"{tree[2]}()"
        elif tree[0] in ("op", "index", "sign"):
            yield tree[1] if tree[0] == "op" else tree[0]
        for part in tree[1:]:
            yield from used(part)


def parts(expression: str) -> set[str]:
    try:
        return set(used(parse(expression)))
    except ProfileError:
        return set()


@pytest.fixture(scope="module")
def rules(shared: Path, root: Path) -> list[str]:
    """The expression of every invariant of every package, once."""
    found = {}
    for path in sorted((shared / "fhir/packages").glob("*/package/StructureDefinition-*.json")):
        definition = json.loads(path.read_text("utf-8"))
        for element in definition.get("snapshot", {}).get("element", []):
            found.update({c["expression"]: None for c in element.get("constraint", []) if "expression" in c})
    return list(found)


def test_everything_claimed_passes(verdicts: list[tuple[Case, bool]]) -> None:
    assert len(verdicts) > 900
    failed = [case for case, good in verdicts if not good]
    assert [f"{c.name}: {c.expression}" for c in failed if parts(c.expression) <= CLAIMED] == []


def test_most_of_the_suite_passes(verdicts: list[tuple[Case, bool]]) -> None:
    assert sum(good for _, good in verdicts) / len(verdicts) > 0.9


def test_a_wrong_answer_fails(suite: list[Case]) -> None:
    case = next(c for c in suite if c.expression == "1 + 1 = 2")
    assert passes(case, ["true"])
    assert not any(passes(case, wrong) for wrong in (["false"], [], ["true", "true"], FAILED))


def test_every_function_of_a_rule_is_here(rules: list[str]) -> None:
    assert len(rules) > 200
    assert {part for rule in rules for part in parts(rule)} - CLAIMED == set()


def test_every_rule_compiles(rules: list[str]) -> None:
    texts = [General(parse(rule)).text for rule in rules]
    assert all(text.startswith("lambda") for text in texts)


def test_table_of_claims(
    verdicts: list[tuple[Case, bool]], rules: list[str], golden: Callable[[Path, str], None]
) -> None:
    """One line for each function and operator: tests passed and in all, invariants that use it, claim."""
    total: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for case, good in verdicts:
        total.update(parts(case.expression))
        passed.update(parts(case.expression) if good else ())
    invariants = Counter(part for rule in rules for part in parts(rule))
    lines = [
        f"{name:24}{passed[name]:4} of {total[name]:3}{invariants[name]:7}   {'yes' if name in CLAIMED else 'no'}"
        for name in sorted(CLAIMED | set(total))
    ]
    good = sum(g for _, g in verdicts)
    head = [
        f"The official FHIRPath suite for R4: {good} of {len(verdicts)} tests pass. Written by pytest --rewrite.",
        "A test counts for each function and operator in its expression; it is claimed if all of them are.",
        "",
        f"{'function or operator':26}{'tests':9}{'rules':8}claimed",
    ]
    golden(CLAIMS, "\n".join([*head, *lines]) + "\n")
