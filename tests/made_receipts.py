"""Receipts and Acknowledgements made for tests, and a store of messages that they answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from converter.directory import Directory
from converter.engine import Engine, Outcome
from converter.issues import IssueLog
from converter.letter import Letter
from converter.records import State
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


def acknowledgement(shared: Path, name: str, header: str = HEADER, text: str = "") -> bytes:
    """An Acknowledgement of MedCom's to a FHIR message, with its faults repaired: no time, parties of another flow."""
    bundle = json.loads((shared / "samples/conversion-service" / name).read_text("utf-8"))
    bundle["timestamp"] = "2026-03-18T11:20:00+01:00"
    bundle["entry"][0]["resource"]["response"]["identifier"] = header
    if text:
        (found,) = resources(bundle, "OperationOutcome")
        found["issue"][0]["details"]["text"] = text
    return json.dumps(bundle).encode()
