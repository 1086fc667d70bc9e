"""What messages are called where they are addressed: the table `routes.yaml` of the mapping files.

The organisation table and VANS envelopes name messages by their type in the SOR register (one name a syntax). Which
name a message has, which names stand for the same content, and who sends it to whom is decided here, by data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter.issues import Severity, declare
from converter.letter import Letter
from converter.yamlfile import Fields, Map, Str, load

FILE = "routes.yaml"
FHIR, OIOXML, EDIFACT = "fhir", "oioxml", "edifact"
_FIELD = re.compile(r"\{(?:type|version)\}")

TABLE = declare(
    "LNT290",
    "routes-table",
    Severity.ERROR,
    "{problem}",
    why="Messages could be neither routed nor put into envelopes.",
    help="Compare with the file routes.yaml that comes with the program.",
)


@dataclass(frozen=True, slots=True)
class Name:
    """What a message is called: `XDIS91` in version `XD9134L`, with the code behind it in envelopes (or empty)."""

    name: str
    version: str
    format: str
    postfix: str = ""
    mime: str = ""

    @property
    def token(self) -> str:
        """As in the organisation table: NAME@VERSION."""
        return f"{self.name}@{self.version}"

    @property
    def document(self) -> str:
        """As in an envelope's Document/Name."""
        return f"MCM:{self.name}" + (f"#{self.postfix}" if self.postfix else "")


@dataclass(frozen=True, slots=True)
class FhirMessage:
    """One row of `fhir:`."""

    name: str
    profile: str = ""
    event: str = ""
    letters: tuple[str, ...] = ()
    version: str = ""
    also: tuple[str, ...] = ()
    postfix: str = ""


@dataclass(frozen=True, slots=True)
class Syntax:
    """One row of `letters:`: how letters are called in a syntax."""

    format: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Routes:
    """The table."""

    letters: Mapping[str, Syntax]
    fhir: Mapping[str, FhirMessage]
    fhir_format: str
    sender: str
    receiver: str
    key: tuple[str, ...]
    gln: frozenset[str]
    _profiles: Mapping[str, FhirMessage] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Routes:
        """Read the table. Raises `MappingError` with all its faults, `OSError` if it cannot be read."""
        return _Reader(load(path)).routes()

    def of_letter(self, type: str, version: str, syntax: str) -> Name:  # noqa: A002 - the word of the field
        """What a letter is called in a syntax."""
        row = self.letters[syntax]
        facts = {"type": type, "version": version}
        return Name(row.name.format(**facts), row.version.format(**facts), row.format)

    def of_bundle(self, bundle: Mapping[str, Any]) -> Name | None:
        """What a Bundle is called; None for one that has no name in the register."""
        row = self.message(bundle)
        if row is None:
            return None
        postfix = _at(bundle, row.postfix) if row.postfix else ""
        return Name(row.name, row.version, self.fhir_format, postfix, "application/fhir+json")

    def message(self, bundle: Mapping[str, Any]) -> FhirMessage | None:
        """The row of a Bundle: by its profile, else by the event of its header."""
        meta = bundle.get("meta")
        profiles = meta.get("profile") if isinstance(meta, dict) else None
        for url in profiles if isinstance(profiles, list) else ():
            if isinstance(url, str) and (row := self._profiles.get(url.partition("|")[0])):
                return row
        event = _at(bundle, "MessageHeader.eventCoding.code")
        return next((row for row in self.fhir.values() if event and row.event == event), None)

    def parties(self, letter: Letter | None, bundle: Mapping[str, Any] | None) -> tuple[str, str]:
        """The location numbers of sender and receiver; empty where there is none. A Bundle is asked before a letter."""
        if bundle is not None:
            header = next(_resources(bundle, "MessageHeader"), {})
            destinations = [d for d in _listed(header.get("destination")) if isinstance(d, dict)]
            to = next(filter(_primary, destinations), destinations[0] if destinations else {})
            return self._gln(bundle, header.get("sender")), self._gln(bundle, to.get("receiver"))
        if letter is None:
            return "", ""
        return letter.text(self.sender) or "", letter.text(self.receiver) or ""

    def _gln(self, bundle: Mapping[str, Any], reference: object) -> str:
        target = reference.get("reference") if isinstance(reference, dict) else None
        if not isinstance(target, str) or not target:
            return ""
        for organisation in _resources(bundle, "Organization", target):
            for identifier in _listed(organisation.get("identifier")):
                if isinstance(identifier, dict) and identifier.get("system") in self.gln:
                    return str(identifier.get("value", ""))
        return ""


def _primary(destination: Mapping[str, Any]) -> bool:
    """Whether this is the receiver and not somebody who gets a copy (MedCom's extension destinationUse)."""
    codings = [e.get("valueCoding") for e in _listed(destination.get("extension")) if isinstance(e, dict)]
    return any(isinstance(coding, dict) and coding.get("code") == "primary" for coding in codings)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _resources(bundle: Mapping[str, Any], kind: str, target: str = "") -> Iterator[dict[str, Any]]:
    """The resources of that type; with `target` only the one that the reference means."""
    for entry in _listed(bundle.get("entry")):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict) or resource.get("resourceType") != kind:
            continue
        if not target or target in (entry.get("fullUrl"), f"{kind}/{resource.get('id')}"):
            yield resource


def _at(bundle: Mapping[str, Any], path: str) -> str:
    """The first text at a path of a resource type (`Communication.category.coding.code`), empty if there is none."""
    kind, *steps = path.split(".")
    for found in _resources(bundle, kind):
        values: list[Any] = [found]
        for step in steps:
            below = [v.get(step) for v in values if isinstance(v, dict)]
            values = [v for value in below for v in (value if isinstance(value, list) else [value])]
        texts = [v for v in values if isinstance(v, str)]
        if texts:
            return texts[0]
    return ""


_TOP = ("letters", "fhir_format", "fhir", "sender", "receiver", "key", "gln")
_ROW = ("profile", "event", "letters", "version", "postfix")


class _Reader(Fields):
    """From YAML to the table; all faults together."""

    def __init__(self, table: Map) -> None:
        super().__init__(TABLE)
        self._table = table

    def routes(self) -> Routes:
        table = self._table
        self.keys(table, _TOP, (), "the table")
        rows = self.mapping(table.get("letters"), table, "letters")
        letters = {str(syntax): self._syntax(syntax, row) for syntax, row in rows.items()}
        for syntax in (EDIFACT, OIOXML):
            if syntax not in letters:
                self.fault(table, f"letters has no row {syntax}")
        messages = self.mapping(table.get("fhir"), table, "fhir")
        fhir = {str(name): self._message(name, row) for name, row in messages.items()}
        texts = {key: self.text(table, key) for key in ("fhir_format", "sender", "receiver")}
        lists = {key: self.texts(table, key) for key in ("key", "gln")}
        self.raise_faults()
        profiles = {row.profile: row for row in fhir.values()}
        return Routes(letters, fhir, **texts, key=lists["key"], gln=frozenset(lists["gln"]), _profiles=profiles)

    def _syntax(self, name: Str, row: Any) -> Syntax:
        row = self.mapping(row, name, name)
        self.keys(row, ("format", "name", "version"), (), str(name))
        texts = {key: self.text(row, key) for key in ("format", "name", "version")}
        if any(set("{}") & set(_FIELD.sub("", text)) for text in texts.values()):
            self.fault(name, f"{name}: only {{type}} and {{version}} may stand in braces")
        return Syntax(**texts)

    def _message(self, name: Str, row: Any) -> FhirMessage:
        row = self.mapping(row, name, name)
        self.keys(row, _ROW, ("also",), str(name))
        texts = {key: self.text(row, key) for key in ("profile", "event", "version", "postfix")}
        return FhirMessage(str(name), letters=self.texts(row, "letters"), also=self.texts(row, "also"), **texts)
