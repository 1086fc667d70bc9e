"""`medcom-fhir cover`: what examples exercise, found with probes in the generated code, which changes no result."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from converter.engine import Engine
from converter.rehearsal.watching import Watch, watched
from tests.cases import letter_cases
from tests.rehearsal.folders import MAPPING, ROOT, copied, edit, run


def items(folder: Path, *more: str | Path) -> dict[tuple[str, str], bool]:
    rows: list[dict[str, Any]] = json.loads(run("cover", folder, "--format", "json", *more).stdout)["items"]
    return {(row["kind"], row["name"]): row["covered"] for row in rows}


def test_probes_change_no_result(engine: Engine) -> None:
    probed = Engine(directory=engine.directory, validate=False)
    plain = Engine(directory=engine.directory, validate=False)
    watch = Watch()
    probed.mappings = watched(engine.mappings, watch)
    for case in letter_cases()[::10]:
        data = case.messages[0].read_bytes()
        for was, now in zip(plain.convert(data), probed.convert(data), strict=True):
            assert was.output == now.output
            assert was.ledger == now.ledger
            if was.output is not None:
                (back,), (again,) = plain.convert(was.output), probed.convert(was.output)
                assert (back.output, back.ledger) == (again.output, again.ledger)
    assert len(watch.fired) > 300


def test_more_cases_cover_more(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("plain",))
    few = items(folder)
    corpus = ROOT / "fixtures/letters/DIS91"
    many = items(folder, "--corpus", corpus, "--sor", ROOT / "fixtures/organisations.csv")
    assert few.keys() == many.keys()
    assert {name for name, covered in few.items() if covered} < {name for name, covered in many.items() if covered}
    deceased = ("rules", "patient.deceased (forth)")
    assert (few[deceased], many[deceased]) == (False, True)
    assert not few["guards", "patient.deceased (forth): the guard holds"]
    assert few["guards", "patient.deceased (forth): the guard does not hold"]
    assert many["guards", "patient.deceased (forth): the guard holds"]
    assert (few["rows", "episode-status: indlagt"], many["rows", "episode-status: indlagt"]) == (False, True)
    assert many["fields", "DIS91 Patient.OccupancyText"]
    # Constants, references and lists have no code of their own.
    for name in ("communication.status", "communication.subject", "communication.text", "provenance.entities"):
        assert few["rules", f"{name} (forth)"], name
    assert few["rules", "communication.files (forth)"] is False


def test_a_rule_that_cannot_fire_is_not_covered(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    name = ("rules", "communication.topic (forth)")
    assert items(folder)[name]
    edit(
        folder / f"fhir/{MAPPING}.yaml",
        "default: Ukendt emne",
        'when: Letter.TypeCode == "never", default: Ukendt emne',
    )
    found = items(folder)
    assert found[name] is False
    assert found["guards", "communication.topic (forth): the guard holds"] is False


def test_a_rule_that_only_gives_a_reason_fires_where_the_reason_stands(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("minimal",))
    edit(
        folder / f"fhir/{MAPPING}.yaml",
        "    rules:\n      status:\n        map: episode-status",
        "    rules:\n      start: {to: period.start, absent: HN-03}\n      status:\n        map: episode-status",
    )
    few, many = items(folder), items(folder, "--corpus", ROOT / "fixtures/letters/DIS91/outpatient")
    assert few["rules", "encounter.start (forth)"] is False, "a letter without an episode has no Encounter"
    assert many["rules", "encounter.start (forth)"] is True
    assert ("rules", "encounter.start (back)") not in many, "the letter has no field for it"
    assert ("rules", "communication.topic (back)") in many


def test_fail_under_and_page(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("plain",))
    assert run("cover", folder, "--fail-under", "10").exit_code == 0
    assert run("cover", folder, "--fail-under", "100").exit_code == 1
    assert run("cover", folder, "--fail-under-rows", "99").exit_code == 1
    page = tmp_path / "coverage.html"
    shown = run("cover", folder, "-o", page)
    assert "LNT520 warning no example exercises the rule patient.deceased (forth)" in shown.stdout
    html = page.read_text(encoding="utf-8")
    assert "patient.deceased (forth)" in html
    assert "communication.status (forth)" not in html
    assert "<meter" in html
    assert run("cover", folder, "-o", page).exit_code == 2


def test_our_examples_cover_all_rules_and_rows(root: Path) -> None:
    shown = run("cover", root / "mappings", "--fail-under", "100", "--fail-under-rows", "95")
    assert shown.exit_code == 0, shown.stdout
    shares = {kind: int(share) for kind, share in re.findall(r"(\w+) \d+/\d+ \((\d+)\.", shown.stdout)}
    assert shares["rules"] == shares["guards"] == shares["fields"] == 100
