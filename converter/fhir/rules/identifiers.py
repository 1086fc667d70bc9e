"""Invariants on identifiers: GLN, SOR, CPR and its replacements, CVR, authorisation id, UUIDs.

`matches` looks for the pattern anywhere in the value unless the pattern is anchored, as HL7's engine does. A value that
is only an extension (data-absent-reason) gives an empty result, which breaks the rule. Several rules have two forms:
`matches(…)` and `value.matches(…)`, which stands on the value itself (dk-core 2.0.0) or on the Identifier.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from converter.fhir.rules.invariants import Check, native
from converter.fhir.run import Run

_DAY = (
    r"(?:(?:(?:0[1-9]|1[0-9]|2[0-9]|3[0-1])(?:01|03|05|07|08|10|12))"
    r"|(?:(?:0[1-9]|1[0-9]|2[0-9]|30)(?:04|06|09|11))|(?:(?:0[1-9]|1[0-9]|2[0-9])02))"
)
_HEX = "urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_HEX5 = "urn:uuid:[a-fA-F0-9]{8}-[a-fA-F0-9]{4}-[5][a-fA-F0-9]{3}-[89aAbB][a-fA-F0-9]{3}-[a-fA-F0-9]{12}"
_CONSONANTS = "[b-df-hj-np-tv-zB-DF-HJ-NP-TV-Z0-9]"
_ANCHORED = {
    "cpr/5a7339f2": _DAY + "[0-9]{6}",
    "x-ecpr/40ba79c7": _DAY + "[0-9]{2}[17][A-Z]{2}[0-9]",
    "d-ecpr/8e70690d": _DAY + "[0-9]{2}[056][A-Z]{2}[0-9]",
    "gln-length/534287d9 gln-length/66c813f2": "[0-9]{13}",
    "CVR-length/2de87fa0 CVR-length/9488ca21": "[0-9]{8}",
    "min-digits-sor/86c3ec91": "[0-9]{11,}",
    "authorization-id-format/b2c6f077": _CONSONANTS + "{5}",
}
_ANYWHERE = {
    "uuid/a2071540 medcom-uuidv4/a2071540 uuid/a5f0f9af medcom-uuidv4/a5f0f9af": _HEX,
    "uuidv5/6c3b8dbe uuidv5/b9f66de7": _HEX5,
    "medcom-core-contact/7b7103b4": "[+]?[-0-9]",
}
_CVR_WEIGHTS = (2, 7, 6, 5, 4, 3, 2, 1)


def on_text(check: Callable[[str], bool]) -> Check:
    """A rule about a text: of the value itself or of the Identifier's value; without a value it is broken."""

    def judge(value: Any, run: Run) -> bool:
        if value.__class__ is dict:
            value = value.get("value")
        # A value of another JSON type has been reported as that.
        return check(value) if isinstance(value, str) else value is not None

    return judge


def _finds(pattern: str) -> Check:
    search = re.compile(pattern).search
    return on_text(lambda text: search(text) is not None)


for _keys, _text in _ANYWHERE.items():
    native(*_keys.split())(_finds(_text))
for _keys, _text in _ANCHORED.items():
    # `$` matches before a final newline in some engines; FHIR values are trimmed, so the strict end is safe.
    native(*_keys.split())(_finds(rf"\A(?:{_text})\Z"))


@native("gln-modulus-10/0695d06d", "gln-modulus-10/b0cb4e77")
@on_text
def gln_check_digit(text: str) -> bool:
    """The thirteenth digit of a GLN completes the sum of the others, every second times three, to a multiple of ten."""
    digits = text[:13]
    if len(digits) < 13 or not digits.isdecimal():
        return False
    total = sum(map(int, digits[0:12:2])) + 3 * sum(map(int, digits[1:12:2]))
    return (total + int(digits[12])) % 10 == 0


@native("CVR-modulus-11/7eb4eb8f", "CVR-modulus-11/39a2922e")
@on_text
def cvr_check(text: str) -> bool:
    """The weighted sum of a CVR number is a multiple of eleven."""
    digits = text[:8]
    if len(digits) < 8 or not digits.isdecimal():
        return False
    return sum(int(d) * w for d, w in zip(digits, _CVR_WEIGHTS, strict=True)) % 11 == 0


@native("dk-core-organization-mandatory-identifier/df1e6d2a")
def organization_has_national_identifier(value: Any, run: Run) -> bool:
    """An organization has an SOR, KOMBIT or CVR identifier (the CVR system as the rule writes it)."""
    systems = ("urn:oid:1.2.208.176.1.1", "https://kombit.dk/sts/organisation", "urn:oid:2.16.840.1.113883.2.24.1.1")
    listed = value.get("identifier")
    return isinstance(listed, list) and any(isinstance(i, dict) and i.get("system") in systems for i in listed)
