"""Notifications of admission and discharge, and HospitalNotification: MedCom's codes, and what either side refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from converter.cli import program
from converter.directory import Directory
from converter.engine import Engine, Outcome
from converter.issues import IssueLog
from tests.cases import FIXTURES, only

DIRECTORY = Directory.load(FIXTURES / "organisations.csv", IssueLog())
ENGINE = Engine(directory=DIRECTORY)


def case(kind: str, name: str, change: Callable[[bytes], bytes] = bytes, **settings: Any) -> Outcome:
    engine = Engine(directory=DIRECTORY, **settings) if settings else ENGINE
    return only(engine.convert(change((FIXTURES / "letters" / kind / name / "message.edi").read_bytes()), name="m"))


def found(outcome: Outcome, kind: str) -> dict[str, Any]:
    assert outcome.bundle is not None
    return next(e["resource"] for e in outcome.bundle["entry"] if e["resource"]["resourceType"] == kind)


def combination(outcome: Outcome) -> tuple[Any, ...]:
    """Status and event, and whether the patient is dead: what MedCom's codes stand for."""
    assert [i.code for i in outcome.issues if i.severity == "error"] == []
    provenance = found(outcome, "Provenance")
    encounter = found(outcome, "Encounter")
    assert encounter["class"]["code"] == "IMP"
    activity = provenance["activity"]["coding"][0]["code"]
    return encounter["status"], activity, found(outcome, "Patient").get("deceasedBoolean")


MEDCOM = {
    ("DIS20", "admitted"): ("in-progress", "admit-inpatient", None),
    ("DIS20", "without-status"): ("in-progress", "admit-inpatient", None),
    ("DIS20", "corrected"): ("in-progress", "revise-admit-inpatient", None),
    ("DIS20", "cancelled"): ("entered-in-error", "cancel-admit-inpatient", None),
    ("DIS20", "deceased"): ("finished", "admit-inpatient", True),
    ("DIS17", "to-the-home"): ("finished", "discharge-inpatient-home", None),
    ("DIS17", "corrected"): ("finished", "revise-discharge-inpatient-home", None),
    ("DIS17", "cancelled"): ("in-progress", "cancel-discharge-inpatient-home", None),
    ("DIS17", "deceased"): ("finished", "admit-inpatient", True),
}


@pytest.mark.parametrize(("kind", "name"), MEDCOM, ids=str)
def test_letters_become_medcoms_codes_and_come_back(kind: str, name: str) -> None:
    forward = case(kind, name)
    assert combination(forward) == MEDCOM[kind, name]
    assert forward.output is not None
    back = only(ENGINE.convert(forward.output, to="edifact", name="m"))
    assert back.type == kind
    assert back.letter is not None
    assert forward.letter is not None
    for leaf in ("Letter.StatusCode", "Patient.EpisodeOfCareStatusCode", "Letter.Authorisation.TimeWithSec"):
        assert back.letter.values[leaf] == forward.letter.values.get(leaf, "indlagt")


REFUSED = {
    ("DIS17", "to-another-department"): "HN-01",
    ("DIS17", "to-another-hospital"): "HN-01",
    ("DIS17", "to-another-place"): "HN-02",
    ("DIS17", "to-an-unknown-place"): "HN-02",
    ("DIS17", "without-status"): "HN-02",
    ("DIS17", "cancelled-death"): "HN-10",
    ("DIS20", "corrected-death"): "HN-10",
    ("DIS20", "number-of-zeros"): "C91-14",
}


@pytest.mark.parametrize(("kind", "name"), REFUSED, ids=str)
def test_what_medcom_has_no_code_for_is_refused_by_name(kind: str, name: str) -> None:
    outcome = case(kind, name)
    assert outcome.output is None
    errors = [i for i in outcome.issues if i.severity == "error"]
    assert [i.code for i in errors] == ["MAP001"]
    assert f"({REFUSED[kind, name]})" in errors[0].message
    message = FIXTURES / "letters" / kind / name / "message.xml"
    done = CliRunner().invoke(program, ["convert", str(message)], catch_exceptions=False)
    assert done.exit_code == 1
    assert REFUSED[kind, name] in done.output


def test_a_replacement_number_is_refused() -> None:
    outcome = case("DIS20", "admitted", lambda data: data.replace(b"0201919996", b"0703921VJ4"))
    assert outcome.output is None
    assert next(i.message for i in outcome.issues if i.code == "MAP001").endswith("(HN-06)")


def test_whoever_accepts_says_that_an_unknown_place_is_the_home() -> None:
    accepted = case("DIS17", "to-an-unknown-place", accept=frozenset(["HN-02"]))
    assert combination(accepted)[:2] == ("finished", "discharge-inpatient-home")
    transfer = case("DIS17", "to-another-hospital", accept=frozenset(["HN-01"]))
    assert transfer.bundle is not None
    assert "status" not in found(transfer, "Encounter"), "nothing is guessed, so the profile is broken"
    assert "PRO023" in [i.code for i in transfer.issues]


def test_each_time_has_its_place() -> None:
    admitted, left = case("DIS20", "admitted"), case("DIS17", "to-the-home")
    assert found(admitted, "Encounter")["period"] == {"start": "2026-03-18T09:30:00+01:00"}
    assert found(admitted, "Provenance")["occurredDateTime"] == "2026-03-18T10:21:12+01:00"
    period = found(left, "Encounter")["period"]
    assert period["end"] == "2026-03-18T09:30:00+01:00"
    assert period["_start"]["extension"][0]["valueCode"] == "unknown"
    assert found(left, "Patient")["name"][0]["_family"]["extension"][0]["valueCode"] == "unknown"


def test_the_report_goes_where_the_letter_says() -> None:
    organisations = {}
    for name in ("admitted", "report-to-receiver", "report-to-another"):
        outcome = case("DIS20", name)
        header = found(outcome, "MessageHeader")
        assert outcome.bundle is not None
        assert header["extension"][0]["valueBoolean"] is True
        reference = header["extension"][1]["valueReference"]
        own = [e["resource"] for e in outcome.bundle["entry"] if e["resource"]["resourceType"] == "Organization"]
        (wanted,) = [o for o in own if reference == {"reference": f"Organization/{o['id']}"}]
        organisations[name] = (len(own), wanted["identifier"][0]["value"])
        assert outcome.output is not None
        back = only(ENGINE.convert(outcome.output, to="edifact", name="m"))
        assert back.letter is not None
        assert back.letter.values["Sender.AnswerTo.EANIdentifier"] == organisations[name][1]
    assert organisations == {
        "admitted": (2, "5790000120314"),
        "report-to-receiver": (2, "5790001382445"),
        "report-to-another": (3, "5790000990023"),
    }
    assert "extension" not in found(case("DIS17", "without-report"), "MessageHeader")


def test_bundles_that_no_letter_can_say_are_refused_by_name() -> None:
    wanted = {
        "leave": "FHN-01",
        "acute": "FHN-02",
        "replacement-number": "FHN-06",
        "status-and-event-disagree": "FHN-07",
    }
    for name, loss in wanted.items():
        data = (FIXTURES / "bundles/DIS20" / name / "message.json").read_bytes()
        outcome = only(ENGINE.convert(data, to="edifact", name="m"))
        assert outcome.output is None, name
        assert next(i.message for i in outcome.issues if i.code == "MAP001").endswith(f"({loss})"), name


# MedCom's codes in the comments. What is not refused becomes a letter that its definition accepts.
OFFICIAL = {
    "a5e5b880": "DIS20 nytbrev indlagt",  # STIN
    "bfab3e80": "DIS20 rettetbrev indlagt",  # RE_STIN
    "c83671a4": "DIS20 annulleretbrev indlagt",  # AN_STIN
    "d3128d9b": "FHN-01",  # STOR
    "e94de8ee": "FHN-01",  # SLOR
    "f4aa42a4": "DIS17 nytbrev udskrevet_til_hjemmet",  # SLHJ
    "g099bbf3": "DIS17 nytbrev doed",  # MORS
    "h1c8e4a8": "FHN-02",  # STAA
    "kcab461b": "FHN-02",  # SLHJ of an acute stay
    "ld31e08a": "FHN-02",  # MORS of an acute stay
    "m908i967": "DIS20 nytbrev indlagt",  # the provider is another organisation
    "n73ccf30": "DIS20 nytbrev indlagt",  # two episodes
}


def test_official_examples_become_letters_or_are_refused_with_the_reason(shared: Path) -> None:
    told = {}
    for path in sorted((shared / "fhir/examples/hospitalnotification-3.0.2").glob("Bundle-*.json")):
        outcome = only(ENGINE.convert(path.read_bytes(), to="oioxml", name=path.name))
        errors = [i for i in outcome.issues if i.severity == "error"]
        if outcome.output is None:
            assert {i.code for i in errors} == {"MAP001"}, path.name
            told[path.stem[7:15]] = errors[0].message.rpartition("(")[2].rstrip(")")
            continue
        assert errors == [], path.name
        (judged,) = ENGINE.validate(outcome.output, name="letter.xml")
        assert [i.message for i in judged.issues if i.severity == "error"] == []
        assert judged.letter is not None
        values = judged.letter.values
        told[path.stem[7:15]] = " ".join(
            [judged.type, str(values["Letter.StatusCode"]), str(values["Patient.EpisodeOfCareStatusCode"])]
        )
    assert told == OFFICIAL


def test_the_local_episode_comes_before_the_national_one(shared: Path) -> None:
    (path,) = (shared / "fhir/examples/hospitalnotification-3.0.2").glob("Bundle-n73ccf30*.json")
    outcome = only(ENGINE.convert(path.read_bytes(), to="oioxml", name=path.name))
    assert outcome.letter is not None
    assert outcome.letter.values["Letter.NotificationIdentifier"] == "bd481c38a92111edafa10242ac120002"


def test_what_becomes_a_letter_gives_the_same_letter_again(shared: Path) -> None:
    """FHIR-born: back(forward(back(t))) == back(t)."""
    for path in sorted((shared / "fhir/examples/hospitalnotification-3.0.2").glob("Bundle-*.json")):
        letter = only(ENGINE.convert(path.read_bytes(), to="oioxml", name=path.name))
        if letter.output is None or letter.letter is None:
            continue
        forward = only(ENGINE.convert(letter.output, to="fhir", name="letter.xml"))
        assert forward.output is not None, path.name
        again = only(ENGINE.convert(forward.output, to="oioxml", name="bundle.json"))
        assert again.letter is not None
        assert again.letter.values == letter.letter.values, path.name


@pytest.mark.parametrize("name", ["DIS17_1", "DIS20_1"])
def test_sample_twins_give_the_same_bytes(tmp_path: Path, shared: Path, name: str) -> None:
    """The sample of a discharge says that the place is unknown; one letter is varied so that it says the home."""
    header = "gln,sor,id,id_kind,name,telephone,receives,valid_from,valid_to"
    rows = [f"{gln},{n}00011000016001,x,lokationsnummer,x,,,1990-01-01," for n, gln in enumerate(GLNS, 1)]
    (tmp_path / "table.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    engine = Engine(directory=Directory.load(tmp_path / "table.csv", IssueLog()))
    folder = shared / "samples/medcom-2014"
    sources = [(folder / kind / f"{name}.{kind[:3]}").read_bytes() for kind in ("edifact", "xml")]
    as_they_are = [only(engine.convert(data, name=name)) for data in sources]
    if name == "DIS17_1":
        assert [o.output for o in as_they_are] == [None, None]
        assert {i.message.rpartition("(")[2] for o in as_they_are for i in o.issues if i.code == "MAP001"} == {"HN-02)"}
        sources = [
            data.replace(b"PAS+UP", b"PAS+DH").replace(b">uoplyst<", b">udskrevet_til_hjemmet<") for data in sources
        ]
    twins = [only(engine.convert(data, name=name)) for data in sources]
    assert twins[0].output is not None
    assert twins[0].output == twins[1].output
    # Faults of the samples: location numbers with a wrong check digit, which FHIR's profiles refuse.
    errors = [i for o in twins for i in o.issues if i.severity == "error"]
    assert {(i.code, i.rule.rpartition(" ")[2]) for i in errors} == GLN_FAULTS


GLNS = ("5790000143054", "5790000143055")
GLN_FAULTS = {("PRO042", "gln-modulus-10")}


def test_examples_of_the_guide_have_no_errors_after_a_change_of_system() -> None:
    """The GLN may have the system of later packages: it is read, and the letter is the same."""
    data = (FIXTURES / "bundles/DIS20/admitted/message.json").read_bytes()
    other = data.replace(b"https://www.gs1.org/gln", b"urn:oid:1.3.88")
    letters = [only(ENGINE.convert(one, to="oioxml", name="m")).output for one in (data, other)]
    assert letters[0] == letters[1]
    assert json.loads(data)["entry"]
