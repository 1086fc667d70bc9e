"""The campaign of campaign.py: every mutant is found where it is at fault, the originals are clean, breaking shows."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from converter.fhir.compiler import Compiler
from converter.fhir.profiles import Pack
from converter.fhir.quick import Quick
from converter.fhir.run import Run
from converter.issues import IssueKind
from tests.fhir.campaign import (
    IN_OBJECTS,
    IN_TEXTS,
    OF_BUNDLES,
    PACKS,
    Original,
    campaign,
    errors,
    invented,
    official,
    original_of,
)

SEED = 20_260
# What each code stands for is in the rule kinds; for all of these there are mutants that only they report.
SWITCHES = {
    "PRO020": {"no list", "retyped"},
    "PRO021": {"extra"},
    "PRO022": {"empty"},
    "PRO023": {"required"},
    "PRO024": {"max"},
    "PRO025": {"prohibited"},
    "PRO026": {"malformed"},
    "PRO027": {"fixed"},
    "PRO028": {"pattern"},
    "PRO029": {"code", "system"},
    "PRO030": {"no code"},
    "PRO031": {"display"},
    "PRO032": {"reference"},
    "PRO034": {"target"},
    "PRO036": {"unknown extension", "unknown modifierExtension"},
    "PRO037": {"misplaced extension"},
    "PRO039": {"slice"},
    "PRO040": {"slice max"},
    "PRO041": {"closed"},
    "PRO042": {"invariant"},
    "PRO043": {"narrative"},
    "PRO044": {"narrative"},
    "PRO045": {"narrative"},
    "PRO046": {"choice"},
    "PRO047": {"fullUrl"},
    "PRO048": {"fullUrl"},
    "PRO049": {"resource"},
    "PRO057": {"unknown code"},
}


@pytest.fixture(scope="module")
def own() -> Original:
    return invented()


def broken_pack(own: Original) -> Original:
    """The same message, judged by a pack that is compiled anew."""
    return Original(own.name, own.text, Pack(own.facts.pack).profile(own.profile.url), own.facts)  # type: ignore[arg-type]


def test_mutants_of_the_invented_message(own: Original) -> None:
    assert errors(own, json.loads(own.text)) == []
    outcome = campaign([own], 500, SEED)
    assert outcome.missed == []
    assert outcome.counts.total() == 500
    assert {k for kinds in SWITCHES.values() for k in kinds} | {"several"} == set(outcome.counts)
    assert min(outcome.counts.values()) >= 10


def test_mutants_of_official_examples(own: Original, shared: Path) -> None:
    originals = official(shared / "fhir/examples")
    some = random.Random(SEED).sample(originals, 4)
    outcome = campaign(some, 500, SEED)
    assert outcome.missed == []
    assert outcome.counts.total() == 500


@pytest.mark.long
def test_five_thousand_mutants_of_official_examples(own: Original, shared: Path) -> None:
    originals = [own, *official(shared / "fhir/examples")]
    assert len(originals) > 70
    assert [o.name for o in originals if errors(o, json.loads(o.text))] == []
    outcome = campaign(originals, 5000, SEED)
    assert outcome.missed == []
    assert outcome.counts.total() == 5000
    keys = {m.key for o in originals for m in o.mutants["invariant"]}
    # Recipes that no example can show would test nothing.
    assert {*IN_OBJECTS, *IN_TEXTS, *OF_BUNDLES} == keys


@pytest.mark.parametrize("code", SWITCHES)
def test_negative_control_a_rule_kind_that_is_switched_off(
    code: str, own: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Run.add

    def deaf(self: Run, kind: IssueKind, *rest: Any, **more: Any) -> None:
        if kind.code != code:
            add(self, kind, *rest, **more)

    assert campaign([own], 60, SEED, only=SWITCHES[code]).missed == []
    monkeypatch.setattr(Run, "add", deaf)
    assert campaign([own], 60, SEED, only=SWITCHES[code]).missed


def test_negative_control_a_short_way_that_always_says_yes(own: Original, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Quick, "_write", lambda self, node: self.source("return True"))
    # The kinds that Bundle's own entries show before any profile takes part are not asked.
    kinds = {k for kinds in SWITCHES.values() for k in kinds} - {"fullUrl", "resource"}
    assert len(campaign([broken_pack(own)], 100, SEED, only=kinds).missed) == 100


def test_negative_control_a_finding_without_its_place(own: Original, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Run.add
    monkeypatch.setattr(Run, "add", lambda self, kind, at, *rest, **more: add(self, kind, at + "/x", *rest, **more))
    assert len(campaign([own], 100, SEED).missed) == 100


def test_negative_control_lists_whose_items_are_not_judged(own: Original, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compiler, "_items", lambda self, node, parent: self.source("pass"))
    assert len(campaign([broken_pack(own)], 100, SEED, only={"required", "extra", "narrative"}).missed) > 20


def test_negative_control_slices_that_are_never_recognised(own: Original, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compiler, "_matcher", lambda self, node: None)
    assert campaign([broken_pack(own)], 100, SEED, only={"slice", "slice max", "closed"}).missed


def test_a_message_of_another_guide_is_broken_by_the_facts_of_its_own_pack(own: Original) -> None:
    """The campaign asks no code which rules there are: the kinds come from the pack."""
    older = original_of(own.name, json.loads(own.text), PACKS / "medcom.fhir.dk.carecommunication-4.0.3.json.gz")
    assert older.facts.pack["guide"] != own.facts.pack["guide"]
    assert {m.element for m in older.mutants["required"]} != set()
    assert older.profile.version == "4.0.3"
