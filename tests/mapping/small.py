"""Small invented mappings: a folder from text, a letter there and back, ledgers that must balance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from converter.fhir import bundle as fhir
from converter.issues import Issue, IssueLog
from converter.ledger import Ledger, leaves_of
from converter.letter import Letter, Value, counts_of
from converter.mapping import Context, Mapping, Mappings

LOSSES = """
losses:
  C91-18: {severity: info, what: empty element, says: a test}
  C91-22: {severity: warn, what: value that no rule carries, says: a test}
  F91-24: {severity: warn, what: value that no table names, says: a test}
  T-1: {severity: warn, what: something, says: a test}
  T-2: {severity: info, what: something else, says: a test}
"""
HEAD = """
mapping: small
letter: SMALL
version: S0100L
bundle: http://example.org/message
fullurl: http://example.org
uses: [slices]
needed: [header]
ids: {key: [Letter.Identifier], bundle: [Letter.Identifier]}
origin: {system: "http://example.org/letter", values: [Letter.Identifier]}
"""
HEADER = """
  header:
    type: MessageHeader
    profile: http://example.org/header
    found: $first
    rules:
      focus: {ref: focus, to: "focus[0]"}
  focus:
    type: Composition
    profile: http://example.org/focus
    found: header.focus[0]
"""
REST = """
not_carried:
  - {path: Bundle.type, constant: message}
  - {path: Bundle.identifier, constant: any}
"""
SECTIONS = """slices:
  section[first]:
    on: code.coding.code
    is: "1-1"
    also: ["9-9"]
    write: {title: One, code: {coding: [{system: "u:s", code: "1-1"}]}}
  section[second]:
    on: code.coding.code
    is: "2-2"
    write: {title: Two, code: {coding: [{system: "u:s", code: "2-2"}]}, text: {status: additional}}
  extension[parts]: {url: u:parts}
  extension[department]: {url: u:department}
  extension[unit]: {url: u:unit}
"""


def small(resources: str, rest: str = REST) -> str:
    """A mapping file whose last resource `focus` goes on with these lines."""
    return f"{HEAD}resources:{HEADER}{resources}{rest}"


def load(
    folder: Path,
    *texts: str,
    slices: str = "slices: {}",
    parts: str = "",
    codes: str = "",
    leaves: set[str] | None = None,
) -> Mappings:
    """Write the files and load them. Raises `MappingError` as `Mappings.load` does."""
    for name in ("fhir/parts", "codes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "losses.yaml").write_text(LOSSES)
    (folder / "fhir/parts/slices.yaml").write_text(slices)
    if parts:
        (folder / "fhir/parts/shared.yaml").write_text(parts)
    if codes:
        (folder / "codes/codes.yaml").write_text(codes)
    for number, text in enumerate(texts):
        (folder / f"fhir/{number}.yaml").write_text(text)
    return Mappings.load(folder, lambda type_: leaves)


def load_types(folder: Path, *texts: str, known: dict[str, set[str]]) -> list[Mapping]:
    """As `load`, with the elements of several letters, by their type. Without texts: what stands there already."""
    if not texts:
        return Mappings.load(folder, known.get).mappings
    (folder / "losses.yaml").write_text(LOSSES)
    (folder / "fhir/parts/slices.yaml").write_text("slices: {}")
    for number, text in enumerate(texts):
        (folder / f"fhir/{number}.yaml").write_text(text)
    return load_types(folder, known=known)


def places(issues: list[Issue]) -> list[tuple[str, str, int]]:
    """Code, file and line of each fault."""
    return [(i.code, i.at.file, i.at.line) for i in issues]


def there(mapping: Mapping, values: dict[str, Value]) -> tuple[dict[str, Any], Ledger]:
    """The Bundle of a letter; the ledger balances."""
    values = {"Letter.Identifier": "L1", **values}
    letter, log = Letter(mapping.letter, "S0100L", "test", values, counts_of(values)), IssueLog()
    bundle, ledger = mapping.to_fhir(letter, Context(), log)
    ledger.check(leaves_of(letter), log)
    assert not [i for i in log if i.code == "SYS001"]
    assert bundle is not None
    return json.loads(json.dumps(bundle)), ledger


def back(mapping: Mapping, bundle: dict[str, Any], *, born: str = "") -> tuple[dict[str, Value], Ledger]:
    """The letter's values of a Bundle; the ledger balances."""
    log, leaves = IssueLog(), fhir.leaves(bundle)
    letter, ledger = mapping.from_fhir(bundle, Context(born=born), log, lambda: iter(leaves))
    ledger.check([pointer for pointer, _, _ in leaves], log)
    assert not [i for i in log if i.code == "SYS001"]
    assert letter is not None
    return letter.values, ledger


def returns(mapping: Mapping, values: dict[str, Value]) -> dict[str, Any]:
    """The Bundle of a letter that comes back as it was, and gives the same Bundle again; nothing is lost either way."""
    values = {"Letter.Identifier": "L1", **values}
    bundle, ledger = there(mapping, values)
    assert [e for e in ledger.entries if str(e.disposition) == "lost"] == []
    again, taken = back(mapping, bundle)
    assert again == values
    assert there(mapping, again)[0] == bundle
    assert [e for e in taken.entries if str(e.disposition) in ("lost", "ignored")] == []
    return bundle


def resource(bundle: dict[str, Any], kind: str) -> dict[str, Any]:
    """The one resource of a type."""
    (found,) = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]
    return found  # type: ignore[no-any-return]
