"""The validator against the official one: HL7's verdicts on MedCom's examples and on mutants of one of them.

`expected.json` beside the examples lists what the official validator said. Compared are the verdict, the invariants and
the resources that were found at fault; every difference is listed here with its reason, and the lists are exact.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from converter.fhir.packs import build_pack
from converter.fhir.profiles import Pack, Profile
from converter.issues import Issue, IssueLog, Severity, catalog
from converter.renderings import page

CARE = "http://medcomfhir.dk/ig/carecommunication/StructureDefinition/medcom-careCommunication-message"
NAME = "medcom.fhir.dk.carecommunication-5.0.2.json.gz"
# One fault is repeated by the official validator at every reference that leads to the resource.
ECHO = "Reference_REF_CantMatchChoice"

VERDICTS_THAT_DIFFER: dict[str, str] = {}
INVARIANTS_THAT_DIFFER: dict[str, str] = {}
PLACES_THAT_DIFFER = {
    "52_fullurl_mismatch_id.json": "ours at the entry with the wrong fullUrl; theirs at each reference to it",
    "54_fullurl_relative.json": "ours at the entry with the wrong fullUrl; theirs at each reference to it",
}


@pytest.fixture(scope="module")
def profile(root: Path) -> Profile:
    found = Pack.load(root / "mappings/profiles" / NAME).profile(CARE)
    assert found
    return found


@pytest.fixture(scope="module")
def examples(shared: Path) -> Path:
    return shared / "fhir" / "examples"


def judge(profile: Profile, path: Path) -> list[Issue]:
    log = IssueLog()
    profile.validate(json.loads(path.read_text("utf-8")), log, file=path.name)
    return list(log)


def errors(issues: list[Issue]) -> list[Issue]:
    return [i for i in issues if i.severity is Severity.ERROR]


def official(folder: Path) -> Iterator[tuple[str, list[Any]]]:
    """File and leaf errors of the official validator; those that only echo one at a reference are left out."""
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    for name, verdict in sorted(expected.items()):
        yield name, [e for e in verdict["errors"] if e[1] != ECHO]


def entry_of(text: str) -> str:
    """The entry that a place lies in: from `Bundle.entry[2].resource…` or from `/entry/2/resource…`."""
    found = re.match(r"(?:Bundle\.entry\[|/entry/)(\d+)", text)
    return found[1] if found else "Bundle"


def test_official_examples_have_no_findings(profile: Profile, examples: Path) -> None:
    files = [p for p in sorted((examples / "carecommunication-5.0.2").glob("*.json")) if p.stem != "expected"]
    assert len(files) == 8
    assert {p.name: [i.message for i in judge(profile, p)] for p in files if judge(profile, p)} == {}


def test_mutants_get_the_same_verdict(profile: Profile, examples: Path) -> None:
    cases = list(official(examples / "mutants"))
    assert len(cases) >= 40
    ours = {name: bool(errors(judge(profile, examples / "mutants" / name))) for name, _ in cases}
    assert {name for name, theirs in cases if bool(theirs) != ours[name]} == VERDICTS_THAT_DIFFER.keys()
    assert sum(ours.values()) >= 30


def test_mutants_break_the_same_invariants(profile: Profile, examples: Path) -> None:
    different = set()
    for name, theirs in official(examples / "mutants"):
        found = errors(judge(profile, examples / "mutants" / name))
        ours = {i.rule.split()[-1] for i in found if i.kind.name == "invariant-broken"}
        # The rule about empty narratives is a rule kind of its own here.
        ours |= {"txt-2" for i in found if i.kind.name == "narrative-empty"}
        if ours != {key for _, _, key in theirs if key}:
            different.add(name)
    assert different == INVARIANTS_THAT_DIFFER.keys()


def test_mutants_are_at_fault_in_the_same_resources(profile: Profile, examples: Path) -> None:
    different = set()
    for name, theirs in official(examples / "mutants"):
        ours = {entry_of(i.at.path) for i in errors(judge(profile, examples / "mutants" / name))}
        if ours != {entry_of(place or "") for place, _, _ in theirs}:
            different.add(name)
    assert different == PLACES_THAT_DIFFER.keys()


def test_nothing_is_left_unchecked_in_a_carecommunication(profile: Profile, examples: Path) -> None:
    for path in sorted((examples / "mutants").glob("0*.json")):
        # One of them claims a profile of another major version, which this pack cannot judge.
        unchecked = {i.kind.name for i in judge(profile, path) if i.code.startswith("NCK")}
        assert unchecked <= {"profile-version-not-judged"}


OTHER_GUIDES = [
    ("acknowledgement#2.0.3", "acknowledgement-2.0.3", 4),
    ("hospitalnotification#3.0.2", "hospitalnotification-3.0.2", 12),
    ("conditionlist#1.0.1", "conditionlist-1.0.1", 7),
    ("messaging#4.0.2", "messaging-4.0.2", 1),
    ("carecommunication#4.0.3", "carecommunication-4.0.3", 8),
    ("carecommunication#4.0.3", "carecommunication-testscripts-CareCommunication_Ex_send", 12),
    ("carecommunication#4.0.3", "carecommunicationtestscripts-4.0.1", 39),
]


@pytest.mark.parametrize(("guide", "folder", "files"), OTHER_GUIDES, ids=[folder for _, folder, _ in OTHER_GUIDES])
def test_other_guides(guide: str, folder: str, files: int, shared: Path, examples: Path) -> None:
    """Verdict and broken invariants of every file are the official ones, and no invariant is left unchecked."""
    pack = Pack(build_pack("medcom.fhir.dk." + guide, shared / "fhir/packages"))
    cases = list(official(examples / folder))
    assert len(cases) == files
    for name, theirs in cases:
        document = json.loads((examples / folder / name).read_text("utf-8"))
        claims = [p for p in document.get("meta", {}).get("profile", []) if pack.profile(p)]
        found = pack.profile((claims or pack.bundle_profiles())[0])
        assert found
        issues = judge(found, examples / folder / name)
        assert bool(errors(issues)) == bool(theirs), name
        ours = {i.rule.split()[-1] for i in errors(issues) if i.kind.name == "invariant-broken"}
        assert ours == {key for _, _, key in theirs if key} - echoes(pack, theirs), name
        assert "NCK001" not in {i.code for i in issues}


def echoes(pack: Pack, theirs: list[Any]) -> set[str]:
    """Rules that say `conformsTo` of an entry whose only fault is that what it refers to has faults."""
    at_header = [place for place, _, _ in theirs if entry_of(place or "") == "0"]
    return set() if at_header else {r["key"] for r in pack.rules if "conformsTo" in json.dumps(r["tree"])}


CONVERSION_SERVICE = {
    # Written for 4.0: another message definition.
    "ConSer_CC_02__cc4.0_plain.json": ["PRO042 /entry/0/resource/definition"],
    # `use` of a CPR number is fixed to official.
    "ConSer_CC_13__sep2025_cpr-use-temp.json": ["PRO027 /entry/1/resource/identifier/0/use"],
}


def test_bundles_of_the_conversion_service(profile: Profile, shared: Path) -> None:
    """MedCom's certification inputs; they were compiled without narratives."""
    files = sorted((shared / "samples/conversion-service").glob("ConSer_CC_*.json"))
    assert len(files) >= 10
    for path in files:
        found = judge(profile, path)
        assert [f"{i.code} {i.at.path}" for i in errors(found)] == CONVERSION_SERVICE.get(path.name, []), path.name
        resources = len(json.loads(path.read_text("utf-8"))["entry"])
        assert sum(i.rule.endswith(" dom-6") for i in found) == resources


BAD: list[Any] = [
    *(None, True, 0, -1, 1.5, "", " ", "x", [], {}, [None], [[]], [{}], {"a": 1}, {"id": 1}, "#x", "\x00", "\ud800"),
    *({"reference": "#"}, {"reference": []}, {"url": {}}, {"resourceType": "Patient"}, {"resourceType": []}, 10**30),
    *({"coding": {"system": {}}}, {"coding": [{"system": [], "code": {}}]}, {"meta": {"profile": [[]]}}),
    {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Bundle", "type": "message", "entry": [1]}}]},
]


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in steps:
        yield from places(below, (*here, key))


def put(document: Any, place: tuple[Any, ...], value: Any) -> None:
    for step in place[:-1]:
        document = document[step]
    document[place[-1]] = value


MESSAGE = json.dumps(yaml.safe_load((Path(__file__).parent / "rules/message.yaml").read_text("utf-8")))


def message() -> Any:
    """The invented CareCommunication that breaks no rule."""
    return json.loads(MESSAGE)


@pytest.mark.parametrize("seed", range(4))
def test_no_document_ends_in_a_traceback(seed: int, profile: Profile) -> None:
    chance = random.Random(seed)
    everywhere = list(places(message()))[1:]
    for _ in range(400):
        document = message()
        put(document, chance.choice(everywhere), chance.choice(BAD))
        log = IssueLog()
        profile.validate(document, log)
    for root in BAD:
        profile.validate(root, log)
    assert len(log) >= len(BAD) - 5


def test_no_finding_shows_a_value(profile: Profile) -> None:
    """Every text of a message is replaced by a word that must not come back in a message, rule or place."""
    for place in [p for p in places(message()) if p]:
        document = message()
        put(document, place, "Secretword")
        log = IssueLog()
        profile.validate(document, log)
        for issue in log:
            assert "secretword" not in f"{issue.message} {issue.rule} {issue.at} {issue.at.path}".lower()


def test_texts_of_a_class_of_their_own_are_texts(profile: Profile) -> None:
    """A Bundle that was just made may hold texts that know where they come from."""

    class Text(str):
        __slots__ = ()

    def wrap(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: wrap(v) for k, v in value.items()}
        return [wrap(v) for v in value] if isinstance(value, list) else Text(value) if isinstance(value, str) else value

    log = IssueLog()
    profile.validate(wrap(message()), log)
    assert [f"{i.code} {i.at.path}" for i in log] == []


def test_findings_come_once(profile: Profile) -> None:
    document = message()
    del document["entry"][5]["resource"]["identifier"][1]
    log = IssueLog()
    profile.validate(document, log)
    assert [f"{i.code} {i.at.path}" for i in log] == ["PRO039 /entry/5/resource"]


def test_single_resource_is_outside_a_bundle(profile: Profile) -> None:
    """A reference that must stay in the Bundle is an error in a resource that is validated alone (as HL7 has it)."""
    encounter = message()["entry"][3]["resource"]
    found = profile.pack.profile("http://medcomfhir.dk/ig/core/StructureDefinition/medcom-core-encounter")
    assert found
    log = IssueLog()
    found.validate(encounter, log)
    assert [f"{i.code} {i.at.path}" for i in log] == ["PRO032 /subject"]
    log = IssueLog()
    found.validate(message(), log)
    assert [i.code for i in log] == ["PRO049"]


def test_generated_source_is_shown_in_tracebacks(profile: Profile) -> None:
    import linecache

    assert "def check_Bundle" in profile.source
    assert "def check_Bundle" in "".join(linecache.getlines("<profile medcom-careCommunication-message|5.0.2>"))


def test_each_kind_of_rule_documents_itself() -> None:
    """What, why, example and where it is stated stand on the page of `explain CODE`."""
    kinds = [k for code, k in catalog().items() if "NCK001" <= code <= "NCK006" or "PRO020" <= code <= "PRO099"]
    assert len(kinds) > 45
    for kind in kinds:
        assert all((kind.message, kind.why, kind.help, kind.example)), kind.code
        assert f"E.g.:   {kind.example}" in page(kind)
    undocumented = [k.code for k in kinds if not k.source]
    assert undocumented == ["NCK003", "NCK005", "NCK006", "PRO056"]  # what this validator does not hold, and its limit
