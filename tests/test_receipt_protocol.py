"""Receipts and Acknowledgements by the steps of the test protocol of MedCom's conversion service, named as there.

3.2.10 is its use case S3 (receipts of letters to FHIR), 3.2.11 is S4 (Acknowledgements to letters).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from converter.engine import Engine, Outcome
from converter.issues import IssueLog
from converter.originals import Original
from converter.records import State
from converter.vans import wrapped
from tests.made_receipts import (
    DIRECTORY,
    HEADER,
    NEGATIVE,
    NOW,
    POSITIVE,
    SENTENCE,
    Stored,
    acknowledgement,
    answer,
    codes,
    letter,
    resources,
    texts,
)


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
