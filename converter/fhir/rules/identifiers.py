"""Invariants on identifiers: GLN, SOR, CPR and its replacements, CVR, authorisation id, UUIDs.

`matches` looks for the pattern anywhere in the value unless the pattern is anchored, as HL7's engine does. A value that
is only an extension (data-absent-reason) gives an empty result, which breaks the rule.
"""

from __future__ import annotations

import re
from typing import Any

from converter.fhir.rules.invariants import native
from converter.fhir.run import Run

_DAY = (
    r"(?:(?:(?:0[1-9]|1[0-9]|2[0-9]|3[0-1])(?:01|03|05|07|08|10|12))"
    r"|(?:(?:0[1-9]|1[0-9]|2[0-9]|30)(?:04|06|09|11))|(?:(?:0[1-9]|1[0-9]|2[0-9])02))"
)
_HEX = "urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UUID = re.compile(_HEX)
_ANCHORED = {
    "cpr/5a7339f2": _DAY + "[0-9]{6}",
    "gln-length/534287d9": "[0-9]{13}",
    "CVR-length/2de87fa0": "[0-9]{8}",
    "min-digits-sor/86c3ec91": "[0-9]{11,}",
    "authorization-id-format/b2c6f077": "[b-df-hj-np-tv-zB-DF-HJ-NP-TV-Z0-9]{5}",
}
_ANYWHERE = {
    "uuid/a2071540 medcom-uuidv4/a2071540": _HEX,
    "uuidv5/6c3b8dbe": (
        "urn:uuid:[a-fA-F0-9]{8}-[a-fA-F0-9]{4}-[5][a-fA-F0-9]{3}-[89aAbB][a-fA-F0-9]{3}-[a-fA-F0-9]{12}"
    ),
    "medcom-core-contact/7b7103b4": "[+]?[-0-9]",
}
_REPLACEMENT = {
    "x-ecpr/40ba79c7": _DAY + "[0-9]{2}[17][A-Z]{2}[0-9]",
    "d-ecpr/8e70690d": _DAY + "[0-9]{2}[056][A-Z]{2}[0-9]",
}
_GLN_WEIGHTS = (1, 3) * 6
_CVR_WEIGHTS = (2, 7, 6, 5, 4, 3, 2, 1)


def _matcher(pattern: re.Pattern[str]) -> Any:
    search = pattern.search

    def check(value: Any, run: Run) -> bool:
        if value.__class__ is str:
            return search(value) is not None
        return value is not None  # a value of another JSON type has been reported as that

    return check


# `$` matches before a final newline in some engines: FHIR values are trimmed, so the strict end is the safe reading.
for _keys, _text in {**_ANCHORED, **_REPLACEMENT}.items():
    native(*_keys.split())(_matcher(re.compile(rf"\A(?:{_text})\Z")))
for _keys, _text in _ANYWHERE.items():
    native(*_keys.split())(_matcher(re.compile(_text)))


def _weighted(value: Any, weights: tuple[int, ...]) -> int | None:
    digits = value[: len(weights)]
    if len(digits) < len(weights) or not digits.isascii() or not digits.isdigit():
        return None
    return sum(int(d) * w for d, w in zip(digits, weights, strict=True))


@native("gln-modulus-10/0695d06d")
def gln_check_digit(value: Any, run: Run) -> bool:
    """The thirteenth digit of a GLN completes the weighted sum of the others to a multiple of ten (GS1)."""
    if value.__class__ is not str:
        return value is not None
    total = _weighted(value, _GLN_WEIGHTS)
    return total is not None and value[12:13].isdigit() and (10 - total % 10) % 10 == int(value[12])


@native("CVR-modulus-11/7eb4eb8f")
def cvr_check(value: Any, run: Run) -> bool:
    """The weighted sum of a CVR number is a multiple of eleven."""
    if value.__class__ is not str:
        return value is not None
    total = _weighted(value, _CVR_WEIGHTS)
    return total is not None and total % 11 == 0


@native("medcom-uuidv4/a5f0f9af")
def identifier_is_uuid(value: Any, run: Run) -> bool:
    """The same as for Identifier.value, written on the Identifier."""
    text = value.get("value") if isinstance(value, dict) else None
    return _UUID.search(text) is not None if isinstance(text, str) else "value" in (value or ())


@native("dk-core-organization-mandatory-identifier/df1e6d2a")
def organization_has_national_identifier(value: Any, run: Run) -> bool:
    """An organization has an SOR, KOMBIT or CVR identifier (the CVR system as the rule writes it)."""
    systems = ("urn:oid:1.2.208.176.1.1", "https://kombit.dk/sts/organisation", "urn:oid:2.16.840.1.113883.2.24.1.1")
    listed = value.get("identifier")
    return isinstance(listed, list) and any(isinstance(i, dict) and i.get("system") in systems for i in listed)
