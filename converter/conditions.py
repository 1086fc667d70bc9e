"""The coded diagnoses of letters as MedCom ConditionList documents, one a patient (`conditionlist.yaml`).

Nothing is inferred: an entry is one diagnosis of one letter, names that letter, and is unconfirmed. The profile demands
that an entry says whether it is current; letters do not tell, so `current` is written and reported (MAP063).

The corpus may be of any size: entries wait in a temporary SQLite file, readable by its owner only, and one document is
made at a time.
"""

from __future__ import annotations

import json
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from converter.errors import InterchangeError
from converter.identifiers import cpr_birth_date
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.letter import Letter
from converter.mapping.ids import Minter, netstrings
from converter.mapping.local_time import to_instant
from converter.mapping.rules import BAD_FORM, UNKNOWN_NAME
from converter.yamlfile import Map, fault, load

if TYPE_CHECKING:
    from converter.directory import Organisation

FILE = "conditionlist.yaml"
BASE = "http://medcomfhir.dk/ig/conditionlist"
PROFILE = f"{BASE}/StructureDefinition/medcom-conditionlist"
BUNDLE = f"{PROFILE}-bundle"
PATIENT = "http://medcomfhir.dk/ig/document/StructureDefinition/medcom-document-patient"
TERMS = "http://terminology.hl7.org/CodeSystem"
UNKNOWN = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}

_ELEMENTS = ("code", "list", "text", "role", "date", "time", "number", "family", "given")
_OTHERS = ("diagnoses", "not_roles", "lists", "letter", "key", "written", "title", "note")

NOT_LISTED = declare(
    "MAP061",
    "diagnosis-not-listed",
    Severity.INFO,
    "{number} diagnoses of this letter have no code of a list that a ConditionList takes",
    why="They are not in the patient's list: a list of conditions holds codes, and words are no codes.",
    help="`mappings/conditionlist.yaml` names the lists. The letter itself has the diagnosis.",
)
NOBODY = declare(
    "MAP062",
    "diagnosis-of-nobody",
    Severity.WARNING,
    "the diagnoses of this letter are in no list: its patient has no CPR number",
    why="MedCom's ConditionList names its patient by a CPR number; a replacement number may stand for several persons.",
    help="Give the patient's number to the letter, or tell these diagnoses otherwise.",
)
ASSUMED = declare(
    "MAP063",
    "condition-status-assumed",
    Severity.INFO,
    "{number} entries are called current, since the profile demands a status and letters tell none",
    why="A diagnosis of an old letter may have been over for years.",
    help="Every entry is unconfirmed and names its letter; a clinician has to decide.",
)


@dataclass(frozen=True)
class Table:
    """`conditionlist.yaml`: where letters have diagnoses, and how a list says it."""

    facts: Map

    @classmethod
    def load(cls, folder: Path) -> Table:
        """The table of a mapping folder. Raises `InterchangeError` where there is none."""
        path = folder / FILE
        if not path.is_file():
            raise InterchangeError(f"there is no table of diagnoses: {path}")
        return cls(load(path, name=FILE))

    def leaf(self, name: str) -> str:
        """The path of an element."""
        return str(self.facts[name])

    def leaves(self, name: str) -> list[str]:
        """The paths of several elements."""
        return [str(path) for path in self.facts[name]]


def check(table: Table, leaves: Set[str]) -> list[Issue]:
    """What is wrong with a table; `leaves` are those of all letters, without indices."""
    facts, found = table.facts, []
    for key in (*_ELEMENTS, *_OTHERS):
        if key not in facts:
            found.append(fault(BAD_FORM, facts, problem=f"`{key}` is needed"))
    if found:
        return found
    groups = [place[key] for place in facts["diagnoses"] for key in ("group", "joined") if key in place]
    paths = [(group, f"{group}.{table.leaf('code')}") for group in groups]
    paths += [(path, path) for key in ("number", "family", "given") for path in [table.leaf(key)]]
    paths += [(path, path) for key in ("letter", "key", "written") for path in table.leaves(key)]
    for value, path in paths:
        if path not in leaves:
            found.append(fault(UNKNOWN_NAME, value, what="the element", name=path))
    for known in facts["lists"].values():
        try:
            re.compile(str(known["form"]))
        except (re.error, KeyError):
            found.append(fault(BAD_FORM, known, problem="the `form` of a list is missing, or no regular expression"))
    return found


class Lists:
    """Gathers diagnoses from letters in any order, and gives them as documents. Use as a context manager."""

    def __init__(self, table: Table) -> None:
        self.table, self.entries = table, 0
        handle, name = tempfile.mkstemp(prefix="medcom-fhir-", suffix=".sqlite")  # mode 0600
        self._path = Path(name)
        with open(handle, "rb"):
            pass
        self._store = sqlite3.connect(name, isolation_level=None)
        # Nothing has to survive: the file goes when the run ends.
        for line in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", "temp_store = FILE"):
            self._store.execute(f"PRAGMA {line}")
        columns = "patient TEXT, key TEXT, leaf TEXT, seq INTEGER, entry TEXT"
        self._store.execute(f"CREATE TABLE entries ({columns}, PRIMARY KEY (patient, key, leaf)) WITHOUT ROWID")
        self._store.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._store.close()
        with suppress(OSError):
            self._path.unlink()

    def add(self, letter: Letter, at: Location, log: IssueLog) -> None:
        """Take the diagnoses of a letter; the same letter again, in any syntax, adds nothing."""
        found, left_out = _diagnoses(letter, self.table)
        if left_out:
            log.add(NOT_LISTED, at, number=left_out)
        if not found:
            return
        number = str(letter.values.get(self.table.leaf("number"), ""))
        if cpr_birth_date(number) is None:
            log.add(NOBODY, at)
            return
        key = json.dumps([letter.type, *(str(letter.values.get(path, "")) for path in self.table.leaves("key"))])
        for leaf, entry in found:
            row = (number, key, leaf, self.entries, json.dumps(entry))
            self.entries += self._store.execute("INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?)", row).rowcount

    def documents(self, author: Organisation, on: str = "") -> Iterator[dict[str, Any]]:
        """A document for each patient, in the order in which the corpus names them first.

        `on` is when the lists are made, an instant; without it each list is as old as its newest letter.
        """
        firsts = self._store.execute("SELECT patient, MIN(seq) AS first FROM entries GROUP BY patient ORDER BY first")
        for patient, _ in firsts:
            query = "SELECT entry FROM entries WHERE patient = ? ORDER BY seq"
            entries = [json.loads(row[0]) for row in self._store.execute(query, (patient,))]
            yield _document(patient, entries, author, on, self.table)

    def report(self, log: IssueLog) -> None:
        """Say what was assumed of all entries."""
        if self.entries:
            log.add(ASSUMED, number=self.entries)


# -- what a letter says


def _diagnoses(letter: Letter, table: Table) -> tuple[list[tuple[str, dict[str, Any]]], int]:
    """The coded diagnoses of a letter by their group, and how many others it has."""
    found, left_out = [], 0
    for place in table.facts["diagnoses"]:
        group = str(place["group"])
        for prefix in _occurrences(letter, group):
            entry = _entry(letter, prefix, place, table)
            if entry is None:
                continue
            if entry:
                found.append((prefix, entry))
            else:
                left_out += 1
    return found, left_out


def _occurrences(letter: Letter, group: str) -> list[str]:
    """The leaf id prefixes of a group, one for each time that it stands."""
    count = letter.counts.get(group)
    if count is not None:
        return [f"{group}[{n}]." for n in range(1, count + 1)]
    return [f"{group}."] if any(leaf.startswith(f"{group}.") for leaf in letter.values) else []


def _entry(letter: Letter, prefix: str, place: Mapping[str, Any], table: Table) -> dict[str, Any] | None:
    """What a list says of a diagnosis; empty if it has no code of its own, None if it is no diagnosis."""

    def value(name: str) -> str:
        return str(letter.values.get(prefix + table.leaf(name), ""))

    if value("role") in table.facts["not_roles"]:
        return None
    known = table.facts["lists"].get(value("list") or str(place.get("list", "")))
    code = value("code")
    if known is None or not re.fullmatch(str(known["form"]), code):
        return {}
    if "joined" in place:
        more = (letter.values.get(p + table.leaf("code"), "") for p in _occurrences(letter, str(place["joined"])))
        code = "+".join([code, *(str(one) for one in more if one)])
    date, time = (str(letter.values.get(path, "")) for path in table.leaves("written"))
    written, made = to_instant(date, time)[0], to_instant(value("date"), value("time"))[0]
    return {
        "code": code,
        "system": str(known["system"]),
        "text": value("text"),
        "recorded": made or written,
        "written": written or "",
        "letter": "#".join(str(letter.values.get(path, "")) for path in table.leaves("letter")),
        "label": str(table.facts["note"]).format(type=letter.type, date=date),
        "leaf": prefix,
        "family": str(letter.values.get(table.leaf("family"), "")),
        "given": str(letter.values.get(table.leaf("given"), "")),
    }


# -- the document


def _document(
    number: str, entries: Sequence[Mapping[str, Any]], author: Organisation, on: str, table: Table
) -> dict[str, Any]:
    newest = max(entries, key=lambda entry: str(entry["written"]))
    moment = on or newest["written"]
    # Ids follow from letters and places alone: nothing of the patient.
    mint = Minter(netstrings(["conditionlist", author.gln, moment, *(f"{e['letter']} {e['leaf']}" for e in entries)]))
    patient, organisation = mint.v5("Patient"), mint.v5("Organization")
    conditions = [_condition(entry, mint.v5("Condition", str(n)), patient) for n, entry in enumerate(entries)]
    composition = {
        "resourceType": "Composition",
        "id": mint.v5("Composition"),
        "meta": {"profile": [f"{PROFILE}-composition"]},
        "language": "da",
        "status": "final",
        "type": _coded("http://loinc.org", "11450-4", "Problem list - Reported"),
        "subject": {"reference": f"Patient/{patient}"},
        "date": moment,
        "author": [{"reference": f"Organization/{organisation}"}],
        "title": str(table.facts["title"]),
        "confidentiality": "N",
        "section": [{"entry": [{"reference": f"Condition/{one['id']}"} for one in conditions]}],
    }
    resources = [composition, _patient(number, newest, patient), _organisation(author, organisation), *conditions]
    return {
        "resourceType": "Bundle",
        "id": mint.v5("Bundle"),
        "meta": {"profile": [BUNDLE]},
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{mint.v5('identifier')}"},
        "type": "document",
        "timestamp": moment,
        "entry": [{"fullUrl": f"{BASE}/{r['resourceType']}/{r['id']}", "resource": r} for r in resources],
    }


def _coded(system: str, code: str, display: str = "") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, **({"display": display} if display else {})}]}


def _condition(entry: Mapping[str, Any], id_: str, patient: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": id_,
        "meta": {"profile": [f"{PROFILE}-condition"]},
        "verificationStatus": _coded(f"{TERMS}/condition-ver-status", "unconfirmed"),
        "category": [
            _coded("http://snomed.info/sct", "15240007"),
            _coded(f"{TERMS}/condition-category", "encounter-diagnosis"),
        ],
        "code": {**_coded(entry["system"], entry["code"]), **({"text": entry["text"]} if entry["text"] else {})},
        "subject": {"reference": f"Patient/{patient}"},
        **({"recordedDate": entry["recorded"]} if entry["recorded"] else {"_recordedDate": UNKNOWN}),
        "evidence": [{"detail": [{"identifier": _letter(entry), "display": entry["label"].partition(".")[0]}]}],
        "note": [{"text": entry["label"]}],
    }


def _letter(entry: Mapping[str, Any]) -> dict[str, str]:
    """The letter that an entry is from: the number of its sender, and the id that the sender gave it."""
    return {"system": "https://medcom-fhir.org/fhir/sid/medcom-brev", "value": entry["letter"]}


def _patient(number: str, newest: Mapping[str, Any], id_: str) -> dict[str, Any]:
    """The patient as the newest letter names it. Letters tell no gender; the birth date is that of the number."""
    born, given = cpr_birth_date(number), newest["given"].split()
    return {
        "resourceType": "Patient",
        "id": id_,
        "meta": {"profile": [PATIENT]},
        "identifier": [{"system": "urn:oid:1.2.208.176.1.2", "value": number}],
        "name": [
            {
                "use": "official",
                "family": newest["family"],
                **({"given": given} if given else {"_given": [UNKNOWN]}),
            }
        ],
        "gender": "unknown",
        **({"birthDate": born.isoformat()} if born else {"_birthDate": UNKNOWN}),
    }


def _organisation(author: Organisation, id_: str) -> dict[str, Any]:
    """Who made the list: the organisation that runs the export."""
    numbers = [("urn:oid:1.2.208.176.1.1", author.sor), ("https://www.gs1.org/gln", author.gln)]
    return {
        "resourceType": "Organization",
        "id": id_,
        "meta": {"profile": [f"{PROFILE}-organization"]},
        "identifier": [{"system": system, "value": value} for system, value in numbers if value],
        "name": author.name or author.gln,
    }
