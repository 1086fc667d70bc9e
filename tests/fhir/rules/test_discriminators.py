"""Kinds of discriminators, targets of several profiles, what is not checked: on a tiny invented pack."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from converter.fhir.profiles import Pack
from converter.fhir.rules.primitives import right_primitive
from converter.fhir.rules.values import holding, holds
from converter.issues import Issue, IssueLog

_spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
assert _spec
assert _spec.loader
_tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_tiny)
tiny, bundle, BASE, OWN = _tiny.tiny, _tiny.bundle, _tiny.BASE, _tiny.OWN
many, definition = _tiny.many, _tiny.definition
THING = BASE + "Thing|4"


def issues(facts: dict[str, Any], document: dict[str, Any]) -> list[Issue]:
    profile = Pack(facts).profile(BASE + "Bundle")
    assert profile
    log = IssueLog()
    profile.validate(document, log)
    return list(log)


def judge(facts: dict[str, Any], document: dict[str, Any]) -> list[str]:
    return sorted(f"{i.code} {i.at.path}" for i in issues(facts, document))


def link(facts: dict[str, Any], key: str = THING) -> dict[str, Any]:
    """The element table's row of Thing.link."""
    rows = facts["profiles"][key]["elements"]
    return next(r for r in rows if r["id"] == "Thing.link")


def slice_links(kind: str, path: str, part: dict[str, Any], *below: dict[str, Any]) -> dict[str, Any]:
    """The tiny pack with one slice `a` of Thing.link that must be there, all others refused."""
    facts = tiny()
    link(facts)["slicing"] = {"by": [[kind, path]], "rules": "closed"}
    row = {"id": "Thing.link:a", "slice": "a", "list": True, "min": 1, "max": None, "types": ["Reference"], **part}
    facts["profiles"][THING]["elements"] += [row, *below]
    return facts


def things(*references: dict[str, Any]) -> dict[str, Any]:
    return bundle(
        {"resourceType": "Thing", "id": "1", "link": list(references)},
        {"resourceType": "Thing", "id": "2", "name": "b", "link": [{"reference": "Other/3"}]},
        {"resourceType": "Other", "id": "3"},
    )


def test_tiny_pack_lets_its_bundle_pass() -> None:
    assert judge(tiny(), things({"reference": "Thing/2"})) == []


def test_discriminator_exists() -> None:
    facts = slice_links("exists", "reference", {}, {"id": "Thing.link:a.reference", "types": ["string"], "min": 1})
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "link": [{"reference": "Other/9"}]})) == []
    found = judge(facts, bundle({"resourceType": "Thing", "id": "1", "link": [{"display": "x"}]}))
    assert "PRO041 /entry/0/resource/link/0" in found
    assert "PRO039 /entry/0/resource" in found


def test_discriminator_type_of_a_resolved_reference() -> None:
    facts = slice_links("type", "$this.resolve()", {"types": [{"code": "Reference", "targets": [BASE + "Other|4"]}]})
    good = bundle(
        {"resourceType": "Thing", "id": "1", "link": [{"reference": "Other/3"}]}, {"resourceType": "Other", "id": "3"}
    )
    assert judge(facts, good) == []
    bad = bundle(
        {"resourceType": "Thing", "id": "1", "link": [{"reference": "Thing/1"}]}, {"resourceType": "Other", "id": "3"}
    )
    assert judge(facts, bad) == ["PRO039 /entry/0/resource", "PRO041 /entry/0/resource/link/0"]


@pytest.mark.parametrize("odd", [{}, [], None, 1])
def test_discriminator_type_bears_any_json(odd: object) -> None:
    """Slices of the entries by the type of their resource."""
    facts = tiny()
    elements = facts["profiles"][BASE + "Bundle|4"]["elements"]
    entry = next(e for e in elements if e["id"] == "Bundle.entry")
    entry["slicing"] = {"by": [["type", "resource"]], "rules": "open"}
    part = {"id": "Bundle.entry:thing", "slice": "thing", "list": True, "max": None, "types": ["BackboneElement"]}
    below = [
        {"id": "Bundle.entry:thing.fullUrl", "types": ["uri"]},
        {"id": "Bundle.entry:thing.resource", "types": ["Thing"]},
    ]
    elements += [part, *below]
    document = bundle({"resourceType": "Thing", "id": "1"})
    assert judge(facts, document) == []
    document["entry"][0]["resource"]["resourceType"] = odd
    assert judge(facts, document) != []


def test_discriminator_profile_of_a_resolved_reference() -> None:
    part = {"types": [{"code": "Reference", "targets": [OWN + "named|1"]}]}
    facts = slice_links("profile", "resolve()", part)
    good = bundle({"resourceType": "Thing", "id": "1", "name": "a", "link": [{"reference": "Thing/1"}]})
    assert judge(facts, good) == []
    bad = bundle({"resourceType": "Thing", "id": "1", "link": [{"reference": "Thing/1"}]})
    assert judge(facts, bad) == ["PRO039 /entry/0/resource", "PRO041 /entry/0/resource/link/0"]


def sliced_parts(by: list[list[str]], part: dict[str, Any], *below: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """The tiny pack with a list Thing.part of backbone elements: a closed slicing whose only slice is `a`."""
    made = tiny()
    rows = made["profiles"][THING]["elements"]
    rows.append(many("Thing.part", ["BackboneElement"], slicing={"by": by, "rules": "closed"}, **facts))
    for name in ("one", "two"):
        rows.append({"id": f"Thing.part.{name}", "types": ["string"]})
    rows += [many("Thing.part:a", ["BackboneElement"], slice="a", **part), *below]
    return made


def with_extensions(facts: dict[str, Any], *rows: dict[str, Any]) -> dict[str, Any]:
    """The same facts with a type Extension that has these elements."""
    facts["canonical"][BASE + "Extension"] = BASE + "Extension|4"
    facts["profiles"][BASE + "Extension|4"] = definition("Extension", "complex-type", [{"id": "Extension"}, *rows])
    return facts


def outside(facts: dict[str, Any], part: dict[str, Any]) -> bool:
    """Whether an item of Thing.part is in no slice."""
    found = judge(facts, bundle({"resourceType": "Thing", "id": "1", "part": [part]}))
    return "PRO041 /entry/0/resource/part/0" in found


def test_two_discriminators_must_both_agree() -> None:
    fixed = [{"id": f"Thing.part:a.{n}", "types": ["string"], "fixed": n} for n in ("one", "two")]
    facts = sliced_parts([["value", "one"], ["value", "two"]], {}, *fixed)
    assert not outside(facts, {"one": "one", "two": "two"})
    assert outside(facts, {"one": "one", "two": "x"})
    assert outside(facts, {"one": "x", "two": "two"})


def test_discriminator_type_of_a_choice_below() -> None:
    """Only the choice's own property says its type, and only an object has one."""
    below = [
        {"id": "Thing.part:a.inner", "types": ["BackboneElement"]},
        {"id": "Thing.part:a.inner.value[x]", "types": ["code"]},
    ]
    facts = sliced_parts([["type", "inner.value"]], {}, *below)
    assert not outside(facts, {"inner": {"valueCode": "x"}})
    assert outside(facts, {"inner": {"valueString": "x"}})
    assert outside(facts, {"inner": ["valueCode"]})


@pytest.mark.parametrize("inner", ["", "inner."])
def test_the_type_of_a_choice_and_a_value_must_both_agree(inner: str) -> None:
    below = [
        {"id": "Thing.part:a.inner", "types": ["BackboneElement"]},
        {"id": f"Thing.part:a.{inner}value[x]", "types": ["code"]},
        {"id": "Thing.part:a.one", "types": ["string"], "fixed": "one"},
    ]
    facts = sliced_parts([["type", inner + "value"], ["value", "one"]], {}, *below[0 if inner else 1 :])
    for choice, one, wrong in (("Code", "one", False), ("Code", "x", True), ("String", "one", True)):
        value: dict[str, Any] = {f"value{choice}": "v"}
        assert outside(facts, {"one": one, **({"inner": value} if inner else value)}) == wrong, (choice, one)
    part = next(row for row in facts["profiles"][THING]["elements"] if row["id"] == "Thing.part")
    part["slicing"]["rules"] = "open"
    facts["profiles"][THING]["elements"].append({"id": "Thing.part:a.two", "types": ["string"], "fixed": "two"})
    coded = {"inner": {"valueCode": "v"}} if inner else {"valueCode": "v"}
    thing = {"resourceType": "Thing", "id": "1", "part": [{"one": "one", "two": "x", **coded}]}
    assert "PRO027 /entry/0/resource/part/0/two" in judge(facts, bundle(thing))


def test_discriminator_value_of_a_choice() -> None:
    """`value` means valueCode, and neither an element as long nor one that only begins with the word."""
    below = {"id": "Thing.part:a.value[x]", "types": ["code"], "fixed": "in"}
    facts = sliced_parts([["value", "value"]], {}, below)
    assert not outside(facts, {"valueCode": "in"})
    assert outside(facts, {"valueCode": "out", "otherCode": "in"})
    assert outside(facts, {"values": "in"})


def test_discriminator_value_of_a_list() -> None:
    below = many("Thing.part:a.word", ["string"], fixed="in")
    facts = sliced_parts([["value", "word"]], {}, below)
    assert not outside(facts, {"word": ["out", "in"]})
    assert outside(facts, {"word": ["out"]})


def test_discriminator_behind_the_only_slice_of_extensions() -> None:
    below = [
        many("Thing.part:a.extension", ["Extension"], slicing={"by": [["value", "url"]], "rules": "open"}),
        {"id": "Thing.part:a.extension:b", "slice": "b", "list": True, "max": 1, "types": ["Extension"]},
        {"id": "Thing.part:a.extension:b.value[x]", "types": ["code"], "fixed": "in"},
    ]
    facts = with_extensions(sliced_parts([["value", "extension.value"]], {}, *below))
    assert not outside(facts, {"extension": [{"url": "urn:b", "valueCode": "in"}]})
    assert outside(facts, {"extension": [{"url": "urn:b", "valueCode": "out"}]})


@pytest.mark.parametrize("known", [[], [{"id": "Extension.url", "types": ["uri"]}]])
def test_discriminator_url_of_an_extension_that_the_pack_lacks(known: list[dict[str, Any]]) -> None:
    """The url of an extension is the canonical URL of its definition, wherever that is."""
    facts = with_extensions(tiny(), *known)
    rows = facts["profiles"][THING]["elements"]
    rows.append(many("Thing.extension", ["Extension"], slicing={"by": [["value", "url"]], "rules": "closed"}))
    absent = {"code": "Extension", "profiles": [OWN + "far|1"]}
    rows.append(many("Thing.extension:a", [absent], slice="a"))
    for url, wrong in ((OWN + "far", False), (OWN + "near", True)):
        found = judge(facts, bundle({"resourceType": "Thing", "id": "1", "extension": [{"url": url}]}))
        assert ("PRO041 /entry/0/resource/extension/0" in found) == wrong, found


def test_discriminator_fixed_by_the_profile_of_a_slice_with_children_of_its_own() -> None:
    part = {"types": [{"code": "Reference", "profiles": [OWN + "third|1"]}]}
    facts = slice_links("value", "reference", part, {"id": "Thing.link:a.reference", "types": ["string"], "min": 1})
    facts["canonical"][OWN + "third"] = OWN + "third|1"
    facts["profiles"][OWN + "third|1"] = definition(
        "Reference",
        "complex-type",
        [{"id": "Reference"}, {"id": "Reference.reference", "types": ["string"], "fixed": "Other/3"}],
        base=BASE + "Reference|4",
    )
    third = {"resourceType": "Other", "id": "3"}
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "link": [{"reference": "Other/3"}]}, third)) == []
    found = judge(facts, bundle({"resourceType": "Thing", "id": "1", "link": [{"reference": "Thing/1"}]}, third))
    assert found == ["PRO039 /entry/0/resource", "PRO041 /entry/0/resource/link/0"]


def test_discriminator_that_nobody_knows_is_not_checked() -> None:
    facts = slice_links("position", "$this", {})
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "link": [{"reference": "Other/9"}]})) == ["NCK004 "]


def test_target_must_meet_one_of_several_profiles() -> None:
    facts = tiny()
    strict = {**facts["profiles"][OWN + "named|1"], "name": "short"}
    strict["elements"] = [{**e, "length": 1} if e["id"] == "Thing.name" else e for e in strict["elements"]]
    facts["profiles"][OWN + "short|1"] = strict
    facts["canonical"][OWN + "short"] = OWN + "short|1"
    link(facts)["types"] = [{"code": "Reference", "targets": [OWN + "named|1", OWN + "short|1"]}]
    assert (
        judge(facts, bundle({"resourceType": "Thing", "id": "1", "name": "ab", "link": [{"reference": "Thing/1"}]}))
        == []
    )
    bad = bundle({"resourceType": "Thing", "id": "1", "link": [{"reference": "Thing/1"}]})
    assert judge(facts, bad) == ["PRO035 /entry/0/resource/link/0"]


def test_profile_that_the_pack_lacks_is_not_checked() -> None:
    facts = tiny()
    link(facts)["types"] = [{"code": "Reference", "targets": [OWN + "absent|1"]}]
    assert judge(facts, things({"reference": "Other/3"})) == ["NCK005 "]


def test_rule_without_a_function_is_not_checked_and_counted_once() -> None:
    facts = tiny()
    facts["rules"] = [{"key": "odd-1", "severity": "error", "tree": ["constant", "odd"], "digest": "00000000"}]
    facts["profiles"][THING]["elements"][0]["rules"] = [0]
    profile = Pack(facts).profile(BASE + "Bundle")
    assert profile
    log = IssueLog()
    profile.validate(things({"reference": "Other/3"}), log)
    (issue,) = log
    assert (issue.code, issue.severity, issue.count) == ("NCK001", "info", 2)
    assert "odd-1" in issue.message


def test_cycles_end() -> None:
    facts = tiny()
    link(facts)["types"] = [{"code": "Reference", "targets": [OWN + "named|1"]}]
    link(facts, OWN + "named|1")["types"] = [{"code": "Reference", "targets": [OWN + "named|1"]}]
    circle = bundle(
        {"resourceType": "Thing", "id": "1", "name": "a", "link": [{"reference": "Thing/2"}]},
        {"resourceType": "Thing", "id": "2", "link": [{"reference": "Thing/1"}]},
    )
    assert judge(facts, circle) == ["PRO023 /entry/1/resource"]


@pytest.mark.parametrize("depth", [5, 3000])
def test_nesting_ends_in_a_finding_not_in_a_traceback(depth: int) -> None:
    facts = tiny()
    facts["profiles"][THING]["elements"].append(many := {"id": "Thing.contained", "list": True, "max": None})
    many["types"] = ["Resource"]
    document: dict[str, Any] = {"resourceType": "Thing", "id": "0"}
    for number in range(depth):
        document = {"resourceType": "Thing", "id": str(number), "contained": [document]}
    found = judge(facts, bundle(document))
    assert found == ([] if depth < 10 else ["PRO056 "])


def test_reslicing_judges_by_both_levels() -> None:
    facts = slice_links("value", "type", {"max": None})
    row = next(r for r in facts["profiles"][THING]["elements"] if r["id"] == "Thing.link:a")
    assert row["min"] == 1
    facts["profiles"][THING]["elements"].append({"id": "Thing.link:a.type", "types": ["string"], "fixed": "Other"})
    facts["profiles"][BASE + "Reference|4"]["elements"].append({"id": "Reference.type", "types": ["string"]})
    link(facts)["slicing"]["rules"] = "open"
    good = bundle({"resourceType": "Thing", "id": "1", "link": [{"type": "Other"}]})
    assert judge(facts, good) == []
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "link": [{"type": "Thing"}]})) == [
        "PRO039 /entry/0/resource"
    ]


def limited(kind: str, least: Any, most: Any) -> dict[str, Any]:
    """The tiny pack with an element Thing.size that has limits."""
    facts = tiny()
    row = {"id": "Thing.size", "types": [kind], "minValue": least, "maxValue": most}
    facts["profiles"][THING]["elements"].append(row)
    return facts


@pytest.mark.parametrize(
    ("kind", "least", "most", "good", "bad"),
    [
        ("integer", 1, 5, [1, 5], [0, 6]),
        ("decimal", 0.5, 1, [0.5, 1], [0.25, 1.5]),
        ("date", "2020-01-31", "2024-12", ["2020-01-31", "2020", "2024-12-31"], ["2020-01-30", "2019", "2025-01-01"]),
        (
            "instant",
            "2020-01-01T00:00:00Z",
            "2020-01-02T00:00:00Z",
            ["2020-01-01T01:00:00+01:00"],
            ["2020-01-01T00:00:00+01:00", "2020-01-02T00:00:00-01:00"],
        ),
        ("time", "08:00:00", "16:00:00", ["08:00:00", "16:00:00"], ["07:59:59", "16:00:01"]),
        ("time", "08:00:00.005", "16:00:00.005", ["08:00:00.005"], ["08:00:00.004", "16:00:00.006"]),
    ],
)
def test_value_range(kind: str, least: Any, most: Any, good: list[Any], bad: list[Any]) -> None:
    facts = limited(kind, least, most)
    for value in good:
        assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "size": value})) == [], value
    for value in bad:
        found = judge(facts, bundle({"resourceType": "Thing", "id": "1", "size": value}))
        assert found == ["PRO059 /entry/0/resource/size"], value
    for value, problem in ((bad[0], "less than"), (bad[-1], "more than")):
        (issue,) = issues(facts, bundle({"resourceType": "Thing", "id": "1", "size": value}))
        assert problem in issue.message, value
    for bound, value in (("minValue", bad[-1]), ("maxValue", bad[0])):
        del (alone := limited(kind, least, most))["profiles"][THING]["elements"][-1][bound]
        assert judge(alone, bundle({"resourceType": "Thing", "id": "1", "size": value})) != []


@pytest.mark.parametrize(
    ("kind", "pattern", "bad"),
    [("boolean", True, False), ("integer", 1, 2), ("Thing", {"flag": True}, {"flag": False})],
)
def test_pattern_that_is_no_text(kind: str, pattern: Any, bad: Any) -> None:
    facts = tiny()
    rows = facts["profiles"][THING]["elements"]
    inner = kind == "Thing"
    rows.append({"id": "Thing.size", "types": ["BackboneElement" if inner else kind], "pattern": pattern})
    rows += [{"id": "Thing.size.flag", "types": ["boolean"]}] * inner
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "size": pattern})) == []
    found = judge(facts, bundle({"resourceType": "Thing", "id": "1", "size": bad}))
    assert found == ["PRO028 /entry/0/resource/size"]


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("a", "a", "b"),
        (["a"], ["b", "a"], ["b"]),
        ({"a": "b"}, {"a": "b", "c": "d"}, {"a": "c"}),
        ({"a": [{"c": "d"}]}, {"a": [{"c": "b"}, {"c": "d", "e": "f"}]}, {"a": [{"c": "b"}]}),
    ],
)
def test_pattern_printed_as_code(pattern: Any, good: Any, bad: Any) -> None:
    assert holds(good, pattern)
    assert eval(holding("value", pattern), {"value": good})  # noqa: S307 - printed by us
    assert not holds(bad, pattern)
    assert not eval(holding("value", pattern), {"value": bad})  # noqa: S307 - printed by us


@pytest.mark.parametrize("pattern", [True, 1, None, {}, [], {"a": True}, ["a", 1]])
def test_pattern_that_is_not_of_texts_only_is_not_printed(pattern: Any) -> None:
    assert holding("value", pattern) == ""


def weight(value: object, unit: str = "kg") -> dict[str, Any]:
    return {"value": value, "system": "urn:units", "code": unit}


def test_range_of_a_quantity() -> None:
    """Only quantities of one unit compare; what is none is told by its type."""
    facts = limited("Quantity", weight(1), weight(5))
    facts["canonical"][BASE + "Quantity"] = BASE + "Quantity|4"
    rows = [
        {"id": f"Quantity.{n}", "types": [t]} for n, t in (("value", "decimal"), ("system", "uri"), ("code", "code"))
    ]
    facts["profiles"][BASE + "Quantity|4"] = definition("Quantity", "complex-type", [{"id": "Quantity"}, *rows])
    for value, wrong in ((1, False), (5, False), (0.5, True), (5.5, True)):
        found = judge(facts, bundle({"resourceType": "Thing", "id": "1", "size": weight(value)}))
        assert found == ["PRO059 /entry/0/resource/size"] * wrong, value
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "size": weight(9, "g")})) == []
    for odd in (3, "3", [weight(3)]):
        found = judge(facts, bundle({"resourceType": "Thing", "id": "1", "size": odd}))
        assert [f.split()[0] for f in found] in (["PRO020"], ["PRO021"], ["PRO022"]), (odd, found)


def ordered_links(rules: str, *, ordered: bool) -> dict[str, Any]:
    """Two slices of Thing.link, recognised by their reference, in an order."""
    facts = tiny()
    link(facts)["slicing"] = {"by": [["value", "reference"]], "rules": rules, "ordered": ordered}
    for name, number in (("a", 3), ("b", 4)):
        row = {"id": f"Thing.link:{name}", "slice": name, "list": True, "max": None, "types": ["Reference"]}
        inner = {"id": f"Thing.link:{name}.reference", "types": ["string"], "fixed": f"Other/{number}"}
        facts["profiles"][THING]["elements"] += [row, inner]
    return facts


ORDERS = [
    ("open", True, "345", []),
    ("open", True, "3345344", [4]),
    ("open", True, "5354", []),
    ("open", True, "43", [1]),
    ("open", True, "4343", [1, 3]),
    ("open", False, "43", []),
    ("closed", True, "34", []),
    ("closed", True, "43", [1]),
    ("openAtEnd", False, "4355", []),
    ("openAtEnd", False, "354", [2]),
    ("openAtEnd", True, "345", []),
    ("openAtEnd", True, "435", [1]),
    ("openAtEnd", True, "53", [1]),
]


@pytest.mark.parametrize(("rules", "ordered", "links", "wrong"), ORDERS)
def test_order_of_slices(rules: str, ordered: bool, links: str, wrong: list[int]) -> None:
    others = [{"resourceType": "Other", "id": n} for n in "345"]
    thing = {"resourceType": "Thing", "id": "1", "link": [{"reference": f"Other/{n}"} for n in links]}
    found = judge(ordered_links(rules, ordered=ordered), bundle(thing, *others))
    assert found == [f"PRO064 /entry/0/resource/link/{number}" for number in wrong]


AGGREGATIONS = [
    ((), {"inside": [], "entry": [], "away": []}),
    (("contained",), {"inside": [], "entry": ["PRO065"], "away": ["PRO065"]}),
    (("bundled",), {"inside": ["PRO032"], "entry": [], "away": ["PRO032"]}),
    (("referenced",), {"inside": ["PRO065"], "entry": ["PRO065"], "away": []}),
    (("contained", "bundled"), {"inside": [], "entry": [], "away": ["PRO032"]}),
    (("contained", "referenced"), {"inside": [], "entry": ["PRO065"], "away": []}),
    (("referenced", "bundled"), {"inside": ["PRO065"], "entry": [], "away": []}),
    (("contained", "referenced", "bundled"), {"inside": [], "entry": [], "away": []}),
]
PLACES = {"inside": "#o", "entry": "Other/3", "away": "Other/9"}


@pytest.mark.parametrize(("modes", "found"), AGGREGATIONS)
def test_aggregation(modes: tuple[str, ...], found: dict[str, list[str]]) -> None:
    """Where the target of a reference may be: contained, an entry, somewhere else."""
    facts = tiny()
    link(facts)["types"] = [{"code": "Reference", "aggregation": list(modes)}] if modes else [{"code": "Reference"}]
    facts["profiles"][THING]["elements"].append(
        {"id": "Thing.contained", "list": True, "max": None, "types": ["Resource"]}
    )
    for place, reference in PLACES.items():
        thing = {"resourceType": "Thing", "id": "1", "contained": [{"resourceType": "Other", "id": "o"}]}
        thing["link"] = [{"reference": reference}]
        document = bundle(thing, {"resourceType": "Other", "id": "3"})
        log = IssueLog()
        profile = Pack(facts).profile(BASE + "Bundle")
        assert profile
        profile.validate(document, log)
        assert [f"{i.code} {i.at.path}" for i in log] == [f"{code} /entry/0/resource/link/0" for code in found[place]]
        assert all(i.message.endswith(f"allowed: {', '.join(modes)}") for i in log if i.code == "PRO065"), place


def test_aggregation_of_a_resource_that_holds_none() -> None:
    facts = tiny()
    link(facts)["types"] = [{"code": "Reference", "aggregation": ["contained"]}]
    assert judge(facts, things({"reference": "Other/3"})) == [f"PRO065 /entry/{n}/resource/link/0" for n in (0, 1)]


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("code", "in", []),
        ("code", "out", ["NCK002 "]),
        ("Coding", {"system": "urn:a", "code": "in"}, []),
        ("Coding", {"system": "urn:b", "code": "out"}, ["NCK002 "]),
        ("Coding", {"system": "urn:a", "code": "out"}, ["PRO029 /entry/0/resource/code"]),
        ("CodeableConcept", {"coding": [{"system": "urn:b", "code": "out"}]}, ["NCK002 "]),
        ("CodeableConcept", {"coding": [{"system": "urn:b", "code": "out"}, {"system": "urn:a", "code": "in"}]}, []),
        ("CodeableConcept", {"coding": [{"system": "urn:a", "code": "out"}]}, ["PRO029 /entry/0/resource/code"]),
    ],
)
def test_codes_of_a_system_that_is_not_here_are_counted(kind: str, value: Any, found: list[str]) -> None:
    facts = coded(kind, {"codes": {"urn:a": {"in": []}}, "unknown": ["urn:b"]})
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "code": value})) == found


def coded(kind: str, codes: dict[str, Any]) -> dict[str, Any]:
    """The tiny pack with an element Thing.code that is bound to a value set."""
    facts = tiny()
    facts["valuesets"]["urn:set|1"] = codes
    texts = [{"id": f"Coding.{name}", "types": ["string"]} for name in ("system", "code", "display")]
    for name, below in (("Coding", texts), ("CodeableConcept", [many("CodeableConcept.coding", ["Coding"])])):
        facts["canonical"][BASE + name] = f"{BASE}{name}|4"
        facts["profiles"][f"{BASE}{name}|4"] = definition(name, "complex-type", [{"id": name}, *below])
    facts["profiles"][THING]["elements"].append({"id": "Thing.code", "types": [kind], "binding": "urn:set|1"})
    return facts


@pytest.mark.parametrize(
    ("displays", "found"),
    [
        (["one", "x"], []),
        (["two", "x"], ["PRO031 /entry/0/resource/code/coding/0/display"]),
        (["", "one"], []),
    ],
)
def test_displays_of_a_value_set_whose_code_systems_are_not_here(displays: list[str], found: list[str]) -> None:
    """Only codes that are in the value set are compared: of others nothing is known."""
    facts = coded("CodeableConcept", {"codes": {"urn:a": {"in": ["One"]}}})
    codings = [{"system": "urn:a", "code": code} for code in ("in", "out")]
    codings = [c | ({"display": d} if d else {}) for c, d in zip(codings, displays, strict=True)]
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "code": {"coding": codings}})) == found


FEW = ["string", "code"]
MANY = [*FEW, "boolean", "date", "id", "uri", "oid", "time"]


@pytest.mark.parametrize("types", [FEW, MANY])
def test_a_choice_of_few_or_many_types_that_must_be_made(types: list[str]) -> None:
    facts = tiny()
    facts["profiles"][THING]["elements"].append({"id": "Thing.value[x]", "types": types, "min": 1})
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "valueCode": "a"})) == []
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1"})) == ["PRO023 /entry/0/resource"]
    both = {"valueCode": "a", "valueString": "b"}
    assert set(judge(facts, bundle({"resourceType": "Thing", "id": "1", **both}))) == {"PRO046 /entry/0/resource"}


@pytest.mark.parametrize("least", [0, 1])
def test_a_type_of_a_choice_that_must_be_there(least: int) -> None:
    facts = tiny()
    by_type = {"by": [["type", "$this"]], "rules": "open"}
    row = {"id": "Thing.value[x]", "types": FEW, "slicing": by_type, "min": least}
    part = {"id": "Thing.value[x]:valueCode", "slice": "valueCode", "types": ["code"], "min": 1}
    facts["profiles"][THING]["elements"] += [row, part]
    missing = "PRO039 /entry/0/resource"
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "valueCode": "a"})) == []
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "valueString": "a"})) == [missing]
    nothing = judge(facts, bundle({"resourceType": "Thing", "id": "1"}))
    assert nothing == [*["PRO023 /entry/0/resource"] * least, missing]


def test_a_target_whose_type_the_pack_does_not_hold_is_of_an_allowed_type() -> None:
    facts = tiny()
    link(facts)["types"] = [{"code": "Reference", "targets": [BASE + "Thing|4", BASE + "Far|4"]}]
    for target, found in (("Far", ["NCK003 "]), ("Other", ["PRO034 /entry/0/resource/link/0"])):
        thing = {"resourceType": "Thing", "id": "1", "link": [{"reference": f"{target}/9"}]}
        assert judge(facts, bundle(thing, {"resourceType": target, "id": "9"})) == found


def test_the_longest_text() -> None:
    most = 1024 * 1024
    assert right_primitive("x" * most, "string")
    assert not right_primitive("x" * (most + 1), "string")


@pytest.mark.parametrize(("number", "found"), [(1, ["PRO023 /entry/0/resource"]), (2, []), (3, [])])
def test_a_list_that_needs_two(number: int, found: list[str]) -> None:
    facts = tiny()
    facts["profiles"][THING]["elements"].append(many("Thing.part", ["string"], min=2))
    assert judge(facts, bundle({"resourceType": "Thing", "id": "1", "part": ["x"] * number})) == found
