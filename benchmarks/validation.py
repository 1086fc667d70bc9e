"""Rows for one CareCommunication of about 9 kB, judged by its profiles with all invariants, and for its growth."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from benchmarks import invariants, templates
from benchmarks.rows import Result, Row
from converter.fhir.profiles import Profile
from converter.issues import IssueLog
from tests.fhir.campaign import Original, campaign, errors, invented

Bundle = dict[str, Any]
OURS = "CareCommunication of 9 kB by its profiles, invariants too"
MODEL = "fhir.resources: CareCommunication of 9 kB → model"
RATE = 3_000
AIM = 2.0
# HL7's official validator, warm: 42 to 46 ms for such a Bundle. Measured once on a machine of this kind with the driver
# of tests/oracle, offline and with the same packages; `make oracle` prints its time and ours on the machine at hand.
OFFICIAL_MS = 42.0
OFFICIAL_AIM = 100
SIZES = (10, 100, 1_000, 10_000)
MUTANTS = 290


def rows(messages: int) -> Iterator[Row]:
    """The Bundle beside the structural check of fhir.resources, and Bundles of 10 to 10,000 entries, an entry each."""
    original = invented()
    bundles = [enlarged(original) for _ in range(messages)]
    judged = partial(judge, original.profile, bundles)
    gate = partial(_gate, original, bundles[0])
    yield Row("validate", OURS, judged, messages, anchor=MODEL, gate=gate, target=AIM, target_rate=RATE)
    yield Row("validate", MODEL, lambda: [templates.to_model(b) for b in bundles], messages, peer=True, gate=_rejects)
    yield from invariants.rows(messages)
    for size in SIZES:
        run = partial(judge, original.profile, [grown(original, size)])
        yield Row("growth", f"an entry of a Bundle of {size:,} entries", run, size, gate=gate)


def judge(profile: Profile, bundles: Iterable[Bundle]) -> int:
    """Judge one Bundle after the other; returns how many findings there are."""
    log = IssueLog()
    for bundle in bundles:
        profile.validate(bundle, log)
    return len(log)


def enlarged(original: Original) -> Bundle:
    """The invented message with a longer text, so that it has about 9 kB."""
    bundle: Bundle = json.loads(original.text)
    bundle["entry"][1]["resource"]["payload"][0]["contentString"] += " The wound is dry and heals well." * 22
    return bundle


def grown(original: Original, entries: int) -> Bundle:
    """The invented message with as many more Organizations as make it that many entries."""
    bundle: Bundle = json.loads(original.text)
    for number in range(entries - len(bundle["entry"])):
        entry = copy.deepcopy(bundle["entry"][4])
        entry["resource"]["id"] = f"{number:08d}-0000-4000-9000-000000000000"
        entry["fullUrl"] = f"https://example.dk/Organization/{entry['resource']['id']}"
        bundle["entry"].append(entry)
    return bundle


def _gate(original: Original, bundle: Bundle) -> str:
    """A validator whose verdicts on the Bundle or on its mutants are wrong gets no time."""
    if errors(original, bundle):
        return "the sound Bundle has errors"
    if not 8_500 < len(json.dumps(bundle)) < 9_500:
        return "the Bundle is not of about 9 kB"
    missed = campaign([original], MUTANTS, seed=1).missed
    return f"{len(missed)} of {MUTANTS} mutants are not found: {missed[0]}" if missed else ""


def _rejects() -> str:
    """The structural check, which knows no profiles, is asked for what it promises: no unknown properties."""
    bundle = json.loads(invented().text)
    bundle["entry"][2]["resource"]["odd"] = 1
    try:
        templates.to_model(bundle)
    except ValueError:
        return ""
    return "an unknown property is not found"


def beside_official(results: Iterable[Result]) -> str:
    """How many times our time the warm time of the official validator is; empty if the row was not run."""
    ours = next((r for r in results if r.row.name == OURS), None)
    if ours is None:
        return ""
    factor = OFFICIAL_MS * 1000 / ours.median
    return (
        f"official validator, warm, {OFFICIAL_MS:g} ms a Bundle (stated): {factor:.0f}x our time (aim {OFFICIAL_AIM}x)"
    )
