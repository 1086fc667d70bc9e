"""Packages, packs and value sets, against the published packages where they are at hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from converter.errors import ProfileError
from converter.fhir.expressions import digest, parse
from converter.fhir.packages import read_closure
from converter.fhir.packs import build_pack, list_packs, pack_command, read_pack, write_pack
from converter.fhir.profiles import Pack
from converter.fhir.terminology import expand
from converter.issues import IssueLog

GUIDE = "medcom.fhir.dk.carecommunication#5.0.2"
GUIDES = [
    "acknowledgement#2.0.3",
    "carecommunication#4.0.3",
    "carecommunication#5.0.2",
    "conditionlist#1.0.1",
    "hospitalnotification#3.0.2",
]
PREVIEWS = {"carecommunication#5.0.2": "5.0.4"}
NAME = "medcom.fhir.dk.carecommunication-5.0.2.json.gz"


@pytest.fixture(scope="module")
def packages(shared: Path) -> Path:
    return shared / "fhir" / "packages"


@pytest.fixture(scope="module")
def built(packages: Path) -> dict[str, Any]:
    return build_pack(GUIDE, packages)


def small_package(folder: Path, name: str, depends: dict[str, str], *definitions: dict[str, Any]) -> None:
    package = folder / name / "package"
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"license": "CC0-1.0", "dependencies": depends}), "utf-8")
    for number, definition in enumerate(definitions):
        (package / f"{definition['resourceType']}-{number}.json").write_text(json.dumps(definition), "utf-8")


def value_set(version: str, **compose: Any) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "url": "https://example.dk/v", "version": version, "compose": compose}


def test_nearest_version_wins_and_a_pin_is_honoured(tmp_path: Path) -> None:
    small_package(tmp_path, "guide#1", {"far": "1", "codes": "2"})
    small_package(tmp_path, "far#1", {"codes": "1", "absent": "9"})
    small_package(tmp_path, "codes#1", {}, value_set("1"))
    small_package(tmp_path, "codes#2", {}, value_set("2"))
    closure = read_closure("guide#1", tmp_path)
    assert [p.name for p in closure.packages] == ["guide#1", "far#1", "codes#2", "codes#1"]
    assert closure.missing == ["absent#9"]
    versions = [(closure.find(u) or {}).get("version") for u in ("https://example.dk/v", "https://example.dk/v|1")]
    assert versions == ["2", "1"]
    assert (closure.find("https://example.dk/v|7") or {})["version"] == "2"
    assert closure.find("https://example.dk/w") is None


@pytest.mark.parametrize("guide", ["guide", "../guide#1", "guide#../1", "", "absent#1"])
def test_guides_that_are_none(guide: str, tmp_path: Path) -> None:
    with pytest.raises(ProfileError):
        read_closure(guide, tmp_path)


def test_damaged_package(tmp_path: Path) -> None:
    small_package(tmp_path, "guide#1", {})
    (tmp_path / "guide#1/package/ValueSet-x.json").write_text("{", "utf-8")
    with pytest.raises(ProfileError, match="ValueSet-x"):
        read_closure("guide#1", tmp_path)


def code_system(**facts: Any) -> dict[str, Any]:
    nested = [{"code": "a", "display": "A", "concept": [{"code": "b", "concept": [{"code": "c"}]}]}, {"code": "d"}]
    return {
        "resourceType": "CodeSystem",
        "url": "https://example.dk/s",
        "content": "complete",
        "concept": nested,
        **facts,
    }


@pytest.mark.parametrize(
    ("include", "codes", "unknown"),
    [
        ({}, "abcd", []),
        ({"filter": [{"property": "concept", "op": "is-a", "value": "b"}]}, "bc", []),
        ({"filter": [{"property": "concept", "op": "descendent-of", "value": "a"}]}, "bc", []),
        ({"filter": [{"property": "concept", "op": "is-not-a", "value": "b"}]}, "ad", []),
        ({"filter": [{"property": "code", "op": "regex", "value": "[cd]"}]}, "cd", []),
        ({"filter": [{"property": "concept", "op": "generalizes", "value": "b"}]}, "", ["https://example.dk/s"]),
        ({"concept": [{"code": "d"}, {"code": "z"}]}, "dz", []),
    ],
)
def test_filters(include: dict[str, Any], codes: str, unknown: list[str], tmp_path: Path) -> None:
    wanted = value_set("1", include=[{"system": "https://example.dk/s", **include}])
    small_package(tmp_path, "guide#1", {}, wanted, code_system())
    expansion = expand("https://example.dk/v", read_closure("guide#1", tmp_path))
    assert "".join(sorted(expansion.codes.get("https://example.dk/s", ()))) == codes
    assert sorted(expansion.unknown) == unknown


def test_exclude_supplements_and_absent_systems(tmp_path: Path) -> None:
    include = [{"system": "https://example.dk/s"}, {"system": "http://snomed.info/sct"}]
    exclude = [{"system": "https://example.dk/s", "concept": [{"code": "b"}]}]
    supplement = code_system(content="supplement", url="http://snomed.info/sct")
    small_package(tmp_path, "guide#1", {}, value_set("1", include=include, exclude=exclude), code_system(), supplement)
    expansion = expand("https://example.dk/v", read_closure("guide#1", tmp_path))
    assert "".join(expansion.codes["https://example.dk/s"]) == "acd"
    assert expansion.unknown == {"http://snomed.info/sct"}


def test_expressions_become_trees() -> None:
    tree = parse("iif(a[0].b != 'it''s', true, %resource.c.is(Patient) and d.matches('\\\\d'))".replace("''", "\\'"))
    assert tree[:3] == ["call", None, "iif"]
    assert tree[3] == ["op", "!=", ["member", ["index", ["member", None, "a"], ["number", "0"]], "b"], ["text", "it's"]]
    assert tree[5][2] == ["call", ["member", ["constant", "resource"], "c"], "is", ["member", None, "Patient"]]
    assert tree[5][3] == ["call", ["member", None, "d"], "matches", ["text", "\\d"]]
    assert digest(tree) != digest(parse("true"))
    with pytest.raises(ProfileError):
        parse("a.b(")


@pytest.mark.parametrize("guide", GUIDES)
def test_committed_pack_is_what_the_packages_give(guide: str, root: Path, packages: Path, tmp_path: Path) -> None:
    made = pack_command("medcom.fhir.dk." + guide, packages, tmp_path, preview=PREVIEWS.get(guide, ""))
    committed = (root / "mappings/profiles" / made.name).read_bytes()
    assert gzip.decompress(made.read_bytes()) == gzip.decompress(committed)


def test_rules_of_a_coming_version_are_warnings(built: dict[str, Any], packages: Path) -> None:
    coming = build_pack(GUIDE, packages, preview="5.0.4")
    before = [(r["key"], r["severity"]) for r in built["rules"]]
    after = [(r["key"], r["severity"]) for r in coming["rules"]]
    assert [r for r in after if r not in before] == [
        ("medcom-careCommunication-15@5.0.4", "warning"),
        ("medcom-carecommunication-definition-url@5.0.4", "warning"),
    ]
    assert build_pack(GUIDE, packages, preview="5.0.2") == built


def test_build_is_deterministic(built: dict[str, Any], packages: Path, tmp_path: Path) -> None:
    again = pack_command(GUIDE, packages, tmp_path)
    write_pack(built, tmp_path / "first.json.gz")
    assert again.name == NAME
    assert again.read_bytes() == (tmp_path / "first.json.gz").read_bytes()


def test_published_expansions_are_reached(packages: Path, shared: Path) -> None:
    """The publisher's own expansions agree with ours, but for code systems that are not in the packages."""
    published = json.loads((shared / "fhir/expansions/medcom.fhir.dk.terminology-2.0.1.json").read_text("utf-8"))
    closure = read_closure(GUIDE, packages)
    different = set()
    for entry in published["entry"]:
        wanted = {(c["system"], c["code"]) for c in entry["resource"]["expansion"].get("contains", [])}
        ours = expand(entry["resource"]["url"], closure)
        if wanted != {(s, c) for s, codes in ours.codes.items() for c in codes}:
            different.add(entry["resource"]["url"].rpartition("/")[2])
    assert different == {
        "medcom-messagedefinition-use-context-code-valueset",  # two codes are newer than R4's own code system
        "npu-observation-codes-valueset",  # NPU is not in the packages
    }


@pytest.mark.parametrize(
    "guide",
    ["acknowledgement#2.0.3", "hospitalnotification#3.0.2", "carecommunication#5.0.4", "conditionlist#1.0.1"],
)
def test_other_guides_can_be_packed(guide: str, packages: Path) -> None:
    pack = Pack(build_pack("medcom.fhir.dk." + guide, packages))
    assert len(pack.bundle_profiles()) == 1


def test_pack_holds_facts_and_no_prose(root: Path) -> None:
    """Displays are the only texts for people: no definition, comment or requirement comes along."""
    pack = read_pack(root / "mappings/profiles" / NAME)
    fields = {name for p in pack["profiles"].values() for e in p["elements"] for name in e}
    assert fields <= {
        *("id", "min", "max", "list", "types", "fixed", "pattern", "length", "slicing", "slice", "binding"),
        *("advice", "minValue", "maxValue"),
        *("content", "rules", "narrative"),
    }
    assert {name for p in pack["profiles"].values() for name in p} <= {
        *("name", "type", "kind", "base", "abstract", "own", "context", "modifier", "elements")
    }
    assert {name for r in pack["rules"] for name in r} == {"key", "severity", "tree", "digest"}
    assert all(s["licence"] == "CC0-1.0" for s in pack["sources"])


def test_pack_is_small(root: Path) -> None:
    content = gzip.decompress((root / "mappings/profiles" / NAME).read_bytes())
    assert len(content) < 1_500_000


def test_obligations_for_the_narrative_are_facts(root: Path) -> None:
    pack = read_pack(root / "mappings/profiles" / NAME)
    shown = {p["name"]: [e["id"] for e in p["elements"] if e.get("narrative")] for p in pack["profiles"].values()}
    assert "Communication.topic.text" in shown["medcom-careCommunication-communication"]
    assert len(shown["medcom-careCommunication-communication"]) >= 20


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"pack": 99}', gzip.compress(b"{}", mtime=0)[:-4]])
def test_damaged_packs_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / ("x.json.gz" if content[:2] == b"\x1f\x8b" else "x.json")
    path.write_bytes(content)
    with pytest.raises(ProfileError):
        Pack.load(path)


def test_list_of_packs(root: Path, tmp_path: Path) -> None:
    (row,) = (r for r in list_packs(root / "mappings/profiles") if r["file"] == NAME)
    assert row["guide"] == GUIDE
    assert row["bundles"] == [
        "http://medcomfhir.dk/ig/carecommunication/StructureDefinition/medcom-careCommunication-message|5.0.2"
    ]
    assert {"medcom.fhir.dk.core#3.0.1", "hl7.fhir.dk.core#3.4.0"} <= set(row["sources"])
    (tmp_path / "broken.json").write_bytes(b"{")
    (broken,) = list_packs(tmp_path)
    assert broken["file"] == "broken.json"
    assert broken["error"]


def test_profile_versions(root: Path) -> None:
    pack = Pack.load(root / "mappings/profiles" / NAME)
    url = "http://medcomfhir.dk/ig/core/StructureDefinition/medcom-core-patient"
    known, pinned = pack.profile(url), pack.profile(url + "|3.0.1")
    assert known == pinned
    assert known
    assert (known.url, known.version) == (url, "3.0.1")
    assert pack.profile(url + "|2.4.0") is None
    assert pack.profile("https://example.dk/x") is None


def test_every_profile_of_the_pack_compiles(root: Path) -> None:
    pack = Pack.load(root / "mappings/profiles" / NAME)
    for key, facts in orjson.loads(gzip.decompress((root / "mappings/profiles" / NAME).read_bytes()))[
        "profiles"
    ].items():
        profile = pack.profile(key)
        assert profile
        assert "def check_" in profile.source
        if facts["kind"] == "resource" and not facts.get("abstract"):
            log = IssueLog()
            profile.validate({"resourceType": facts["type"], "id": "a"}, log)
            assert not any(i.code.startswith("SYS") for i in log)
