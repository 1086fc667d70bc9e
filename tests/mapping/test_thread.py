"""Bundles written in FHIR: long texts are spread and never cut, marks of other letters are not believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from converter.directory import Directory
from converter.engine import Engine, Outcome
from converter.freetext import components, wire_segments
from converter.issues import IssueLog

ENGINE = Engine(validate=False)


@pytest.fixture
def bundle(root: Path) -> dict[str, Any]:
    """A Bundle as somebody else would write it: without the mark of a letter."""
    made: dict[str, Any] = json.loads((root / "fixtures/letters/DIS91/plain/bundle.json").read_text())
    del made["identifier"]
    return made


def resource(bundle: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind)
    return found


def converted(bundle: dict[str, Any], to: str = "oioxml") -> Outcome:
    (outcome,) = ENGINE.convert(json.dumps(bundle).encode(), to=to, name="bundle.json")
    return outcome


def pieces(outcome: Outcome) -> list[str]:
    assert outcome.letter is not None
    count = outcome.letter.counts["ClinicalInformation"]
    return [outcome.letter.text(f"ClinicalInformation[{n}].Text01") or "" for n in range(1, count + 1)]


def codes(outcome: Outcome) -> list[str]:
    return [issue.code for issue in outcome.issues]


def long_text(lines: int) -> str:
    return "\n".join(f"Linje {n}: den samme sætning om intet, gentaget for længdens skyld." for n in range(lines))


@pytest.mark.parametrize("lines", [10, 44, 45, 46, 200, 400])
def test_long_text_is_spread_so_that_edifact_can_hold_it(bundle: dict[str, Any], lines: int) -> None:
    text = long_text(lines)
    resource(bundle, "Communication")["payload"][0]["contentString"] = text
    outcome = converted(bundle, "edifact")
    assert outcome.output is not None
    parts = pieces(outcome)
    assert "".join(parts).startswith(text)
    assert len(parts) <= 10
    for number, part in enumerate(parts):
        assert wire_segments(part.rstrip("\n").split("\n")) <= 9 - (not number)
    (again,) = ENGINE.convert(outcome.output, to="oioxml")
    assert pieces(again) == parts


def test_text_beyond_ten_pieces_stays_whole_in_the_tenth(bundle: dict[str, Any]) -> None:
    text = long_text(1000)
    resource(bundle, "Communication")["payload"][0]["contentString"] = text
    outcome = converted(bundle)
    assert outcome.output is not None
    parts = pieces(outcome)
    assert len(parts) == 10
    assert "".join(parts).startswith(text)
    assert any("F91-17" in issue.message for issue in outcome.issues)
    refused = converted(bundle, "edifact")
    assert refused.output is None
    assert any(issue.severity == "error" for issue in refused.issues)


@pytest.mark.parametrize("text", ["ord " * 1500 + "slut", "x" * 7000])
def test_one_endless_line_is_spread_too(bundle: dict[str, Any], text: str) -> None:
    """Only a line break comes in where a piece ends."""
    resource(bundle, "Communication")["payload"][0]["contentString"] = text
    outcome = converted(bundle, "edifact")
    assert outcome.output is not None
    parts = pieces(outcome)
    assert len(parts) > 1
    assert "".join(part.removesuffix("\n") for part in parts).startswith(text)


def test_the_mark_of_another_letter_is_not_believed(root: Path) -> None:
    bundle = json.loads((root / "fixtures/letters/DIS91/plain/bundle.json").read_text())
    bundle["identifier"]["value"] = bundle["identifier"]["value"].replace("#", "#X", 2)
    outcome = converted(bundle)
    assert "MAP004" in codes(outcome)
    assert outcome.letter is not None
    assert str(outcome.letter.values["AdditionalInformation.Subject"]).startswith("Andet, "), "taken as born in FHIR"


def test_a_bundle_without_communication_is_refused(bundle: dict[str, Any]) -> None:
    bundle["entry"] = [e for e in bundle["entry"] if e["resource"]["resourceType"] != "Communication"]
    outcome = converted(bundle)
    assert outcome.output is None
    assert "MAP005" in codes(outcome)


def test_a_provenance_that_names_no_text_is_told(bundle: dict[str, Any]) -> None:
    resource(bundle, "Provenance")["entity"][0]["what"]["identifier"]["value"] = "urn:uuid:other"
    outcome = converted(bundle)
    assert "MAP010" in codes(outcome)
    assert outcome.output is not None


def test_a_profile_without_mapping_and_a_target_that_is_there_already(bundle: dict[str, Any]) -> None:
    assert "MAP007" in codes(converted(bundle, "fhir"))
    bundle["meta"]["profile"] = ["http://example.org/other"]
    assert "MAP006" in codes(converted(bundle))


def test_a_letter_without_its_key_is_refused(root: Path) -> None:
    data = (root / "fixtures/letters/DIS91/plain/message.xml").read_bytes()
    start, end = data.index(b"<Letter><Identifier>"), data.index(b"</Identifier>", data.index(b"<Letter>"))
    (outcome,) = ENGINE.convert(data[: start + 20] + data[end:], to="fhir")
    assert outcome.output is None
    assert "MAP003" in codes(outcome)


def test_addresses_of_a_bundle_written_in_fhir(bundle: dict[str, Any], tmp_path: Path) -> None:
    """First the table, then the Bundle's own numbers, then the SOR id, then the location number, with a warning."""
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Organization":
            entry["resource"]["identifier"] = entry["resource"]["identifier"][:1]
    outcome = converted(bundle)
    assert outcome.letter is not None
    assert outcome.letter.values["Receiver.IdentifierCode"] == "lokationsnummer"
    assert codes(outcome).count("DIR052") == 2
    table = tmp_path / "sor.csv"
    gln = outcome.letter.values["Receiver.EANIdentifier"]
    table.write_text(f"gln,sor,id,id_kind\n{gln},,099901,ydernummer\n")
    engine = Engine(validate=False, directory=Directory.load(table, IssueLog()))
    (found,) = engine.convert(json.dumps(bundle).encode(), to="oioxml")
    assert found.letter is not None
    assert found.letter.values["Receiver.Identifier"] == "099901"
    assert found.letter.values["Receiver.IdentifierCode"] == "ydernummer"


def test_components_of_a_line() -> None:
    assert components("") == ["."]
    assert components("x" * 69) == ["x" * 69]
    assert components("x" * 70) == ["x" * 69 + "\\", "x"]
    line = "ord " * 40
    assert "".join(c.removesuffix("\\") for c in components(line)) == line
    assert max(map(len, components(line))) <= 70
