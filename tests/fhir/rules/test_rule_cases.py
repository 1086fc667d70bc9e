"""One file a rule kind under cases/: what passes, and its twin that changes one thing and is found.

Every case starts from message.yaml, an invented CareCommunication that breaks no rule. `good` and `bad` are changes:
`{set: pointer, to: value}`, `{remove: pointer}`, `{swap: [pointer, pointer]}`; `-` at the end of a pointer appends.
`finds` lists code and pointer of all findings of the twin, in any order; `keys` the invariants among them; `also` are
changes made to the bad twin as well; `always` are findings of both. What the findings say stands in said.txt.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from converter.fhir.profiles import Pack, Profile
from converter.issues import Issue, IssueLog

HERE = Path(__file__).parent
FILES = sorted((HERE / "cases").glob("*.yaml"))
CASES = [(file.stem, case) for file in FILES for case in yaml.safe_load(file.read_text(encoding="utf-8"))]
MESSAGE = yaml.safe_load((HERE / "message.yaml").read_text(encoding="utf-8"))
CARE = "http://medcomfhir.dk/ig/carecommunication/StructureDefinition/medcom-careCommunication-message"


@pytest.fixture(scope="module")
def profile(root: Path) -> Profile:
    pack = Pack.load(root / "mappings/profiles/medcom.fhir.dk.carecommunication-5.0.2.json.gz")
    found = pack.profile(CARE)
    assert found
    return found


def owner_and_key(document: Any, pointer: str) -> tuple[Any, Any]:
    """The object or array that holds what a pointer means, and its key there."""
    *path, last = pointer.split("/")[1:]
    for step in path:
        document = document[int(step)] if isinstance(document, list) else document[step]
    if isinstance(document, list):
        return document, len(document) if last == "-" else int(last)
    return document, last


def change(document: Any, change: dict[str, Any]) -> None:
    if "swap" in change:
        (a, i), (b, j) = (owner_and_key(document, p) for p in change["swap"])
        a[i], b[j] = b[j], a[i]
    elif "remove" in change:
        owner, key = owner_and_key(document, change["remove"])
        del owner[key]
    else:
        owner, key = owner_and_key(document, change["set"])
        if isinstance(owner, list) and key == len(owner):
            owner.append(None)
        owner[key] = copy.deepcopy(change["to"])


def judge(profile: Profile, changes: list[dict[str, Any]]) -> list[Issue]:
    document = copy.deepcopy(MESSAGE)
    for one in changes:
        change(document, one)
    log = IssueLog()
    profile.validate(document, log, file="message.json")
    return list(log)


def places(issues: list[Issue]) -> list[str]:
    return sorted(f"{i.code} {i.at.path}" for i in issues)


@pytest.mark.parametrize(("rule", "case"), CASES, ids=[f"{r}: {c['name']}" for r, c in CASES])
def test_rule(rule: str, case: dict[str, Any], profile: Profile) -> None:
    assert places(judge(profile, case["good"])) == sorted(case.get("always", []))
    found = judge(profile, [*case["bad"], *case.get("also", [])])
    assert places(found) == sorted(case["finds"]), [(i.code, i.at.path, i.rule, i.message) for i in found]
    for key in case.get("keys", ()):
        assert any(i.rule.endswith(" " + key) for i in found), [i.rule for i in found]


def test_what_findings_say(profile: Profile, golden: Callable[[Path, str], None]) -> None:
    """Severity, rule, message and number of every finding of the bad twins."""
    said = []
    for rule, case in CASES:
        said.append(f"{rule}: {case['name']}")
        for i in judge(profile, [*case["bad"], *case.get("also", [])]):
            said.append(f"  {i.code} {i.severity.value} {i.rule}: {i.message} ({i.count})")
    golden(HERE / "said.txt", "\n".join(said) + "\n")


def test_message_breaks_no_rule(profile: Profile) -> None:
    assert judge(profile, []) == []


def test_every_rule_file_has_cases(root: Path) -> None:
    kinds = {p.stem for p in (root / "converter/fhir/rules").glob("*.py")} - {"__init__"}
    assert kinds == {p.stem for p in FILES}


def test_findings_name_rule_place_and_no_value(profile: Profile) -> None:
    (issue,) = judge(profile, [{"set": "/entry/2/resource/gender", "to": "strawberry"}])
    assert issue.rule == "medcom-core-patient|3.0.1 Patient.gender"
    assert (issue.at.file, issue.at.line, issue.at.column) == ("message.json", 1, 1)
    assert issue.at.path == issue.target == "/entry/2/resource/gender"
    assert issue.value == "strawberry"
    assert "strawberry" not in issue.message


TAGS = ("b", "br", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "li", "ol", "p", "span", "tt", "ul")


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_that_only_begins_like_one_of_xhtml_is_none(profile: Profile, tag: str) -> None:
    inside = f"<ul><{tag}>a</{tag}></ul>" if tag == "li" else f"<{tag}>a</{tag}>"
    for name, wrong in ((tag, False), (tag + "x", True)):
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">a{inside.replace(tag + ">", name + ">")}</div>'
        found = judge(profile, [{"set": "/entry/2/resource/text/div", "to": div}])
        assert bool(found) == wrong, found


@pytest.mark.parametrize("character", ["\ufffe", "\uffff", "]]>"])
def test_a_narrative_that_xml_cannot_hold(profile: Profile, character: str) -> None:
    for text, wrong in (("x", False), (character, True)):
        div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>\u20ac{text}</p></div>'
        assert bool(judge(profile, [{"set": "/entry/2/resource/text/div", "to": div}])) == wrong


def test_reachability_begins_at_the_header(profile: Profile) -> None:
    """Also where no Provenance leads back to it."""
    basic = {"resourceType": "Basic", "id": "00000000-0000-4000-8000-0000000000ff", "code": {"text": "x"}}
    orphan = {"fullUrl": f"https://example.dk/Basic/{basic['id']}", "resource": basic}
    found = judge(profile, [{"remove": "/entry/8"}, {"set": "/entry/-", "to": orphan}])
    assert [i.at.path for i in found if i.code == "PRO051"] == ["/entry/8/resource"]
