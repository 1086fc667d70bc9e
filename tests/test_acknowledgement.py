"""Receipts and Acknowledgements: what they answer, and when two make one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from converter.cli import program
from converter.directory import Directory
from converter.engine import Engine
from converter.issues import IssueLog
from converter.records import State
from tests.cases import FIXTURES, only
from tests.made_receipts import (
    DIRECTORY,
    DOCTOR,
    HEADER,
    HOSPITAL,
    NEGATIVE,
    NOW,
    OPERATOR,
    POSITIVE,
    SENTENCE,
    TABLE,
    Desk,
    Stored,
    acknowledgement,
    answer,
    codes,
    letter,
    receipt,
    resources,
    texts,
)


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


def test_a_party_that_is_not_named_has_no_line_in_the_ledger() -> None:
    """Nothing differs from the parties of the receipt where nothing stands: ACK-06 tells of a value, not of a gap."""
    data = receipt(POSITIVE, "1", letters="BREV1 BREV2").replace(f"+{DOCTOR}:14+7'".encode(), b"'")
    for done in Engine(directory=DIRECTORY).convert(data, name="message"):
        assert "SYS001" not in codes(done)
        assert done.ledger is not None
        assert done.letter is not None
        assert sorted(entry.leaf for entry in done.ledger.entries) == sorted(done.letter.values)


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
