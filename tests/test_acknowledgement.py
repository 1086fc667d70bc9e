"""Receipts and Acknowledgements: what they answer, when two make one, and MedCom's test protocol for them.

The steps of the protocol are named as it names them (3.2.10: letters to FHIR, its S3; 3.2.11: FHIR to letters, its S4).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from converter.cli import program
from converter.directory import Directory
from converter.engine import Engine, Outcome
from converter.issues import IssueLog
from converter.letter import Letter
from converter.originals import Original
from converter.records import State
from converter.vans import wrapped
from tests.cases import FIXTURES, only

TABLE = FIXTURES / "organisations.csv"
DIRECTORY = Directory.load(TABLE, IssueLog())
NOW = datetime(2026, 3, 18, 12, tzinfo=UTC)
HOSPITAL, DOCTOR = "5790000120314", "5790000121526"
HEADER = "5d30e750-68cc-434f-a3b9-c5c9e6588b47"
SENTENCE = (
    "Konverteringen ml. XML/EDI og FHIR kunne ikke udføres korrekt pga. tekniske el. indholdsmæssige forhold i "
    "meddelelsen."
)
POSITIVE, NEGATIVE, OPERATOR = "CTL03:C0330Q:7", "CTL02:C0230Q:4", "CTL01:C0130Q:4"


@dataclass
class Stored:
    """What a state store asks of an outcome: a letter that was made of a FHIR message, or the reverse."""

    ids: dict[str, str]
    message: str = HEADER
    type: str = "DIS91"
    version: str = "D9134L"

    @property
    def group(self) -> list[tuple[Letter, dict[str, str]]]:
        return [(Letter(self.type, self.version, "oioxml"), self.ids)]


def letter(name: str, **more: str) -> Stored:
    """A stored letter of the FHIR message `HEADER`, from the hospital to the doctor."""
    ids = {
        "envelope_id": f"KUV{name}",
        "letter_id": f"BREV{name}",
        "version_code": "XD9134L" if name == "1" else "XB0131X",
        "sender": HOSPITAL,
        "receiver": DOCTOR,
        "sender_sor": "325371000016006",
        "receiver_sor": "325251000016005",
        "bundle_id": "b",
        "message_header_id": HEADER,
        "occurred": "2026-03-18T09:00:07+01:00",
        "recorded": "2026-03-18T09:00:08+01:00",
        "activity": "reply-message",
    }
    return Stored(ids | more)


def receipt(kind: str, name: str, *, own: str = "", text: str = "", minute: int = 30, letters: str = "") -> bytes:
    """A receipt of a letter as EDIFACT: `own` tells it from others, `letters` are those that it names."""
    type_, version, action = kind.split(":")
    own = own or f"{type_}{name}"
    body = [f"UCI+KUV{name}+{HOSPITAL}:14+{DOCTOR}:14+{action}'"]
    for one in letters.split() if letters else [f"BREV{name}"]:
        body.append(f"UCM+{one}+XMEDDIS:D:93A:UN:XD9134L+{action}'")
        body += [f"FTX+SYN+P00++{text}'"] if text else []
    if letters == "-":
        body = body[:1]
    return "".join(
        [
            f"UNA:+.? 'UNB+UNOC:3+{DOCTOR}:14+{HOSPITAL}:14+260318:10{minute}+K{own}'",
            f"UNH+B{own}+CONTRL:D:93A:ZZ:{version}+{type_}'",
            *body,
            f"UNT+{len(body) + 2}+B{own}'UNZ+1+K{own}'",
        ]
    ).encode("latin-1")


@dataclass
class Desk:
    """A converter with its state store."""

    state: State
    engine: Engine

    def convert(self, data: bytes, to: str | None = None) -> Outcome:
        return only(self.engine.convert(data, to=to, name="message"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    opened: list[State] = []

    def make(*letters: Stored, now: datetime = NOW, name: str = "state.db", **settings: Any) -> Desk:
        state = State(tmp_path / name, now)
        opened.append(state)
        for one in letters:
            state.add(one)  # type: ignore[arg-type]
        return Desk(state, Engine(directory=DIRECTORY, store=state, **settings))

    yield make
    for state in opened:
        state.finish()
        state.__exit__(None, None, None)


def codes(outcome: Outcome, *severities: str) -> list[str]:
    return [i.code for i in outcome.issues if not severities or i.severity in severities]


def resources(bundle: dict[str, Any] | None, kind: str) -> list[dict[str, Any]]:
    assert bundle is not None
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


def answer(outcome: Outcome) -> str:
    """What the Acknowledgement says, in a word."""
    if outcome.bundle is None:
        return "none"
    return str(resources(outcome.bundle, "MessageHeader")[0]["response"]["code"])


def texts(outcome: Outcome) -> list[str]:
    outcomes = resources(outcome.bundle, "OperationOutcome")
    return [i["details"]["text"] for o in outcomes for i in o["issue"] if "details" in i]


# -- what is answered


def test_ids_parties_and_provenance_come_from_the_store(desk: Callable[..., Desk]) -> None:
    done = desk(letter("1")).convert(receipt(POSITIVE, "1"))
    assert codes(done) == []
    (header,) = resources(done.bundle, "MessageHeader")
    assert header["response"] == {"identifier": HEADER, "code": "ok"}
    assert header["destination"][0]["endpoint"] == "https://sor2.sum.dsdn.dk/#id=325371000016006"
    earlier, own = resources(done.bundle, "Provenance")
    assert earlier["target"] == [{"reference": f"MessageHeader/{HEADER}"}]
    assert earlier["occurredDateTime"] == "2026-03-18T09:00:07+01:00"
    assert earlier["recorded"] == "2026-03-18T09:00:08+01:00"
    assert earlier["activity"]["coding"][0]["code"] == "reply-message"
    assert own["target"] == [{"reference": f"MessageHeader/{header['id']}"}]
    assert own["activity"]["coding"][0]["code"] == "acknowledgement"
    assert own["entity"] == [{"role": "revision", "what": {"reference": f"MessageHeader/{HEADER}"}}]
    assert earlier["agent"][0]["who"] == header["destination"][0]["receiver"]
    assert own["agent"][0]["who"] == header["sender"]
    assert done.ids == {}, "receipts are not receipted"


def test_the_store_is_enough_where_no_table_is_given(desk: Callable[..., Desk]) -> None:
    one = desk(letter("1"))
    one.engine.directory = None
    assert codes(one.convert(receipt(POSITIVE, "1"))) == []


def test_without_the_store_a_receipt_says_what_it_says_itself(desk: Callable[..., Desk]) -> None:
    for engine, why in (
        (Engine(directory=DIRECTORY), "there is no state store"),
        (desk(letter("2")).engine, "does not hold it"),
        (desk(letter("1"), letter("1", message_header_id="h2"), name="two.db").engine, "does not hold it"),
    ):
        done = only(engine.convert(receipt(POSITIVE, "1"), name="message"))
        if engine.store is not None and engine.store.named("BREV1", HOSPITAL):
            continue
        assert codes(done) == ["MAP030"]
        assert done.issues[0].severity == "warning"
        assert why in done.issues[0].message
        assert resources(done.bundle, "MessageHeader")[0]["response"]["identifier"] == "BREV1"
        assert done.ledger is not None
        assert {e.loss for e in done.ledger.defaulted} == {"ACK-04"}


def test_two_letters_with_one_id_are_no_silent_choice(desk: Callable[..., Desk]) -> None:
    other = Stored(letter("1").ids | {"message_header_id": "h2", "envelope_id": "KUV9"}, message="h2")
    assert answer(desk(letter("1"), other).convert(receipt(POSITIVE, "1"))) == "ok", "the envelope tells them apart"
    same = Stored(letter("1").ids | {"message_header_id": "h2"}, message="h2")
    done = desk(letter("1"), same, name="same.db").convert(receipt(POSITIVE, "1"))
    assert "holds 2 letters" in done.issues[0].message
    assert resources(done.bundle, "MessageHeader")[0]["response"]["identifier"] == "BREV1"


def test_strict_receipts_makes_it_an_error(desk: Callable[..., Desk]) -> None:
    done = desk(strict_receipts=True).convert(receipt(POSITIVE, "1"))
    assert [(i.code, i.severity) for i in done.issues] == [("MAP030", "error")]
    assert done.output is not None
    back = Engine(directory=DIRECTORY, strict_receipts=True)
    found = only(back.convert((FIXTURES / "bundles/CTL03/positive/message.json").read_bytes(), name="m"))
    assert [(i.code, i.severity) for i in found.issues if i.code == "MAP030"] == [("MAP030", "error")]


def test_one_receipt_of_several_letters_becomes_an_answer_to_each(desk: Callable[..., Desk]) -> None:
    other = Stored(letter("7", envelope_id="KUV1").ids | {"message_header_id": "h7"}, message="h7")
    made = desk(letter("1"), other).engine.convert(receipt(POSITIVE, "1", letters="BREV1 BREV7 BREV8"), name="message")
    found = list(made)
    ids = [resources(one.bundle, "MessageHeader")[0]["response"]["identifier"] for one in found]
    assert ids == [HEADER, "h7", "BREV8"]
    assert [codes(one) for one in found] == [[], [], ["MAP030"]]
    assert len({str((one.bundle or {})["id"]) for one in found}) == 3
    for one in found:
        assert one.ledger is not None
        assert one.letter is not None
        assert sum(one.ledger.totals().values()) == len(one.letter.values)
        assert one.letter.counts["OriginalEmessage.OriginalLetter"] == 1
    assert found[2].letter is not None
    assert found[2].letter.locate("OriginalEmessage.OriginalLetter[1].OriginalLetterIdentifier")[0].offset > 0


def test_an_envelope_that_is_refused_answers_its_letters(desk: Callable[..., Desk]) -> None:
    other = Stored(letter("7", envelope_id="KUV1").ids | {"message_header_id": "h7"}, message="h7")
    found = list(desk(letter("1"), other).engine.convert(receipt(NEGATIVE, "1", letters="-"), name="message"))
    assert [answer(one) for one in found] == ["fatal-error", "fatal-error"]
    (unknown,) = desk(name="empty.db").engine.convert(receipt(NEGATIVE, "1", letters="-"), name="message")
    assert codes(unknown) == ["MAP034"]
    assert unknown.output is None


# -- two receipts, one answer (UC table 4)

VERDICTS = {"03": POSITIVE, "02": NEGATIVE, "missing": ""}
TRUTH = {
    ("03", "03"): "ok",
    ("03", "02"): "fatal-error",
    ("02", "03"): "fatal-error",
    ("02", "02"): "fatal-error",
    **dict.fromkeys((("03", "missing"), ("02", "missing"), ("missing", "03"), ("missing", "02")), "none"),
    ("missing", "missing"): "none",
}


def pair(verdicts: tuple[str, str]) -> list[bytes]:
    """The receipts of a letter and of its attachment."""
    kinds = [VERDICTS[verdict] for verdict in verdicts]
    return [
        receipt(kind, name, text=f"Afvist {name}." if kind == NEGATIVE else "", minute=30 + int(name))
        for name, kind in zip("12", kinds, strict=True)
        if kind
    ]


@pytest.mark.parametrize("verdicts", list(itertools.product(VERDICTS, repeat=2)), ids="-".join)
def test_truth_table_of_two_receipts(desk: Callable[..., Desk], verdicts: tuple[str, str]) -> None:
    outputs = []
    for turn, order in enumerate(itertools.permutations(pair(verdicts))):
        one = desk(letter("1"), letter("2"), name=f"{turn}.db")
        done = [one.convert(data) for data in order]
        assert [answer(o) for o in done[:-1]] == ["none"] * len(done[:-1]), "nothing before the last"
        assert (answer(done[-1]) if done else "none") == TRUTH[verdicts]
        waiting = [o for o in done if answer(o) == "none"]
        assert [codes(o) for o in waiting] == [["MAP031"]] * len(waiting)
        for o in done:
            assert o.ledger is not None
            assert o.letter is not None
            assert sum(o.ledger.totals().values()) == len(o.letter.values)
        outputs += [o.output for o in done if o.output]
    assert len(set(outputs)) <= 1, "both orders give the same bytes"
    if outputs and "02" in verdicts:
        told = [f"[syntaksfejl] Afvist {n}." for n, verdict in zip("12", verdicts, strict=True) if verdict == "02"]
        (text,) = texts(done[-1])
        assert text == (told[0] if len(told) == 1 else "[syntaksfejl] Afvist 1.\nAfvist 2.")


def test_the_answer_to_a_pair_is_that_of_its_letter(desk: Callable[..., Desk]) -> None:
    one = desk(letter("1"), letter("2"))
    one.convert(receipt(POSITIVE, "1", minute=31))
    done = one.convert(receipt(POSITIVE, "2", minute=45))
    assert done.bundle is not None
    assert codes(done) == []
    assert done.bundle["timestamp"] == "2026-03-18T10:45:00+01:00"
    assert "#BREV1#" in done.bundle["identifier"]["value"]
    assert len(resources(done.bundle, "Provenance")) == 2
    assert done.ledger is not None
    ignored = {e.leaf for e in done.ledger.entries if e.loss == "ACK-08"}
    assert {"Envelope.Identifier", "Letter.Identifier"} <= ignored


@pytest.mark.parametrize("letters", [1, 2])
def test_the_same_receipt_twice_gives_the_same_again(desk: Callable[..., Desk], letters: int) -> None:
    one = desk(*[letter(str(n + 1)) for n in range(letters)])
    first = [one.convert(receipt(POSITIVE, str(n + 1))) for n in range(letters)]
    again = [one.convert(receipt(POSITIVE, str(n + 1))) for n in range(letters)]
    assert {o.output for o in again} == {first[-1].output}
    assert {tuple(codes(o)) for o in again} == {("MAP032",)}


def test_the_same_receipt_twice_is_not_two(desk: Callable[..., Desk]) -> None:
    one = desk(letter("1"), letter("2"))
    for _ in range(3):
        assert one.convert(receipt(POSITIVE, "2")).output is None


def test_another_receipt_of_the_same_letter_stands_in_its_place(desk: Callable[..., Desk]) -> None:
    one = desk(letter("1"), letter("2"))
    one.convert(receipt(NEGATIVE, "1", own="A", text="Afvist."))
    done = one.convert(receipt(POSITIVE, "1", own="B"))
    assert codes(done) == ["MAP033", "MAP031"]
    assert answer(one.convert(receipt(POSITIVE, "2"))) == "ok"


def test_a_letter_that_is_sent_again_is_answered_anew(desk: Callable[..., Desk]) -> None:
    one = desk(letter("1"), letter("2"))
    one.convert(receipt(NEGATIVE, "1"))
    one.state.add(letter("1", envelope_id="KUV3"))  # type: ignore[arg-type]
    assert codes(one.convert(receipt(POSITIVE, "2"))) == ["MAP031"]


def test_codes_of_two_refusals_are_both_told(desk: Callable[..., Desk]) -> None:
    one = desk(letter("1"), letter("2"))
    one.convert(receipt(NEGATIVE, "1", text="Afvist."))
    done = one.convert(receipt(NEGATIVE, "2", text="Kendes ikke.").replace(b"FTX+SYN", b"FTX+VER"))
    assert texts(done) == ["[syntaksfejl] Afvist.\n[problem_med_version] Kendes ikke."]


@pytest.mark.parametrize(
    ("day", "known"),
    [(datetime(2026, 6, 18, 12, tzinfo=UTC), True), (datetime(2026, 6, 18, 12, 0, 1, tzinfo=UTC), False)],
)
def test_after_three_months_the_case_is_closed(desk: Callable[..., Desk], day: datetime, known: bool) -> None:
    first = desk(letter("1"), letter("2"))
    first.convert(receipt(POSITIVE, "1"))
    first.state.finish()
    late = desk(now=day).convert(receipt(POSITIVE, "2"))
    assert codes(late) == ([] if known else ["MAP030"])
    assert resources(late.bundle, "MessageHeader")[0]["response"]["identifier"] == (HEADER if known else "BREV2")


def test_a_store_that_is_lost_is_said(desk: Callable[..., Desk]) -> None:
    first = desk(letter("1"), letter("2"), name="first.db")
    first.convert(receipt(POSITIVE, "1"))
    assert codes(desk(name="other.db").convert(receipt(POSITIVE, "2"))) == ["MAP030"]


def test_the_receipt_of_an_operator_is_refused_unless_accepted(desk: Callable[..., Desk]) -> None:
    data = receipt(OPERATOR, "1", text="Kan ikke leveres.")
    refused = desk(letter("1")).convert(data)
    assert codes(refused, "error") == ["MAP001"]
    assert "ACK-01" in refused.issues[0].message
    done = desk(letter("1"), name="2.db", accept=frozenset(["ACK-01"])).convert(data)
    assert answer(done) == "fatal-error"
    assert texts(done) == ["VANS: [syntaksfejl] Kan ikke leveres."]
    assert done.output is not None
    back = only(Engine(directory=DIRECTORY).convert(done.output, to="edifact", name="m"))
    assert back.type == "CTL01"
    mixed = desk(letter("1"), letter("2"), name="3.db")
    mixed.convert(data)
    assert answer(mixed.convert(receipt(NEGATIVE, "2", text="Afvist."))) == "fatal-error"


# -- one answer, two receipts (UC table 3)


def acknowledgement(shared: Path, name: str, header: str = HEADER, text: str = "") -> bytes:
    """An Acknowledgement of MedCom's to a FHIR message, with its faults repaired: no time, parties of another flow."""
    bundle = json.loads((shared / "samples/conversion-service" / name).read_text("utf-8"))
    bundle["timestamp"] = "2026-03-18T11:20:00+01:00"
    bundle["entry"][0]["resource"]["response"]["identifier"] = header
    if text:
        (found,) = resources(bundle, "OperationOutcome")
        found["issue"][0]["details"]["text"] = text
    return json.dumps(bundle).encode()


def test_one_answer_becomes_a_receipt_for_each_letter(desk: Callable[..., Desk], shared: Path) -> None:
    one = desk(letter("1"), letter("2"))
    made = list(one.engine.convert(acknowledgement(shared, "ACK_OK_ConversionService.json"), to="oioxml", name="m"))
    assert [o.type for o in made] == ["CTL03", "CTL03"]
    assert [i.code for o in made for i in o.issues if i.severity == "error"] == []
    values = [o.letter.values for o in made if o.letter]
    place = "OriginalEmessage.OriginalLetter[1]."
    assert [v[place + "OriginalLetterIdentifier"] for v in values] == ["BREV1", "BREV2"]
    assert [v[place + "OriginalVersionCode"] for v in values] == ["XD9134L", "XB0131X"]
    assert [v["OriginalEmessage.OriginalEnvelopeIdentifier"] for v in values] == ["KUV1", "KUV2"]
    assert len({str(v["Letter.Identifier"]) for v in values} | {str(v["Envelope.Identifier"]) for v in values}) == 4
    assert {str(v["Envelope.AcknowledgementCode"]) for v in values} == {"minuspositivkvitt"}


@pytest.mark.parametrize("verdicts", [v for v in TRUTH if "missing" not in v], ids="-".join)
def test_what_two_receipts_made_comes_back(desk: Callable[..., Desk], verdicts: tuple[str, str]) -> None:
    """Letter-born: the Acknowledgement is the receipt of the pair's letter, with the reasons of both."""
    one = desk(letter("1"), letter("2"))
    *_, done = [one.convert(data) for data in pair(verdicts)]
    assert done.output is not None
    back = one.convert(done.output, "edifact")
    assert back.type == ("CTL03" if verdicts == ("03", "03") else "CTL02")
    assert back.letter is not None
    assert back.letter.values["OriginalEmessage.OriginalLetter[1].OriginalLetterIdentifier"] == "BREV1"


LONG = "Modtagersystemet afviser. " * 20


def test_the_fixed_sentence_is_added_to_the_reason_of_an_incomplete_message(
    desk: Callable[..., Desk], shared: Path
) -> None:
    name = "Ack_3.3.2.1_A-AE.json"
    found = {}
    for key, text, fault in (
        ("plain", "Titel mangler.", ""),
        ("short", "Titel mangler.", "C91-21"),
        ("long", LONG, "x"),
    ):
        one = desk(letter("1", fault=fault), name=f"{key}.db")
        done = one.convert(acknowledgement(shared, name, text=text), "oioxml")
        assert done.letter is not None
        found[key] = done.letter.text("OriginalEmessage.RefuseText") or ""
        assert done.ledger is not None
        assert ("ACK-12" in done.ledger.losses()) == (key == "long")
    assert found["plain"] == "Titel mangler.\n"
    assert found["short"] == f"Titel mangler.\n{SENTENCE}\n"
    assert found["long"].endswith(f"\n{SENTENCE}\n"), "the sentence stands whole"
    assert found["long"].startswith("Modtagersystemet afviser. Modtager")
    assert len(found["long"].strip("\n")) <= 350


def test_a_letter_with_a_missing_attachment_is_stored_as_incomplete(tmp_path: Path) -> None:
    with State(tmp_path / "s.db", NOW) as state:
        engine = Engine(directory=DIRECTORY, store=state)
        for case in ("plain", "references"):
            state.add(only(engine.convert((FIXTURES / f"letters/DIS91/{case}/message.edi").read_bytes())))
        faults = [str(row[0]) for row in state._run("SELECT fault FROM message ORDER BY number")]
    assert [bool(fault) for fault in faults] == [False, True]


# -- samples, examples, options


def test_official_examples_become_letters_or_say_why_not(shared: Path) -> None:
    found = {}
    for path in sorted((shared / "fhir/examples/acknowledgement-2.0.3").glob("Bundle-*.json")):
        done = only(Engine(directory=DIRECTORY).convert(path.read_bytes(), to="edifact", name=path.name))
        found[path.stem[7:11]] = done.type if done.output else "".join(codes(done, "error"))
    # The last one is the empty message of the messaging guide, which answers nothing.
    assert found == {"a8c0": "CTL03", "bc95": "CTL02", "c9c2": "CTL02", "eb26": "MAP006"}


def test_acknowledgements_of_the_protocol_become_letters(shared: Path) -> None:
    found = {}
    for path in sorted((shared / "samples/conversion-service").glob("A*.json")):
        done = only(Engine(directory=DIRECTORY).convert(path.read_bytes(), to="edifact", name=path.name))
        assert done.output is not None
        found[path.name] = (done.type, codes(done, "error"))
    errors = found.pop("ACK_OK_ConversionService.json")
    assert errors == ("CTL03", ["PRO023", "LTR010"]), "a fault of the sample: it has no timestamp"
    assert {code for _, found_codes in found.values() for code in found_codes} == set()
    assert sorted(kind for kind, _ in found.values()) == ["CTL02"] * 3 + ["CTL03"] * 4


@pytest.mark.parametrize("name", ["CTL01_1", "CTL02_1", "CTL03_1"])
def test_sample_twins_give_the_same_bytes(tmp_path: Path, shared: Path, name: str) -> None:
    parties = ("5790000120420", "5790000181872")
    rows = [f"{gln},{n}00011000016001,{n},lokationsnummer,x,,,1990-01-01," for n, gln in enumerate(parties, 1)]
    header = "gln,sor,id,id_kind,name,telephone,receives,valid_from,valid_to"
    (tmp_path / "table.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    engine = Engine(directory=Directory.load(tmp_path / "table.csv", IssueLog()))
    folder = shared / "samples/medcom-2014"
    twins = [
        list(engine.convert((folder / kind / f"{name}.{kind[:3]}").read_bytes(), name=name))
        for kind in ("edifact", "xml")
    ]
    assert [o.output for o in twins[0]] == [o.output for o in twins[1]]
    errors = {c for o in (*twins[0], *twins[1]) for c in codes(o, "error")}
    # An operator's receipt is refused, and its node id is no location number that a table could hold.
    assert errors == ({"MAP001", "DIR050"} if name == "CTL01_1" else set())


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(program, ["convert", *map(str, arguments)], catch_exceptions=False)


def test_the_command_joins_a_receipt_to_its_letter(tmp_path: Path, shared: Path) -> None:
    state = ("--state", tmp_path / "s.db", "--sor", TABLE)
    source = FIXTURES / "bundles/DIS91/several-numbers/message.json"
    run(source, "--to", "edifact", "-o", tmp_path / "letter.edi", *state, "--on", "2026-03-18")
    CliRunner().invoke(program, ["validate", str(tmp_path / "letter.edi"), "--receipts", str(tmp_path / "r")])
    (name,) = (tmp_path / "r").iterdir()
    for day, code, found in (("2026-06-17", 0, True), ("2026-06-20", 1, False)):
        done = run(name, "-o", tmp_path / f"{day}.json", *state, "--strict-receipts", "--on", day)
        assert done.exit_code == code, done.output
        bundle = json.loads((tmp_path / f"{day}.json").read_text("utf-8"))
        original = json.loads(source.read_text("utf-8"))["entry"][0]["resource"]["id"]
        answered = resources(bundle, "MessageHeader")[0]["response"]["identifier"]
        assert (answered == original) is found


def test_a_receipt_that_waits_writes_nothing_and_is_no_error(tmp_path: Path) -> None:
    with State(tmp_path / "s.db", NOW) as state:
        for name in "12":
            state.add(letter(name))  # type: ignore[arg-type]
        state.finish()
    (tmp_path / "r.edi").write_bytes(receipt(POSITIVE, "1"))
    told = ("--state", tmp_path / "s.db", "--sor", TABLE, "--on", "2026-03-19", "--ledger", tmp_path / "l.jsonl")
    done = run(tmp_path / "r.edi", "-o", tmp_path / "out", *told)
    assert done.exit_code == 0
    assert "MAP031" in done.output
    assert not list((tmp_path / "out").glob("*.edi.json"))
    head, *lines = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text("utf-8").splitlines()]
    assert head["totals"] == {"kept": len(lines)}
    assert {line["loss"] for line in lines} == {"ACK-07"}


# -- MedCom's test protocol


@dataclass
class Scenario:
    """What a scenario of the protocol has at hand once it has run."""

    originals: list[Original] = field(default_factory=list)
    before: list[Outcome] = field(default_factory=list)
    done: list[Outcome] = field(default_factory=list)
    envelopes: list[str] = field(default_factory=list)


def arrived(directory: Path, shared: Path, name: str, *, attachment: bool) -> tuple[State, Engine, list[Original]]:
    """A FHIR message of MedCom's that was converted here, with the letter of its attachment beside it."""
    state = State(directory / "state.db", NOW)
    engine = Engine(directory=DIRECTORY, store=state)
    data = (shared / "samples/conversion-service" / name).read_bytes()
    for outcome in engine.convert(data, to="oioxml", name=name):
        state.add(outcome)
    header = json.loads(data)["entry"][0]["resource"]["id"]
    letters = state.letters(header)
    if attachment and len(letters) == 1:
        ids = letters[0].facts() | {"envelope_id": "KUVBIN", "letter_id": "BREVBIN", "version_code": "XB0131X"}
        state.add(Stored(ids, message=header, type="BIN01", version="B0131X"))  # type: ignore[arg-type]
    return state, engine, state.letters(header)


def to_fhir(directory: Path, shared: Path, name: str, kinds: list[str], *, turned: bool = False) -> Scenario:
    state, engine, originals = arrived(directory, shared, name, attachment=len(kinds) > 1)
    scenario = Scenario(originals)
    assert len(originals) == len(kinds)
    sample = (shared / "samples/field/os2korr-negative_receipt.xml").read_text("utf-8")
    messages = []
    for original, kind in zip(originals, kinds, strict=True):
        text = sample if kind == NEGATIVE else (shared / FLOW2).read_text("latin-1")
        messages.append(addressed(text, original).encode("latin-1"))
    for data in reversed(messages) if turned else messages:
        scenario.done = list(engine.convert(data, name="XCTL"))
        scenario.before += scenario.done
    for outcome in scenario.done:
        text = wrapped(outcome, engine.routes, IssueLog(), sent="2026-03-18T12:00:00") or b""
        scenario.envelopes.append(text.decode("utf-8"))
    state.__exit__(None, None, None)
    return scenario


FLOW2 = "samples/conversion-service/Flow2-XCTL03_Ex_from_FHIR_XDIS91.xml"


def addressed(text: str, original: Original) -> str:
    """MedCom's generic receipt, with the ids and parties filled in that the tester fills in."""
    ids = {
        "OriginalLetterIdentifier": original.letter_id,
        "OriginalEnvelopeIdentifier": original.envelope_id,
        "OriginalVersionCode": original.version_code,
    }
    for name, value in ids.items():
        text = re.sub(rf"<((?:\w+:)?{name})>[^<]*<", rf"<\1>{value}<", text)
    parties = {"Sender": original.receiver, "Receiver": original.sender}
    parties |= {"OriginalSender": original.sender, "OriginalReceiver": original.receiver}
    for name, gln in parties.items():
        text = re.sub(
            rf"(<(?:\w+:)?{name}>\s*<(?:\w+:)?EANIdentifier>)[^<]*<",
            lambda m, gln=gln: f"{m[1]}{gln}<",
            text,  # type: ignore[misc]
        )
    return re.sub(r'encoding="[^"]*"', 'encoding="ISO-8859-1"', text)


def is_answer(code: str) -> dict[str, Callable[[Scenario], bool]]:
    """The five checks that follow every conversion to FHIR: table 14.3, coupling, profile, envelope, ready."""
    return {
        "map": lambda s: len(s.done) == 1 and answer(s.done[0]) == code,
        "couple": lambda s: (
            resources(s.done[0].bundle, "MessageHeader")[0]["response"]["identifier"]
            == s.originals[0].message_header_id
        ),
        "validate": lambda s: codes(s.done[0], "error") == [],
        "pack": lambda s: (
            f"<Name>MCM:FCTL#{code}</Name>" in s.envelopes[0] and "<Format>HL7</Format>" in s.envelopes[0]
        ),
        "ready": lambda s: s.done[0].output is not None,
    }


def steps(first: int, code: str, receive: Callable[[Scenario], bool]) -> dict[int, Callable[[Scenario], bool]]:
    return {first: receive, **dict(enumerate(is_answer(code).values(), first + 1))}


def refused_text(scenario: Scenario) -> bool:
    return any(len(text) > len("[problem_med_version] ") for text in texts(scenario.done[0]))


def nothing_first(scenario: Scenario) -> bool:
    return [answer(o) for o in scenario.before[:-1]] == ["none"]


# Of CC_04 and CC_08, which are not to be had, CC_03 takes the place: one text and one attachment as well.
S3: dict[int, tuple[str, list[str], dict[int, Callable[[Scenario], bool]]]] = {
    1: ("ConSer_CC_02.json", [POSITIVE], steps(1, "ok", lambda s: s.before != [])),
    7: ("ConSer_CC_09_reply.json", [NEGATIVE], steps(7, "fatal-error", refused_text)),
    13: ("ConSer_CC_03_attachment.json", [POSITIVE, POSITIVE], steps(13, "ok", nothing_first)),
    19: ("ConSer_CC_03_attachment.json", [NEGATIVE, NEGATIVE], steps(19, "fatal-error", nothing_first)),
    25: ("ConSer_CC_03_attachment.json", [POSITIVE, NEGATIVE], steps(25, "fatal-error", nothing_first)),
}
TO_FHIR = [pytest.param(first, step, id=f"S3-3.2.10.{step}") for first, (_, _, found) in S3.items() for step in found]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> dict[int, list[Scenario]]:
    return {
        first: [to_fhir(tmp_path_factory.mktemp("s3"), shared, name, kinds, turned=turned) for turned in (False, True)]
        for first, (name, kinds, _) in S3.items()
    }


@pytest.mark.parametrize(("first", "step"), TO_FHIR)
def test_protocol_s3(s3: dict[int, list[Scenario]], first: int, step: int) -> None:
    for scenario in s3[first]:
        assert S3[first][2][step](scenario)


def to_letters(directory: Path, shared: Path, ack: str, letters: list[Stored]) -> Scenario:
    state = State(directory / "state.db", NOW)
    engine = Engine(directory=DIRECTORY, store=state)
    for one in letters:
        state.add(one)  # type: ignore[arg-type]
    text = "Vedhæftning uden titel." if "AE" in ack else ""
    data = acknowledgement(shared, ack, text=text)
    scenario = Scenario(state.letters(HEADER), done=list(engine.convert(data, to="oioxml", name=ack)))
    for outcome in scenario.done:
        found = wrapped(outcome, engine.routes, IssueLog(), sent="2026-03-18T12:00:00") or b""
        scenario.envelopes.append(found.decode("utf-8"))
    state.__exit__(None, None, None)
    return scenario


def coupled(scenario: Scenario) -> bool:
    place = "OriginalEmessage.OriginalLetter[1]."
    found = [o.letter.values for o in scenario.done if o.letter]
    named = [(v[place + "OriginalLetterIdentifier"], v[place + "OriginalVersionCode"]) for v in found]
    envelopes = [v["OriginalEmessage.OriginalEnvelopeIdentifier"] for v in found]
    return named == [(o.letter_id, o.version_code) for o in scenario.originals] and envelopes == [
        o.envelope_id for o in scenario.originals
    ]


def are(kind: str, number: int) -> Callable[[Scenario], bool]:
    return lambda s: [o.type for o in s.done] == [kind] * number and all(codes(o, "error") == [] for o in s.done)


def packed(name: str) -> Callable[[Scenario], bool]:
    return lambda s: (
        all(f"<Name>MCM:{name}</Name>" in text for text in s.envelopes)
        and len({re.findall("<EnvelopeIdentifier>(.*)</", text)[0] for text in s.envelopes}) == len(s.done)
    )


def refusals(scenario: Scenario) -> list[str]:
    return [(o.letter.text("OriginalEmessage.RefuseText") or "") if o.letter else "" for o in scenario.done]


def said(scenario: Scenario) -> bool:
    return all(text.startswith("Vedhæftning uden titel.") for text in refusals(scenario))


def ready(scenario: Scenario) -> bool:
    return all(
        o.output is not None
        and o.letter is not None
        and o.letter.values["Envelope.AcknowledgementCode"] == "minuspositivkvitt"
        for o in scenario.done
    )


def enriched(scenario: Scenario) -> bool:
    return [text.count(SENTENCE) for text in refusals(scenario)] == [1]


OK, REFUSED = "ACK_OK_ConversionService.json", "Ack_3.3.2.1_A-AE.json"
S4: dict[int, tuple[str, list[Stored], dict[int, Callable[[Scenario], bool]]]] = {
    1: (OK, [letter("1")], {1: are("CTL03", 1), 2: ready, 3: coupled, 4: packed("XCTL03"), 5: ready}),
    6: (OK, [letter("1"), letter("2")], {6: are("CTL03", 2), 7: ready, 8: coupled, 9: packed("XCTL03"), 10: ready}),
    11: (
        REFUSED,
        [letter("1")],
        {11: are("CTL02", 1), 12: ready, 13: coupled, 14: said, 15: packed("XCTL02"), 16: ready},
    ),
    17: (
        REFUSED,
        [letter("1"), letter("2")],
        {17: are("CTL02", 2), 18: ready, 19: coupled, 20: said, 21: packed("XCTL02")},
    ),
    22: (
        REFUSED,
        [letter("1", fault="C91-21")],
        {22: are("CTL02", 1), 23: ready, 24: coupled, 25: said, 26: enriched, 27: packed("XCTL02")},
    ),
}
TO_LETTERS = [
    pytest.param(first, step, id=f"S4-3.2.11.{step}") for first, (_, _, found) in S4.items() for step in found
]


@pytest.fixture(scope="module")
def s4(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> dict[int, Scenario]:
    return {
        first: to_letters(tmp_path_factory.mktemp("s4"), shared, ack, letters)
        for first, (ack, letters, _) in S4.items()
    }


@pytest.mark.parametrize(("first", "step"), TO_LETTERS)
def test_protocol_s4(s4: dict[int, Scenario], first: int, step: int) -> None:
    assert S4[first][2][step](s4[first])
