"""A corpus with known answers: what an assessment has to find in it is counted while it is written, not by reading it.

Imports nothing of what is tested. The same size and seed give the same bytes. Persons are invented; their numbers have
serials 9989 to 9999 and a wrong check digit, so nobody can have them.

    python -m tests.assessment.known corpus/ --messages 200000 --seed 1
"""

from __future__ import annotations

import argparse
import json
import random
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

UNIT = 200
"""The number of messages is a multiple of this, so that every share is a whole number."""
STRANGE = "ZZZ99"
_START = datetime(2026, 1, 1, 6, 0)
_DAYS = 170
_WEIGHTS = (4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
_SURNAMES = ("Ahornkvist", "Birkelunding", "Cedermarksen", "Drueholtz", "Enebærsted")
_GIVEN = ("Alfrida", "Bertramine", "Cornelius", "Dagmarine", "Emanuella")

Lines = list[str]


def _without(tag: str) -> Callable[[Lines], Lines]:
    """The letter without its first segment that begins so."""

    def change(lines: Lines) -> Lines:
        at = next(n for n, line in enumerate(lines) if line.startswith(tag))
        return lines[:at] + lines[at + 1 :]

    return change


def _after(tag: str, *more: str) -> Callable[[Lines], Lines]:
    """The letter with further segments after the first one that begins so."""

    def change(lines: Lines) -> Lines:
        at = next(n for n, line in enumerate(lines) if line.startswith(tag))
        return [*lines[: at + 1], *more, *lines[at + 1 :]]

    return change


def _changed(old: str, new: str) -> Callable[[Lines], Lines]:
    """The letter with something else in place of a text."""

    def change(lines: Lines) -> Lines:
        assert any(old in line for line in lines), old
        return [line.replace(old, new) for line in lines]

    return change


DEVIATIONS: tuple[tuple[str, Callable[[Lines], Lines]], ...] = (
    ("segment that no layout has", _after("RFF+AHI", "QQQ+1")),
    ("other message function", _changed("BGM+EPI++9", "BGM+EPI++5")),
    ("no patient", _without("PNA+PAT")),
    ("no status of the letter", _without("GIS+N")),
    ("status of the patient twice", _after("PAS+POT", "PAS+POT")),
    ("no speciality", _without("SPR+ORG")),
    ("running number is another", _changed("SEQ++2", "SEQ++7")),
    ("time of the letter is repeated otherwise", _changed("DTM+182:", "DTM+182:19")),
    ("id of the letter is repeated otherwise", _changed("RFF+SRI:B", "RFF+SRI:C")),
    ("reference at the receiver", _after("SEQ++2", "RFF+AHL:1")),
    ("component too many", _changed("GIS+N", "GIS+N:X")),
    ("no time of the message", _without("DTM+137")),
)
"""Twelve ways to depart from the definition, each of its own."""


@dataclass
class Known:
    """What is in the corpus. Numbers of messages count from 1 in the order of the corpus."""

    messages: int = 0
    types: Counter[str] = field(default_factory=Counter)
    months: Counter[str] = field(default_factory=Counter)
    senders: Counter[str] = field(default_factory=Counter)
    wrong_cpr: int = 0
    old: int = 0
    unmapped: int = 0
    copies: int = 0
    clusters: Counter[str] = field(default_factory=Counter)
    members: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    receipts_expected: int = 0
    receipts: int = 0
    receipts_missing: int = 0
    receipts_late: int = 0
    receipts_orphan: int = 0
    receipt_minutes: Counter[int] = field(default_factory=Counter)
    attachments: int = 0
    attachments_missing: int = 0
    attachments_late: int = 0
    attachments_orphan: int = 0
    referrals: int = 0
    answered: int = 0
    answered_otherwise: int = 0
    unanswered: int = 0


@dataclass
class _Message:
    at: datetime
    type: str
    version: str
    sender: str
    receiver: str
    patient: str
    id: str
    asks: bool = False
    body: Lines = field(default_factory=list)
    deviation: str = ""
    change: Callable[[Lines], Lines] | None = None
    marks: tuple[str, ...] = ()


class _Writer:
    """Makes the messages of one corpus."""

    def __init__(self, messages: int, seed: int) -> None:
        if messages < UNIT or messages % UNIT:
            raise ValueError(f"the number of messages must be a multiple of {UNIT}")
        self.unit, self.rng, self.known = messages // UNIT, random.Random(seed), Known(messages)
        self.hospitals = [_gln(100 + n) for n in range(4)]
        self.practices = [_gln(200 + n) for n in range(4)]
        self.made: list[_Message] = []
        self.serial = 0

    def all(self) -> list[_Message]:
        """The messages in the order of the corpus; the answers are counted on the way."""
        u, known = self.unit, self.known
        for n, (name, change) in enumerate(DEVIATIONS):
            for _ in range(u * (3 - n // 4)):
                self._letter(deviation=name, change=change)
        for _ in range(14 * u):
            self._letter(version="D9133L", marks=("old",))
        for _ in range(6 * u):
            self._letter(patient=self._wrong_number(), marks=("wrong",))
        for n in range(24 * u):
            self._receipted(answered=n < 18 * u, late=n < 2 * u)
        for n in range(u):
            self._receipt("B99999999", "K99999999", self._time(), self.hospitals[0], self.practices[n % 4])
            known.receipts_orphan += 1
        for n in range(7 * u):
            self._named(held=n < 6 * u, late=n < 2 * u)
        for _ in range(u):
            self._object(self._time(), self._object_id(), self.hospitals[1], self.practices[1], self._number())
            known.attachments_orphan += 1
        for n in range(20 * u):
            self._referral(answer="DIS02" if n < 14 * u else "DIS01" if n < 16 * u else "")
        for _ in range(4 * u):
            self._strange()
        for _ in range(2 * u):
            self._twice()
        while len(self.made) < known.messages:
            self._letter()
        self.rng.shuffle(self.made)
        return self.made

    # -- messages ------------------------------------------------------------------------------------------------------

    def _letter(self, version: str = "D9134L", **facts: Any) -> _Message:
        facts = {"at": self._time(), "patient": self._number(), "id": self._id(), **facts}
        sender, receiver = self.rng.choice(self.hospitals), self.rng.choice(self.practices)
        made = _Message(type="DIS91", version=version, sender=sender, receiver=receiver, **facts)
        self.made.append(made)
        return made

    def _receipted(self, *, answered: bool, late: bool) -> None:
        letter, known = self._letter(asks=True), self.known
        known.receipts_expected += 1
        if not answered:
            known.receipts_missing += 1
            return
        minutes = self.rng.randint(121, 600) if late else self.rng.randint(0, 120)
        known.receipts += 1
        known.receipts_late += late
        known.receipt_minutes[minutes] += 1
        sent = letter.at + timedelta(minutes=minutes)
        self._receipt(letter.id, "K" + letter.id[1:], sent, letter.sender, letter.receiver)

    def _receipt(self, letter: str, envelope: str, at: datetime, sender: str, receiver: str) -> None:
        body = [f"UCI+{envelope}+{sender}:14+{receiver}:14+7", f"UCM+{letter}+MEDDIS:D:93A:UN:D9134L+7"]
        self.made.append(_Message(at, "CTL03", "C0330Q", receiver, sender, "", self._id(), body=body))

    def _named(self, *, held: bool, late: bool) -> None:
        one, known = self._object_id(), self.known
        # The objects of some letters come before the end of the corpus, those of the others never.
        letter = self._letter(marks=("names", one))
        if not held:
            known.attachments_missing += 1
            return
        known.attachments += 1
        known.attachments_late += late
        minutes = self.rng.randint(61, 300) if late else self.rng.randint(0, 60)
        self._object(letter.at + timedelta(minutes=minutes), one, letter.sender, letter.receiver, letter.patient)

    def _object(self, at: datetime, one: str, sender: str, receiver: str, patient: str) -> None:
        made = _Message(at, "BIN01", "B0131X", sender, receiver, patient, self._id(), marks=("holds", one))
        self.made.append(made)

    def _referral(self, answer: str) -> None:
        known, patient = self.known, self._number()
        practice, hospital = self.rng.choice(self.practices), self.rng.choice(self.hospitals)
        at = _START + timedelta(days=self.rng.randrange(60), minutes=self.rng.randrange(720))
        referral = _Message(at, "REF01", "H0130R", practice, hospital, patient, self._id())
        self.made.append(referral)
        known.referrals += 1
        known.answered += answer == "DIS02"
        known.answered_otherwise += answer == "DIS01"
        known.unanswered += not answer
        if answer:
            back = at + timedelta(days=self.rng.randint(1, 40))
            version = {"DIS01": "D0133L", "DIS02": "D0233L"}[answer]
            marks = ("answers", referral.id)
            self.made.append(_Message(back, answer, version, hospital, practice, patient, self._id(), marks=marks))

    def _strange(self) -> None:
        """A message of a type that nobody has defined."""
        self.known.unmapped += 1
        sender, receiver = self.rng.choice(self.hospitals), self.rng.choice(self.practices)
        body = ["BGM+EPI++9+NA", "QQQ+1"]
        self.made.append(_Message(self._time(), STRANGE, "Z9930L", sender, receiver, "", self._id(), body=body))

    def _twice(self) -> None:
        letter = self._letter()
        self.known.copies += 1
        self.made.append(letter)

    # -- identities ----------------------------------------------------------------------------------------------------

    def _id(self) -> str:
        self.serial += 1
        return f"B{self.serial:08d}"

    def _object_id(self) -> str:
        return f"{self.rng.getrandbits(128):032x}"

    def _time(self) -> datetime:
        return _START + timedelta(days=self.rng.randrange(_DAYS), minutes=self.rng.randrange(720))

    def _number(self) -> str:
        while True:
            day, month, year = self.rng.randint(1, 28), self.rng.randint(1, 12), self.rng.randint(40, 99)
            number = f"{day:02}{month:02}{year:02}{self.rng.randint(9989, 9999)}"
            if _wrong_check_digit(number):
                return number

    def _wrong_number(self) -> str:
        """A number whose day does not exist: 29 February of a year that is no leap year."""
        while True:
            number = f"2902{self.rng.randrange(41, 99, 2):02}{self.rng.randint(9989, 9999)}"
            if _wrong_check_digit(number):
                self.known.wrong_cpr += 1
                return number


def _wrong_check_digit(number: str) -> bool:
    return sum(w * int(d) for w, d in zip(_WEIGHTS, number, strict=True)) % 11 != 0


def _gln(n: int) -> str:
    digits = f"579000{n:06d}"
    sum_ = sum(int(d) * (3 if place % 2 else 1) for place, d in enumerate(digits))
    return f"{digits}{-sum_ % 10}"


# The bytes


def _bytes(message: _Message) -> bytes:
    lines = message.body or _BODIES[message.type](message)
    if message.change is not None:
        lines = message.change(lines)
    head = f"UNH+{message.id}+{_UNH.get(message.type, 'MEDZZZ')}:D:93A:{_AGENCY.get(message.type, 'UN')}"
    written = [f"{head}:{message.version}+{message.type}", *lines]
    written.append(f"UNT+{len(written) + 1}+{message.id}")
    envelope = "K" + message.id[1:]
    first = f"UNB+UNOC:3+{message.sender}:14+{message.receiver}:14+{message.at:%y%m%d:%H%M}+{envelope}"
    whole = [first + ("++++1" if message.asks else ""), *written, f"UNZ+1+{envelope}"]
    return ("UNA:+.? '" + "".join(line + "'" for line in whole)).encode("latin-1")


_UNH = {
    "DIS91": "MEDDIS",
    "DIS02": "MEDDIS",
    "DIS01": "MEDDIS",
    "REF01": "MEDREF",
    "BIN01": "MEDBIN",
    "CTL03": "CONTRL",
}
_AGENCY = {"CTL03": "ZZ"}


def _names(number: str) -> str:
    n = sum(map(int, number))
    return f"SU:{_SURNAMES[n % 5]}+FO:{_GIVEN[n % 4]}"


def _patient(number: str) -> str:
    return f"PNA+PAT+{number}:::CPR:IM+++{_names(number)}"


def _parties(message: _Message, type_: str, *, phone: bool = True) -> Lines:
    telephone = ["CON++70112233:TE"] if phone else []
    return [
        f"DTM+137:{message.at:%Y%m%d%H%M}:203",
        "S01+01",
        "NAD+SSP+9901010:SKS:SST++Nordfjord Sygehus:Medicinsk Afdeling:Afsnit M2:::US",
        "ADR++US:Sygehusvej 1+Nordfjord+9999",
        *telephone,
        "SEQ++1",
        f"SPR+ORG+1:SKS:SST+{type_}:SKS:SST",
        "S01+01",
        "NAD+PO+099901:YNR:SFU++Lægerne Havnegade:Lægehus:Læge Asta Prøve:::US",
        "ADR++US:Havnegade 12+Nordfjord+9999",
        "SEQ++2",
    ]


def _about(message: _Message) -> Lines:
    return ["S02+02", "GIS+N", f"RFF+SRI:{message.id}", f"DTM+182:{message.at:%Y%m%d%H%M}:203"]


def _correspondence(message: _Message) -> Lines:
    subject = [] if message.version == "D9133L" else ["FTX+OE+P00++Svar på forespørgsel"]
    named = ["S14+14", f"FTX+BIN+P00++Bilag:{message.marks[1]}:VGR:PDF:10"] if message.marks[:1] == ("names",) else []
    return [
        "BGM+EPI++9+NA",
        *_parties(message, "DIS91"),
        *_about(message),
        "S07+07",
        _patient(message.patient),
        "ADR++US:Strandvejen 8+Nordfjord+9999",
        "S11+11",
        "GIS+N",
        "RFF+AHI:1",
        "SEQ++1",
        "PAS+POT",
        "S14+14",
        *subject,
        f"FTX+NC+P00++Kære kollega.:Hemmelig oplysning nummer {message.id[1:]}.",
        *named,
    ]


def _discharge(message: _Message) -> Lines:
    return [
        "BGM+EPI++9+NA",
        *_parties(message, message.type, phone=False),
        *_about(message),
        "S05+05",
        "GIS+N",
        f"RFF+ROI:{message.marks[1]}",
        "S07+07",
        _patient(message.patient),
        "S11+11",
        "GIS+N",
        "RFF+AHI:1",
        "SEQ++1",
        "DTM+90:202601011105:203",
        "DTM+91:202601021300:203",
        "PAS+HA" if message.type == "DIS02" else "PAS+HS",
        "CIN+A+DJ189:SKS:SST:Pneumoni UNS",
        "S14+14",
        "FTX+NC+P00++Hemmelig epikrise.:Ingen klager.",
    ]


def _referred(message: _Message) -> Lines:
    at = f"{message.at:%Y%m%d%H%M}"
    return [
        "BGM+HNV++9+NA",
        f"DTM+137:{at}:203",
        *("S01+01", "NAD+PO+099901:YNR:SFU++Lægerne Havnegade:Lægehus:Læge Asta Prøve:::US"),
        *("ADR++US:Havnegade 12+Nordfjord+9999", "SEQ++1", "SPR+ORG+580:SKS:SST+REF01:SKS:SST"),
        *("S01+01", "NAD+SSP+9901010:SKS:SST++Nordfjord Sygehus:Medicinsk Afdeling:Afsnit M2:::US"),
        *("ADR++US:Sygehusvej 1+Nordfjord+9999", "SEQ++2"),
        *("S01+01", "NAD+BV+++Læge:Asta Prøve::::US", "RFF+AHL:1", "SEQ++3"),
        *("S02+02", "GIS+N", "RFF+ROI:_", f"DTM+4:{at}:203", "CIN+H+DM171:SKS::Primær artrose i knæ"),
        *("S06+06", "STS++NR", "S07+07", _patient(message.patient)),
        *("S12+12", "FTX+NC+P00++Hemmelig anamnese.", "S18+18", "GIS+N", "S19+19", "STS++NR"),
    ]


def _binary(message: _Message) -> Lines:
    one = message.marks[1]
    return [
        "BGM+OBJ++9+NA",
        *_parties(message, "BIN01"),
        *_about(message),
        "S07+07",
        _patient(message.patient),
        "S11+11",
        f"UNO+1+AID:{one}+OBJ:TXT:TXT:91+10:14:1:A",
        "0123456789UNP+10+1",
    ]


_BODIES = {"DIS91": _correspondence, "DIS01": _discharge, "DIS02": _discharge, "REF01": _referred, "BIN01": _binary}


def messages(number: int, seed: int = 1) -> tuple[Known, Iterator[bytes]]:
    """What is known of a corpus, and its messages in order."""
    writer = _Writer(number, seed)
    made, known = writer.all(), writer.known
    for n, message in enumerate(made, 1):
        known.types[f"{message.type} {message.version}"] += 1
        # Where nobody has defined a type, nobody knows where its date stands.
        known.months["" if message.type == STRANGE else f"{message.at:%Y-%m}"] += 1
        known.senders[message.sender] += 1
        known.old += "old" in message.marks
        if message.deviation:
            known.clusters[message.deviation] += 1
            known.members[message.deviation].append(n)
    return known, map(_bytes, made)


def write(folder: Path, number: int, seed: int = 1, *, in_archive: int = 1000) -> Known:
    """Write a corpus as archives into a new folder; returns what is known of it."""
    known, made = messages(number, seed)
    folder.mkdir(parents=True)
    for first in range(0, number, in_archive):
        with zipfile.ZipFile(folder / f"{first:09d}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for n in range(first, min(first + in_archive, number)):
                archive.writestr(zipfile.ZipInfo(f"{n:09d}.edi", (2026, 1, 1, 0, 0, 0)), next(made))
    return known


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a corpus, and what is known of it beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--messages", type=int, default=UNIT)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args(arguments)
    known = write(wanted.folder, wanted.messages, wanted.seed)
    beside = wanted.folder.with_name(wanted.folder.name + ".known.json")
    beside.write_text(json.dumps(vars(known), indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
