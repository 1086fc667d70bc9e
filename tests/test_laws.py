"""The laws between letters and Bundles (design: letter-born and FHIR-born), on generated letters, samples and examples.

Letter-born: `back(forward(s)) == s` but for what the ledger declares; `forward(back(t)) == t`, exactly.
FHIR-born: `back(forward(back(t))) == back(t)`, exactly. Every loss has an id of the catalogue, and the ids that may
occur at all are listed here: a new one fails until somebody adds it to the list.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from converter.answers import answers
from converter.directory import Directory
from converter.edifact.text import normal_text
from converter.engine import Engine, Outcome
from converter.fhir import bundle as fhir
from converter.issues import IssueLog
from converter.ledger import leaves_of
from converter.letter import Letter, Value, counts_of, pattern
from converter.mapping import Context, Mapping
from tests.cases import only
from tests.letters_strategy import letters

ENGINE = Engine(validate=False)
_MAPPING = ENGINE.mappings.for_letter("DIS91")
assert _MAPPING is not None
MAPPING: Mapping = _MAPPING

DECLARED_FORWARD = {
    *("ALL-01", "ALL-02", "ALL-04", "ALL-05", "ALL-06", "ALL-07", "ALL-08", "ALL-09", "ALL-12", "ALL-13"),
    *("C91-01", "C91-02", "C91-03", "C91-04", "C91-05", "C91-07", "C91-08", "C91-09", "C91-10", "C91-12", "C91-14"),
    *("C91-15", "C91-16", "C91-17", "C91-18", "C91-19", "C91-21", "C91-23", "C91-24"),
}
DECLARED_BACK = {
    *("F91-01", "F91-02", "F91-03", "F91-04", "F91-05", "F91-06", "F91-08", "F91-10", "F91-11", "F91-12", "F91-13"),
    *("F91-14", "F91-15", "F91-16", "F91-17", "F91-19", "F91-20", "F91-21", "F91-23", "F91-25", "F91-26"),
}
# What the way back has to make up where the letter had nothing: mandatory in every letter.
MADE_UP = {
    "Envelope.AcknowledgementCode",
    "Letter.StatisticalCode",
    "Letter.TypeCode",
    "Patient.EpisodeOfCareStatusCode",
}
# A number of the organisation table comes back as the letter's (C91-10).
FROM_TABLE = {"Sender.TelephoneSubscriberIdentifier"}


def forward(letter: Letter, mapping: Mapping = MAPPING, **context: Any) -> tuple[dict[str, Any] | None, Any]:
    log = IssueLog()
    bundle, ledger = mapping.to_fhir(letter, Context(**context), log)
    ledger.check(leaves_of(letter), log)
    assert not [i for i in log if i.code == "SYS001"]
    return bundle, ledger


def back(bundle: dict[str, Any], mapping: Mapping = MAPPING, **context: Any) -> tuple[Letter, Any]:
    log = IssueLog()
    leaves = fhir.leaves(bundle)
    letter, ledger = mapping.from_fhir(bundle, Context(**context), log, lambda: iter(leaves))
    ledger.check([pointer for pointer, _, _ in leaves], log)
    assert not [i for i in log if i.code == "SYS001"]
    assert letter is not None
    return letter, ledger


def carried(letter: Letter, ledger: Any) -> dict[str, Value]:
    """The values of a letter without repetitions that were dropped as a whole, the others numbered anew."""
    alive: dict[str, set[str]] = {}
    for entry in ledger.entries:
        group, bracket, rest = entry.leaf.partition("[")
        if bracket and entry.disposition in ("mapped", "mapped-lossy", "folded-to-text"):
            alive.setdefault(group, set()).add(rest.partition("]")[0])
    found = {}
    for leaf, value in letter.values.items():
        group, bracket, rest = leaf.partition("[")
        index, _, tail = rest.partition("]")
        if not bracket:
            found[leaf] = value
        elif index in alive.get(group, ()):
            found[f"{group}[{1 + sorted(map(int, alive[group])).index(int(index))}]{tail}"] = value
    return found


def undeclared(letter: Letter, ledger: Any, again: Letter) -> list[str]:
    """Leaves that differ after the way there and back although no ledger line names a loss."""
    before, after = carried(letter, ledger), again.values
    lossy = {pattern(e.leaf) for e in ledger.entries if e.loss} | MADE_UP
    if any(e.loss == "ALL-06" for e in ledger.entries):
        lossy |= {"Sender.OrganisationName", "Sender.DepartmentName", "Sender.UnitName"}
    if any(e.loss == "C91-10" for e in ledger.defaulted):
        lossy |= FROM_TABLE
    return sorted(
        leaf
        for leaf in before.keys() | after.keys()
        if before.get(leaf) != after.get(leaf) and pattern(leaf) not in lossy
    )


@pytest.mark.parametrize("examples", [7, pytest.param(300, marks=pytest.mark.long)], ids=["short", "long"])
@pytest.mark.parametrize("version", ["D9134L", "D9133L", "D9135L"])
def test_letter_born(version: str, examples: int) -> None:
    definition = ENGINE.definitions.get("DIS91", version)
    assert definition is not None

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(letters(definition))
    def law(letter: Letter) -> None:
        bundle, ledger = forward(letter)
        assert {e.loss for e in (*ledger.entries, *ledger.defaulted)} - {""} <= DECLARED_FORWARD
        assume(bundle is not None)
        assert bundle is not None
        again, ledger_back = back(bundle)
        assert {e.loss for e in (*ledger_back.entries, *ledger_back.defaulted)} - {""} <= DECLARED_BACK
        assert undeclared(letter, ledger, again) == []
        assert forward(again)[0] == bundle
        assert again.version == version

    law()


# Letters of all other types, to draft messages that have a place for everything: what may still be lost, by id.
FEW_FORWARD = {
    *("ALL-01", "ALL-02", "ALL-04", "ALL-08", "ALL-12", "ALL-13", "C91-14", "C91-16", "C91-18", "C91-19"),
    *("DIS-02", "DIS-10", "DIS-11", "DIS-13", "DIS-14", "REF-04", "REF-11", "REF-14"),
}
FEW_BACK = {"F91-15", "F91-16", "DIS-14"}
# Messages of MedCom's own have no place for everything: what else may be lost in them, there and back.
OFFICIAL = {
    "medcom-messaging-acknowledgement": (
        {"ACK-01", "ACK-03", "ACK-04", "ACK-06", "ACK-09", "ACK-10", "C91-20", "C91-22"},
        {"F91-23", "FAC-03"},
    ),
    "medcom-hospitalNotification-message": (
        {"ALL-06", "HN-01", "HN-02", "HN-03", "HN-04", "HN-06", "HN-07", "HN-10", "C91-22"},
        {"F91-14", "F91-19", "F91-23", "HN-09"},
    ),
}
ACCEPTED = frozenset(["ACK-01", "HN-02"])  # refused unless somebody says so; what they make must come back too
OTHERS = [
    pytest.param(mapping, version, id=f"{mapping.letter} {version}")
    for mapping in ENGINE.mappings.mappings
    if mapping is not MAPPING
    for version in ENGINE.definitions.types[mapping.letter]
]


def normal(values: dict[str, Value]) -> dict[str, Value]:
    """Letters as both syntaxes read them: neighbouring runs of a text differ, and nothing is empty."""
    read = {leaf: normal_text(value) if isinstance(value, tuple) else value for leaf, value in values.items()}
    return {leaf: value for leaf, value in read.items() if value}


def holds(mapping: Mapping, letter: Letter) -> None:
    """Nothing is lost but under the ids above, everything else comes back, and gives the same Bundle again."""
    letter.values = normal(letter.values)
    letter.counts = counts_of(letter.values)
    there, here = OFFICIAL.get(mapping.bundle.rpartition("/")[2], (set(), set()))
    spec = mapping.document.answers
    if spec is not None:  # one letter a receipt: several make several
        parts = list(answers(letter, lambda _: spec, None, IssueLog(), file="", strict=False))
        assume(parts)
        letter = parts[0].read
    bundle, ledger = forward(letter, mapping, accept=ACCEPTED)
    assert {e.loss for e in (*ledger.entries, *ledger.defaulted)} - {""} <= FEW_FORWARD | there
    assume(bundle is not None)
    assert bundle is not None
    assert ENGINE.mappings.for_bundle(bundle, [mapping.bundle]) is mapping
    again, ledger_back = back(bundle, mapping)
    assert {e.loss for e in (*ledger_back.entries, *ledger_back.defaulted)} - {""} <= FEW_BACK | here
    assert {str(e.disposition) for e in ledger_back.entries} <= {"mapped", "constant-checked", "ignored"}
    assert undeclared(letter, ledger, again) == []
    assert forward(again, mapping, accept=ACCEPTED)[0] == bundle
    assert again.version == letter.version


@pytest.mark.parametrize("examples", [4, pytest.param(300, marks=pytest.mark.long)], ids=["short", "long"])
@pytest.mark.parametrize(("mapping", "version"), OTHERS)
def test_letter_born_of_any_type(mapping: Mapping, version: str, examples: int) -> None:
    definition = ENGINE.definitions.get(mapping.letter, version)
    assert definition is not None
    law = given(letters(definition))(lambda letter: holds(mapping, letter))
    settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))(law)()


def test_a_mapping_that_loses_in_silence_is_caught(shared: Path) -> None:
    """Negative control: a leaf that is dropped after the ledger was written must be found."""
    definition = ENGINE.definitions.get("DIS91", "D9134L")
    assert definition is not None
    data = (shared / "samples/medcom-2014/xml/DIS91_1.xml").read_bytes()
    letter = next(iter(ENGINE.convert(data, to="edifact"))).letter
    assert letter is not None
    bundle, ledger = forward(letter)
    assert bundle is not None
    again, _ = back(bundle)
    assert undeclared(letter, ledger, again) == []
    del again.values["Patient.PersonSurnameName"]
    assert undeclared(letter, ledger, again) == ["Patient.PersonSurnameName"]


def examples(shared: Path) -> list[Path]:
    folders = ("fhir/examples/carecommunication-5.0.2/Bundle-*.json", "samples/conversion-service/ConSer_CC_*.json")
    return [path for pattern_ in folders for path in sorted(shared.glob(pattern_))]


def test_fhir_born_examples(shared: Path) -> None:
    paths = examples(shared)
    assert len(paths) == 19
    for path in paths:
        bundle = fhir.read_json(path.read_bytes(), IssueLog())
        assert bundle is not None
        letter, ledger = back(bundle)
        losses = {e.loss for e in (*ledger.entries, *ledger.defaulted)} - {""}
        assert losses <= DECLARED_BACK, path.name
        born, _ = forward(letter)
        assert born is not None, path.name
        assert back(born)[0].values == letter.values, path.name


def test_fhir_born_examples_become_letters_that_are_accepted(shared: Path) -> None:
    """`validate` accepts each; eleven files break the schema's maximum of ten, once, and all eleven are written."""
    engine = Engine()
    for path in examples(shared):
        outcome = only(engine.convert(path.read_bytes(), to="oioxml", name=path.name))
        assert outcome.output is not None, path.name
        (judged,) = engine.validate(outcome.output, name="letter.xml")
        errors = [i for i in judged.issues if i.severity == "error"]
        assert len(errors) == ("05_TooMany" in path.name), (path.name, [i.message for i in errors])
        assert judged.letter is not None
        assert outcome.letter is not None
        assert judged.letter.values == outcome.letter.values
        if "05_TooMany" in path.name:
            assert outcome.letter.counts["Reference"] == 11


def text_of(outcome: Outcome) -> str:
    assert outcome.letter is not None
    values = outcome.letter.values
    return "".join(outcome.letter.text(leaf) or "" for leaf in values if leaf.startswith("ClinicalInformation"))


def test_every_text_of_a_thread_is_in_the_letter(shared: Path) -> None:
    """Nothing of a thread is cut: each payload's text, and each file's title, stands somewhere in the letter."""
    for path in examples(shared):
        bundle = fhir.read_json(path.read_bytes(), IssueLog())
        outcome = only(ENGINE.convert(path.read_bytes(), to="oioxml", name=path.name))
        assert bundle is not None
        assert outcome.letter is not None
        text = text_of(outcome)
        squeezed = "".join(text.split())  # a line longer than a piece gets a line break where the piece ends
        titles = {str(v) for k, v in outcome.letter.values.items() if k.endswith("RefDescription")}
        (communication,) = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Communication"]
        for payload in communication["payload"]:
            for line in payload.get("contentString", "").split("\n"):
                assert "".join(line.split()) in squeezed, path.name
            attachment = payload.get("contentAttachment")
            if attachment:
                title = attachment["title"]
                assert title[:70].rstrip() in titles or title in text, path.name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ConSer_CC_02.json", {"Letter.EpisodeOfCareIdentifier": "fc60e762b13b5773865e67f3907bdcc7"}),
        ("ConSer_CC_02.json", {"Patient.EpisodeOfCareStatusCode": "indlagt"}),
        ("ConSer_CC_02.json", {"AdditionalInformation.Subject": "Undersøgelsessvar"}),
        ("ConSer_CC_01.json", {"Letter.VersionCode": "XD9134L", "Envelope.AcknowledgementCode": "pluspositivkvitt"}),
        ("ConSer_CC_13_DoubleCPR.json", {"Patient.AlternativeIdentifier": None}),
    ],
)
def test_examples_follow_medcoms_table(shared: Path, name: str, expected: dict[str, str | None]) -> None:
    (outcome,) = ENGINE.convert((shared / "samples/conversion-service" / name).read_bytes(), to="oioxml")
    assert outcome.letter is not None
    assert {leaf: outcome.letter.values.get(leaf) for leaf in expected} == expected


def test_replies_forwards_and_further_numbers_are_told_in_the_text(shared: Path) -> None:
    folder = shared / "samples/conversion-service"
    wanted = {
        "ConSer_CC_07_reply.json": ["Denne meddelelse er en besvarelse.", "Tidligere meddelelse "],
        "ConSer_CC_09_reply.json": ["Vedhæftet fil uden indhold: Blodprøveresultater"],
        "ConSer_CC_10_forward.json": ["Denne meddelelse er en videresendelse."],
        "ConSer_CC_13_DoubleCPR.json": ["Derfor er de resterende medsendte CPR-numre indsat her"],
        "ConSer_CC_02.json": ["Stilling: Visitator", "Modtager: Plejecenter Herlev Team 1"],
    }
    for name, phrases in wanted.items():
        (outcome,) = ENGINE.convert((folder / name).read_bytes(), to="oioxml")
        for phrase in phrases:
            assert phrase in text_of(outcome), name


def test_mapped_leaves_of_the_first_sample(shared: Path) -> None:
    """The leaves of DIS91_1 that MedCom's tables map are mapped; the rest says what became of it."""
    data = (shared / "samples/medcom-2014/edifact/DIS91_1.edi").read_bytes()
    (outcome,) = ENGINE.convert(data, to="fhir")
    assert outcome.ledger is not None
    by_disposition: dict[str, set[str]] = {}
    for entry in outcome.ledger.entries:
        by_disposition.setdefault(str(entry.disposition), set()).add(entry.leaf)
    assert by_disposition == {
        "mapped": {
            *("Envelope.Sent.Date", "Envelope.Sent.Time", "Envelope.Identifier"),
            *("Letter.Identifier", "Letter.VersionCode", "Letter.TypeCode", "Letter.StatusCode"),
            *("Letter.Authorisation.Date", "Letter.Authorisation.Time"),
            *("Sender.EANIdentifier", "Sender.IdentifierCode", "Sender.OrganisationName", "Sender.DepartmentName"),
            *("Receiver.EANIdentifier", "Receiver.Identifier", "Receiver.IdentifierCode", "Receiver.OrganisationName"),
            *("Patient.CivilRegistrationNumber", "Patient.PersonSurnameName", "Patient.PersonGivenName"),
            *("Patient.StreetName", "Patient.DistrictName", "Patient.PostCodeIdentifier"),
            *("AdditionalInformation.Subject", "ClinicalInformation[1].Text01"),
        },
        "mapped-lossy": {"Sender.Identifier"},
        "folded-to-text": {"AdditionalInformation.Priority"},
        "ignored": {
            *("Sender.MedicalSpecialityCode", "Receiver.DepartmentName", "Receiver.UnitName", "Receiver.StreetName"),
            *("Receiver.DistrictName", "Receiver.PostCodeIdentifier", "Patient.EpisodeOfCareStatusCode"),
        },
        "lost": {"Envelope.AcknowledgementCode", "Letter.StatisticalCode"},
    }


def test_one_number_a_party_is_chosen_only_when_it_is_the_only_one(tmp_path: Path, shared: Path) -> None:
    table = tmp_path / "sor.csv"
    rows = ["gln,sor,valid_from,valid_to", "5790000120314,325371000016006,,", "5790000120314,325251000016005,,"]
    table.write_text("\n".join(rows) + "\n")
    directory = Directory.load(table, IssueLog())
    letter, _ = back(fhir.read_json(examples(shared)[8].read_bytes(), IssueLog()) or {})
    log = IssueLog()
    MAPPING.to_fhir(letter, Context(directory=directory), log)
    assert {i.code for i in log if i.code.startswith("DIR")} == {"DIR051"}
