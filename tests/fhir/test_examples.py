"""Every official example against what HL7's official validator said of it: the verdict, and each leaf error.

`expected.json` beside the examples holds the official verdicts. When two errors are the same, and which are echoes of
one fault, is said in tests/oracle/comparison.py. Every difference is listed in example_differences.yaml, with its
reason; the list is exact.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from converter.fhir.packs import build_pack
from converter.fhir.profiles import Pack, Profile
from converter.issues import IssueLog, Severity
from tests.oracle.comparison import NOT_FROM_PROFILES, Case, Keys, Leaf, near, place_of

HERE = Path(__file__).parent
PACKS = HERE.parents[1] / "mappings" / "profiles"
CARE_4, CARE_5 = "medcom.fhir.dk.carecommunication#4.0.3", "medcom.fhir.dk.carecommunication#5.0.2"
# Folder, guide whose pack judges it, number of files.
FOLDERS = [
    ("acknowledgement-2.0.3", "medcom.fhir.dk.acknowledgement#2.0.3", 4),
    ("carecommunication-4.0.3", CARE_4, 8),
    ("carecommunication-5.0.2", CARE_5, 8),
    ("carecommunication-testscripts-CareCommunication_Ex_send", CARE_4, 12),
    ("carecommunicationtestscripts-4.0.1", CARE_4, 39),
    ("conditionlist-1.0.1", "medcom.fhir.dk.conditionlist#1.0.1", 7),
    ("hospitalnotification-3.0.2", "medcom.fhir.dk.hospitalnotification#3.0.2", 12),
    ("messaging-4.0.2", "medcom.fhir.dk.messaging#4.0.2", 1),
    ("mutants", CARE_5, 40),
]
LISTED: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "example_differences.yaml").read_text("utf-8")) or {}
MOST = 0.02  # of all files


@cache
def pack_of(guide: str, packages: Path) -> Pack:
    """The pack in the repository, else one built for the test."""
    path = PACKS / (guide.replace("#", "-") + ".json.gz")
    return Pack.load(path) if path.is_file() else Pack(build_pack(guide, packages))


def profile_of(pack: Pack, bundle: dict[str, Any]) -> Profile:
    """The profile that the Bundle claims, else the guide's message."""
    claims = bundle.get("meta", {}).get("profile", [])
    found = next((p for url in [*claims, *pack.bundle_profiles()] if (p := pack.profile(url.partition("|")[0]))), None)
    assert found
    return found


def mine(pack: Pack, bundle: dict[str, Any]) -> list[Leaf]:
    """Our errors, each once."""
    log = IssueLog()
    profile_of(pack, bundle).validate(bundle, log)
    found = {(i.target, f"{i.code} {i.rule}"): i.message for i in log if i.severity is Severity.ERROR}
    return [Leaf(place, what, text) for (place, what), text in found.items()]


def theirs(verdict: dict[str, Any]) -> list[Leaf]:
    """The official errors that profiles and FHIR's own rules state, each once."""
    found = {
        (place_of(place, message), key or message or "")
        for place, message, key in verdict["errors"]
        if not NOT_FROM_PROFILES.search(message or "")
    }
    return [Leaf(place, what) for place, what in sorted(found)]


def differences(folder: Path, pack: Pack) -> Iterator[tuple[str, dict[str, Any]]]:
    """File and how our judgement of it differs; nothing if it does not."""
    keys = Keys.of(pack.rules)
    for name, verdict in sorted(json.loads((folder / "expected.json").read_text("utf-8")).items()):
        bundle = json.loads((folder / name).read_text("utf-8"))
        own, official = mine(pack, bundle), theirs(verdict)
        case = Case(bundle, official, own, keys)
        found: dict[str, Any] = {}
        if bool(own) != bool(verdict["errors"]):
            found["verdict"] = "error" if own else "none"
        # What the comparison sets aside as an echo on their side still confirms an error of ours.
        alarms = [m for m in case.alarms() if not any(near(m.place, t.place) for t in official)]
        for side, leaves in (("missed", case.missed()), ("alarms", alarms)):
            if leaves:
                found[side] = sorted(f"{leaf.place or '/'} {leaf.what}" for leaf in leaves)
        yield name, found


@pytest.mark.parametrize(("folder", "guide", "files"), FOLDERS, ids=[f for f, _, _ in FOLDERS])
def test_verdict_and_leaf_errors(folder: str, guide: str, files: int, shared: Path) -> None:
    found = dict(differences(shared / "fhir/examples" / folder, pack_of(guide, shared / "fhir/packages")))
    assert len(found) == files
    listed = {k.partition("/")[2]: v for k, v in LISTED.items() if k.startswith(folder + "/")}
    assert all(entry["because"].strip() for entry in listed.values())
    without_reason = {n: {k: v for k, v in entry.items() if k != "because"} for n, entry in listed.items()}
    assert {name: f for name, f in found.items() if f} == without_reason


def test_at_most_two_files_of_a_hundred_differ_in_verdict(shared: Path) -> None:
    verdicts = list((shared / "fhir/examples").glob("*/expected.json"))
    assert {p.parent.name for p in verdicts} == {f for f, _, _ in FOLDERS}
    every = [f"{p.parent.name}/{name}" for p in verdicts for name in json.loads(p.read_text("utf-8"))]
    assert LISTED.keys() <= set(every)
    assert len(LISTED) <= MOST * len(every)


def test_negative_control_a_validator_that_says_nothing_differs(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Profile, "validate", lambda *_, **__: None)
    folder = shared / "fhir/examples/mutants"
    found = [f for _, f in differences(folder, pack_of(CARE_5, shared / "fhir/packages")) if f]
    assert len(found) >= 30
    assert all(f["verdict"] == "none" for f in found)
