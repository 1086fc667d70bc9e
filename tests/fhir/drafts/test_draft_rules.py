"""Every rule of the draft profiles is broken once by an invented message, and found where it is broken.

messages.yaml holds one message of each kind that breaks no rule, cases.txt what is done to it. That no rule is left out
is checked against the sources of the profiles themselves.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from converter.fhir.guides import Guide, read_guide
from converter.fhir.library import Library
from converter.issues import Issue, IssueLog

HERE = Path(__file__).parent
BASE = "https://medcom-fhir.org/fhir"
PROFILE = f"{BASE}/StructureDefinition"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Text</p></div>'
RESOURCES = yaml.safe_load((HERE / "messages.yaml").read_text("utf-8"))
LINES = [line for line in (HERE / "cases.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
CASES = [(kind, *rest.rsplit(" | ", 1)) for kind, rest in (line.split(" | ", 1) for line in LINES)]


def message(kind: str) -> dict[str, Any]:
    """A Bundle that breaks no rule: a message, or the discharge letter as a document."""
    document = kind == "document"
    resources = copy.deepcopy([*RESOURCES["discharge" if document else kind], *RESOURCES["common"]])
    if document:
        # Nothing but the header refers to the receiver, and a document holds only what hangs together.
        resources = [r for r in resources if r["resourceType"] not in ("MessageHeader", "Provenance")]
        resources = [r for r in resources if r["id"] != "receiver"]
    for resource in resources:
        resource["text"] = {"status": "generated", "div": DIV}
    return {
        "resourceType": "Bundle",
        "id": "message",
        "meta": {"profile": [profile_of(kind)]},
        **({"identifier": {"system": "https://example.dk/ids", "value": "1"}} if document else {}),
        "type": "document" if document else "message",
        "timestamp": "2025-03-04T10:15:00+01:00",
        "entry": [{"fullUrl": f"{BASE}/{r['resourceType']}/{r['id']}", "resource": r} for r in resources],
    }


def profile_of(kind: str) -> str:
    return f"{PROFILE}/discharge-document" if kind == "document" else f"{PROFILE}/{kind}-message"


def owner(bundle: dict[str, Any], place: str) -> tuple[Any, Any]:
    """The object or list that holds what a place means, and the key in it."""
    numbers = {e["resource"]["id"]: i for i, e in enumerate(bundle["entry"]) if "id" in e.get("resource", {})}
    special, _, name = place.partition(":")
    if special in ("fullUrl", "resource"):
        return bundle["entry"][numbers[name]], special
    if special == "entry" or place in numbers:
        return bundle["entry"], numbers[name or place]
    first, *path = place.split("/")
    found: Any = bundle["entry"][numbers[first]]["resource"] if first else bundle
    for step in path[:-1]:
        found = found[int(step)] if isinstance(found, list) else found[step]
    return found, int(path[-1]) if isinstance(found, list) else path[-1]


def value(text: str) -> Any:
    """A value of a case: JSON if it looks like it, else text."""
    return json.loads(text) if text[:1] in '["{0123456789' else text


def change(bundle: dict[str, Any], text: str) -> None:
    verb, place, *rest = text.strip().split(" ", 2)
    holder, key = owner(bundle, place)
    if verb == "remove":
        del holder[key]
    elif verb == "double":
        again = copy.deepcopy(holder[key])
        if holder is bundle["entry"]:
            again["resource"]["id"] += "2"
            again["fullUrl"] += "2"
        holder.insert(key, again)
    elif verb == "move":
        to, new = rest[0].split(" ", 1)
        del holder[key]
        holder[to.rpartition("/")[2]] = value(new)
    else:
        holder[key] = value(rest[0])


@pytest.fixture(scope="module")
def library(root: Path) -> Library:
    return Library(root / "mappings/profiles")


@pytest.fixture(scope="module")
def guide(root: Path) -> Guide:
    return read_guide(root / "mappings/profiles/draft")


def judge(library: Library, kind: str, *changes: str) -> list[Issue]:
    bundle = message(kind)
    for text in changes:
        change(bundle, text)
    profile = library.profile(profile_of(kind))
    assert profile
    log = IssueLog()
    profile.validate(bundle, log, file="message.json")
    return list(log)


def spoken(issue: Issue) -> set[str]:
    """The names under which a finding answers a case."""
    return {issue.code, *issue.rule.split()[1:]}


@pytest.mark.parametrize("kind", ["referral", "discharge", "document"])
def test_message_breaks_no_rule(kind: str, library: Library) -> None:
    assert [(i.code, i.at.path, i.rule) for i in judge(library, kind)] == []


@pytest.mark.parametrize(("kind", "changes", "rule"), CASES, ids=[f"{k}: {c}" for k, c, _ in CASES])
def test_broken_rule_is_found(kind: str, changes: str, rule: str, library: Library) -> None:
    issues = judge(library, kind, *changes.split(";"))
    assert any(rule in spoken(i) for i in issues), [(i.code, i.at.path, i.rule) for i in issues]


def rules(guide: Guide, name: str, kind: str) -> Iterator[str]:
    """What a profile of the sources says, by the names under which findings speak."""
    form = guide.sources["profiles"][name]
    yield from form.get("invariants", ())
    yield from below(kind, form, ())


def below(path: str, form: Any, discriminators: tuple[str, ...]) -> Iterator[str]:
    for short in form.get("extensions", ()):
        yield from element(f"{path}.extension:{short}", form["extensions"][short], discriminators)
    for short in form.get("elements", ()):
        yield from element(f"{path}.{short}", form["elements"][short], discriminators)


def element(path: str, form: Any, discriminators: tuple[str, ...]) -> Iterator[str]:
    said = {"cardinality": form} if isinstance(form, str) else form
    narrows = {"fixed", "pattern", "binding", "targets", "type"} & set(said) or said.get(
        "cardinality", "0..*"
    ) != "0..*"
    # The value by which a slice is recognised cannot be wrong: the item is then of another slice, or of none.
    if narrows and not any(path.endswith(d) for d in discriminators):
        yield path
    if isinstance(form, str):
        return
    inside = (*discriminators, *(f".{p}" for p in form.get("slicing", {}).values()))
    if "destination" in path:
        inside = (*inside, ".value[x].code")
    yield from below(path, form, discriminators)
    for short, part in form.get("slices", {}).items():
        yield from element(f"{path}:{short}", part, inside)


def covers(rule: str, wanted: str) -> bool:
    """Whether a case that is found under `rule` shows the rule `wanted`: itself, or a slice of it that must be."""
    plain = ".".join(part.partition(":")[0] for part in rule.split("."))
    return rule == wanted or rule.startswith(wanted + ":") or plain == wanted


def test_every_rule_is_broken(guide: Guide, library: Library) -> None:
    broken = {rule for _, _, rule in CASES}
    left = set()
    for name in guide.sources["profiles"]:
        profile = library.profile(f"{PROFILE}/{name}")
        assert profile
        kind = profile.pack.profile_facts(profile.key)["type"]
        left |= {f"{name} {r}" for r in rules(guide, name, kind) if not any(covers(b, r) for b in broken)}
    assert left == set()
