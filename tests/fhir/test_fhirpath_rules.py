"""Invariants as Python: the fast way and the general way agree, and nothing is parsed when messages are judged."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from converter.errors import ProfileError
from converter.fhir.expressions import parse
from converter.fhir.fhirpath import patterns
from converter.fhir.fhirpath.general import Unsupported
from converter.fhir.fhirpath.guards import guard
from converter.fhir.fhirpath.model import Model
from converter.fhir.fhirpath.rules import Rule, compile_rule
from converter.fhir.fhirpath.scope import Alone, Scope
from converter.fhir.packs import read_pack
from converter.fhir.profiles import NATIVE_RULES, Pack
from converter.fhir.rules import invariants
from converter.issues import IssueLog, Severity
from tests.fhir.fhirpath_data import Maker, PoolScope
from tests.fhir.fhirpath_suite import fhir_model

PACK = "mappings/profiles/medcom.fhir.dk.carecommunication-5.0.2.json.gz"


@pytest.fixture(scope="module")
def model(shared: Path) -> Model:
    return fhir_model(shared / "fhir/packages")


@pytest.fixture(scope="module")
def rules(shared: Path, model: Model) -> list[tuple[str, str]]:
    """Every invariant of every package with a type of element that it stands on."""
    found: dict[tuple[str, str], None] = {}
    for path in sorted((shared / "fhir/packages").glob("*/package/StructureDefinition-*.json")):
        for element in json.loads(path.read_text("utf-8")).get("snapshot", {}).get("element", []):
            for constraint in element.get("constraint", []):
                kind = kind_at(element["path"], model)
                if kind and "expression" in constraint:
                    found[constraint["expression"], kind] = None
    return sorted(dict(reversed(found)).items())  # the first of several types


def kind_at(path: str, model: Model) -> str:
    """The type of the element at a path; empty where it has several."""
    kind, *steps = path.split(".")
    for step in steps:
        children = model.kind(kind).members.get(step, [])
        if len(children) != 1:
            return ""
        kind = children[0].kind
    return kind


def scope_itself(value: Any, scope: Any) -> Scope:
    return scope  # type: ignore[no-any-return]


def compiled(expression: str, kind: str, model: Model) -> Rule:
    return compile_rule(parse(expression), kind, model, scope_itself, f"<{kind}>")


def disagreements(rules: list[tuple[str, str]], model: Model, samples: int) -> tuple[list[str], int, set[str]]:
    """Where the two ways differ, how many verdicts were compared, and the rules that came out both ways."""
    different, compared, both = [], 0, set()
    for expression, kind in rules:
        rule = compiled(expression, kind, model)
        verdicts = set()
        for seed in range(samples if rule.direct else 0):
            maker = Maker(parse(expression), model, seed)
            value = maker.focus(kind)
            scope = PoolScope(model, value if isinstance(value, dict) else {}, maker)
            verdict = bool(rule.judge(value, scope))
            compared += 1
            verdicts.add(verdict)
            if verdict is not rule.general(value, scope):
                different.append(f"{kind} {seed}: {expression}")
            if isinstance(value, dict) and rule.guard and not {rule.guard, "_" + rule.guard} & value.keys():
                assert verdict, f"the guard {rule.guard} of {expression}"
        if len(verdicts) == 2:
            both.add(expression)
    return different, compared, both


def test_fast_and_general_way_agree(rules: list[tuple[str, str]], model: Model) -> None:
    different, compared, both = disagreements(rules, model, 12)
    assert different == []
    assert compared > 2400
    assert len(both) > 120, "most rules should come out both ways"


@pytest.mark.long
def test_fast_and_general_way_agree_on_much_data(rules: list[tuple[str, str]], model: Model) -> None:
    different, compared, both = disagreements(rules, model, 250)
    assert different == []
    assert len(both) / (compared / 250) > 0.9


def test_most_rules_run_the_fast_way(rules: list[tuple[str, str]], model: Model) -> None:
    fast = [compiled(expression, kind, model).direct for expression, kind in rules]
    assert sum(fast) / len(fast) > 0.75


@pytest.mark.parametrize(
    ("expression", "data", "holds"),
    [
        ("name.exists()", {}, False),
        ("name.exists()", {"_name": {"extension": [{"url": "u"}]}}, True),
        ("name.hasValue()", {"_name": {"extension": [{"url": "u"}]}}, False),
        ("name = 'a'", {}, False),  # an empty result is a violation
        ("name != 'a'", {}, False),
        ("(name = 'a').empty()", {}, True),
        ("name.startsWith('a').not()", {}, False),
        ("name = 'a' or name.empty()", {}, True),
        ("name != 'a' implies active", {}, False),
        ("name = 'a' implies active", {"name": "b"}, True),
        ("name.exists() xor active.exists()", {"name": "b", "active": False}, False),
        ("alias = 'a'", {"alias": ["a", "a"]}, False),  # collections are equal item by item
        ("alias = 'a'", {"alias": ["a"]}, True),
        ("alias.startsWith('a')", {"alias": ["b", "ab"]}, True),  # one of several is enough, as HL7's engine has it
        ("alias.all(startsWith('a'))", {"alias": ["b", "ab"]}, False),
        ("alias", {"alias": ["a", "b"]}, True),  # what is no boolean counts as yes
        ("alias.count() = 2", {"alias": ["a", "b"]}, True),
        ("alias | name", {}, False),
        ("iif(name = 'a', false, true)", {}, True),
        ("active", {"active": False}, False),
        ("name.matches('b+')", {"name": "abbc"}, True),  # partial unless anchored
        ("name.matches('^b+$')", {"name": "abbc"}, False),
        ("name.matches('^[a-c]+$')", {"name": "abc\n"}, False),
        ("Organization.name.exists()", {"name": "a"}, True),
        ("Patient.name.exists()", {"name": "a"}, False),
        ("contact.name.family.exists()", {"contact": [{"name": {"family": "x"}}]}, True),
        ("alias + 'x' = 'ax'", {"alias": ["a", "b"]}, False),  # no result: an error
        ("name > 1", {"name": "a"}, False),
        ("name > 1", {"name": 3}, True),  # wrong JSON is reported as that
        ("%resource.name = name", {"name": "a"}, True),
        ("$this is Organization", {}, True),
        ("$this is Patient", {}, False),
    ],
)
def test_verdicts(expression: str, data: dict[str, Any], holds: bool, model: Model) -> None:
    resource = {"resourceType": "Organization", **data}
    rule = compiled(expression, "Organization", model)
    scope = Alone(model, resource)
    assert (bool(rule.judge(resource, scope)), rule.general(resource, scope)) == (holds, holds)


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("contact.name.empty()", "contact"),
        ("name.exists() implies active.exists()", "name"),
        ("(active = true) or name.empty()", "name"),
        ("name.exists()", ""),
        ("name.empty() and active.exists()", ""),
        ("iif(name.exists(), active, true)", "name"),
        ("name.empty() xor active.empty()", ""),
    ],
)
def test_element_that_a_rule_speaks_of(expression: str, name: str, model: Model) -> None:
    assert guard(parse(expression), model.kind("Organization")) == name


@pytest.mark.parametrize("expression", ["name.unheard()", "%unheard", "name.substring()", "name.ofType('x')"])
def test_what_does_not_exist_is_refused(expression: str, model: Model) -> None:
    with pytest.raises(Unsupported):
        compiled(expression, "Organization", model)


@pytest.mark.parametrize("expression", ["", "a.", "(a", "a b", "'a", "a or", "a..b", "@T14:34:28Z", "(" * 500])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ProfileError):
        parse(expression)


@pytest.mark.long
def test_parser_reads_as_another_one_does(rules: list[tuple[str, str]]) -> None:
    """Names, functions and operators of every rule, in order, against fhirpathpy's parser."""
    fhirpathpy = pytest.importorskip("fhirpathpy.parser")
    for expression, _ in rules:
        theirs = words_of(fhirpathpy.parse(expression))
        assert sorted(words_in(parse(expression))) == sorted(theirs), expression


def words_of(tree: Any) -> list[str]:
    """The identifiers and string literals in fhirpathpy's tree."""
    if tree.get("type") in ("Identifier", "StringLiteral"):
        return [tree["text"].strip("`'")]
    return [w for child in tree.get("children", []) for w in words_of(child)]


def words_in(tree: Any) -> list[str]:
    """The same in ours."""
    if not isinstance(tree, list) or not tree:
        return []
    own = {"member": tree[2:3], "call": tree[2:3], "text": tree[1:2], "constant": tree[1:2]}.get(str(tree[0]), [])
    if tree[0] == "type":
        own = tree[1].split(".")
    text = [w.replace("\\", "\\\\").replace("\n", "\\n").replace("'", "\\'") for w in own]
    return text + [w for part in tree[1:] for w in words_in(part)]


def test_check_digits_are_those_of_the_expressions(root: Path) -> None:
    """Native functions against what they stand for, on valid numbers and on each with a digit or a letter changed."""
    assert NATIVE_RULES
    pack = Pack(read_pack(root / PACK))
    chance = random.Random(5)
    for key in ("gln-modulus-10", "CVR-modulus-11"):
        rule = next(r for r in pack.rules if r["key"] == key)
        native, _ = invariants.check_of(rule, "string", pack)
        made = invariants.compiled(rule, "string", pack)
        assert native
        assert made
        assert native is not made.judge
        verdicts = []
        for _ in range(300):
            text = "".join(chance.choice("0123456789") for _ in range(13 if "gln" in key else 8))
            text = chance.choice((text, text, text, text[1:], text + "1", text.replace("5", "x"), ""))
            verdicts.append(native(text, None))  # type: ignore[arg-type]
            assert verdicts[-1] is made.general(text, NoRun(pack)), text
        assert 5 < sum(verdicts) < 295


class NoRun:
    """As much of a validation as an expression about one text asks for."""

    undecided = False

    def __init__(self, pack: Pack) -> None:
        self.pack = pack


def test_pattern_that_cannot_be_matched_safely_leaves_the_rule_undecided(model: Model) -> None:
    rule = compiled("name.matches('(a)\\\\1')", "Organization", model)
    scope = Alone(model, resource := {"resourceType": "Organization", "name": "aa"})
    assert not rule.direct
    assert rule.judge(resource, scope) is scope.undecided("")


def test_patterns_of_a_message_are_not_kept(model: Model) -> None:
    rule = compiled("name.matches(alias.first()) and name.matches('^[a-z]+$')", "Organization", model)
    resource = {"resourceType": "Organization", "name": "secret", "alias": ["se.ret"]}
    assert rule.judge(resource, Alone(model, resource))
    assert "^[a-z]+$" in patterns._prepared
    assert "se.ret" not in patterns._prepared


def test_nothing_is_parsed_at_run_time(root: Path) -> None:
    """A pack is read and a message judged by its rules without a parser, a network or another engine."""
    program = f"""
import json, socket, sys
socket.socket = None
from pathlib import Path
from converter.fhir.profiles import Pack
from converter.issues import IssueLog
pack = Pack.load(Path({str(root / PACK)!r}))
message = json.loads(Path({str(next((root / "fixtures/letters/DIS91").glob("*/bundle.json")))!r}).read_text())
log = IssueLog()
pack.profile(pack.bundle_profiles()[0]).validate(message, log)
assert sum(rule is not None for rule in pack.path_rules.values()) > 30
forbidden = ("converter.fhir.expressions", "fhirpathpy", "antlr4")
print([name for name in sys.modules if name.startswith(forbidden)])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_rule_that_cannot_be_decided_is_counted_and_another_is_not(root: Path) -> None:
    facts = read_pack(root / PACK)
    key = next(k for k, f in facts["profiles"].items() if f.get("own") and f["type"] == "Bundle")
    for name, expression in (("odd-1", "entry[0].resource.conformsTo('http://x')"), ("odd-2", "type = 'x'")):
        facts["profiles"][key]["elements"][0].setdefault("rules", []).append(len(facts["rules"]))
        facts["rules"].append({"key": name, "severity": "warning", "tree": parse(expression), "digest": name})
    pack = Pack(facts)
    profile = pack.profile(key)
    assert profile
    log = IssueLog()
    message = next((root / "fixtures/letters/DIS91").glob("*/bundle.json"))
    profile.validate(json.loads(message.read_text("utf-8")), log)
    found = [(i.code, i.severity, i.rule.split()[-1]) for i in log if "odd-" in i.message]
    assert found == [("PRO042", Severity.WARNING, "odd-2"), ("NCK001", Severity.INFO, found[-1][2])]
