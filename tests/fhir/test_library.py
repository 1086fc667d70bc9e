"""Which pack judges a message, and that packs are small, quick to read, and read only when they are needed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from converter.engine import Engine
from converter.fhir.library import Library, nearest
from converter.fhir.packs import head_of, read_head, read_pack, write_pack
from converter.fhir.profiles import Pack
from converter.issues import Severity

IG = "http://medcomfhir.dk/ig"
CARE = f"{IG}/carecommunication/StructureDefinition/medcom-careCommunication-message"
ACKNOWLEDGEMENT = f"{IG}/acknowledgement/StructureDefinition/medcom-messaging-acknowledgement"
NOTIFICATION = f"{IG}/hospitalnotification/StructureDefinition/medcom-hospitalNotification-message"
CONDITIONS = f"{IG}/conditionlist/StructureDefinition/medcom-conditionlist-bundle"
REFERRAL = "https://medcom-fhir.org/fhir/StructureDefinition/referral-message"
GENERIC = f"{IG}/messaging/StructureDefinition/medcom-messaging-message"
EVENTS = f"{IG}/terminology/CodeSystem/medcom-messaging-eventCodes"
OUR_EVENTS = "https://medcom-fhir.org/fhir/CodeSystem/legacy-message-events"
DEFINITION = f"{IG}/messagedefinitions/MessageDefinition/MedComCareCommunicationMessageDefinition"


@pytest.fixture
def library(root: Path) -> Library:
    return Library(root / "mappings/profiles")


def bundle(*profiles: str, event: str = "", system: str = EVENTS, definition: str = "") -> dict[str, Any]:
    header = {
        "resourceType": "MessageHeader",
        "eventCoding": {"system": system, "code": event},
        "definition": definition,
    }
    return {"resourceType": "Bundle", "meta": {"profile": list(profiles)}, "entry": [{"resource": header}]}


CHOICES = [
    (bundle(CARE), f"{CARE}|5.0.2"),
    (bundle(CARE + "|4.0.3"), f"{CARE}|4.0.3"),
    (bundle(CARE + "|4.1"), f"{CARE}|4.0.3"),
    (bundle(CARE + "|5.0.1"), f"{CARE}|5.0.2"),
    (bundle(CARE + "|3.0.0"), None),
    (bundle(CARE + "|3.0.0", CARE + "|4.0.0"), f"{CARE}|4.0.3"),
    (bundle(CARE, definition=DEFINITION + "|4.0"), f"{CARE}|4.0.3"),
    (bundle(CARE, definition=DEFINITION + "|6.0"), f"{CARE}|5.0.2"),
    (bundle(CARE, definition="|"), f"{CARE}|5.0.2"),
    (bundle(event="care-communication-message"), f"{CARE}|5.0.2"),
    (bundle(event="care-communication-message", definition=DEFINITION + "|4.0"), f"{CARE}|4.0.3"),
    (bundle(event="hospital-notification-message"), f"{NOTIFICATION}|3.0.2"),
    (bundle(event="acknowledgement-message"), f"{ACKNOWLEDGEMENT}|2.0.3"),
    (bundle(event="referral-message", system=OUR_EVENTS), f"{REFERRAL}|0.1.0"),
    (bundle(event="referral-message"), None),
    (bundle(ACKNOWLEDGEMENT, event="care-communication-message"), f"{ACKNOWLEDGEMENT}|2.0.3"),
    (bundle(CONDITIONS), f"{CONDITIONS}|1.0.1"),
    (bundle("https://example.dk/x"), None),
    (bundle(GENERIC + "|2.2.2"), f"{GENERIC}|2.2.2"),
    (bundle(GENERIC), f"{GENERIC}|4.0.2"),
    (bundle(GENERIC, event="hospital-notification-message"), f"{GENERIC}|2.1.0"),
    (bundle(REFERRAL.replace("message", "service-request")), REFERRAL.replace("message", "service-request") + "|0.1.0"),
    ({}, None),
    ({"meta": [], "entry": [[]]}, None),
    ({"meta": {"profile": [1]}, "entry": [{"resource": {"eventCoding": []}}]}, None),
]


@pytest.mark.parametrize(("message", "key"), CHOICES)
def test_choice(message: dict[str, Any], key: str | None, library: Library) -> None:
    chosen = library.choose(message)
    assert (chosen.key if chosen else None) == key


def test_each_guide_has_its_own_closure(library: Library) -> None:
    versions = {
        pack.guide.removeprefix("medcom.fhir.dk."): [
            (pack.exact(f"{base}-core-organization") or "").rpartition("|")[2]
            for base in ("http://hl7.dk/fhir/core/StructureDefinition/dk", f"{IG}/core/StructureDefinition/medcom")
        ]
        for pack in library
    }
    assert versions == {
        "medcom-fhir.draft#0.1.0": ["3.4.0", "3.0.1"],
        "carecommunication#5.0.2": ["3.4.0", "3.0.1"],
        "carecommunication#4.0.3": ["3.2.0", "2.4.0"],
        "conditionlist#1.0.1": ["3.2.0", "2.4.0"],
        "hospitalnotification#3.0.2": ["2.0.0", "2.0.0"],
        "acknowledgement#2.0.3": ["2.0.0", "2.0.1"],
    }


def test_only_the_pack_that_is_needed_is_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    load = Pack.load

    def noting(path: Path) -> Pack:
        read.append(path.name)
        return load(path)

    monkeypatch.setattr(Pack, "load", noting)
    library = Library(root / "mappings/profiles")
    for _ in range(2):
        assert library.choose(bundle(REFERRAL))
    assert read == ["medcom-fhir.draft-0.1.0.json.gz"]
    assert len(list(library)) == 6


def test_packs_are_small_and_quick_to_read(root: Path) -> None:
    for path in sorted((root / "mappings/profiles").glob("*.json.gz")):
        assert path.stat().st_size < 100_000, path.name
        spent = []
        for _ in range(3):
            start = time.process_time()
            Pack.load(path)
            spent.append(time.process_time() - start)
        assert min(spent) < 0.1, path.name


def test_head_is_the_same_with_and_without_the_pack(root: Path, tmp_path: Path) -> None:
    (source, *_) = sorted((root / "mappings/profiles").glob("*.json.gz"))
    pack = read_pack(source)
    assert read_head(source) == head_of(pack)
    for name in ("pack.json", "pack.json.gz"):
        write_pack(pack, tmp_path / name)
        assert read_head(tmp_path / name) == head_of(pack)
        assert read_pack(tmp_path / name) == pack
    (tmp_path / "older.json").write_text(json.dumps(pack), "utf-8")
    assert read_head(tmp_path / "older.json") == head_of(pack)


@pytest.mark.parametrize(
    ("version", "known", "major", "expected"),
    [
        ("", ["4.0.3", "5.0.2", "5.0.10"], None, "5.0.10"),
        ("", ["4.0.3", "5.0.2"], 4, "4.0.3"),
        ("", ["4.0.3", "5.0.2"], 7, "5.0.2"),
        ("5", ["4.0.3", "5.0.2"], 4, "5.0.2"),
        ("6.0", ["4.0.3", "5.0.2"], None, ""),
        ("x", ["4.0.3"], None, ""),
        ("", [], None, ""),
    ],
)
def test_nearest_version(version: str, known: list[str], major: int | None, expected: str) -> None:
    assert nearest(version, known, major) == expected


@pytest.mark.parametrize("guide", ["carecommunication#4.0.3", "carecommunication#5.0.2", "conditionlist#1.0.1"])
def test_official_examples_choose_their_guide(guide: str, library: Library, shared: Path) -> None:
    files = [p for p in (shared / "fhir/examples" / guide.replace("#", "-")).glob("*.json") if p.stem != "expected"]
    chosen = [library.choose(json.loads(path.read_text("utf-8"))) for path in files]
    assert {c.pack.guide if c else None for c in chosen} == {"medcom.fhir.dk." + guide}


def test_documents_are_validated_as_messages_are(root: Path, shared: Path) -> None:
    engine = Engine(root / "mappings")
    (path, *_) = sorted((shared / "fhir/examples/conditionlist-1.0.1").glob("Bundle-*.json"))
    (outcome,) = engine.validate(path.read_bytes(), name=path.name)
    assert [i.code for i in outcome.issues if i.severity is Severity.ERROR or i.code == "NCK020"] == []
    (outcome,) = engine.convert(path.read_bytes(), name=path.name)
    assert [i.code for i in outcome.issues] == ["PRO019"]
