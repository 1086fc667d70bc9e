"""Code systems whose content no package holds (SKS, ICPC-2, SNOMED CT, LOINC): judged by the form of codes, or a table.

The user's table (`validate --codes CSV`) is in UTF-8 with the header `system,code,display`; a display may be empty. It
counts as complete for every system that it names. Without a table the form of a code can only show that it does not
exist; whether it does, and belongs to a value set, is *not checked* (NCK002).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

from converter.errors import ProfileError
from converter.kept import Kept

Table = dict[str, dict[str, list[str]]]  # system -> code -> displays

_VERHOEFF = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_TURNS = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")  # Luhn: the digits' sum of twice a digit
_SNOMED = re.compile(r"[1-9][0-9]{5,17}\Z")
_LOINC = re.compile(r"([0-9]{1,7})-([0-9])\Z")
_LOINC_PART = re.compile(r"L[APGL][0-9]+-[0-9]\Z")
# Post-coordination joins codes with a plus sign (dk-core: DS721+TUL1).
_SKS = re.compile(r"[A-ZÆØÅ][A-ZÆØÅ0-9]{1,9}(?:\+[A-ZÆØÅ][A-ZÆØÅ0-9]{1,9})*\Z")
_ICPC = re.compile(r"[A-Z*-][0-9]{2}(?:[0-9]{2})?\Z")


def _is_snomed(code: str) -> bool:
    """Six to eighteen digits, the last one Verhoeff's check digit."""
    if not _SNOMED.match(code):
        return False
    check = 0
    for position, digit in enumerate(reversed(code)):
        check = int(_VERHOEFF[check][int(_TURNS[position % 8][int(digit)])])
    return check == 0


def _is_loinc(code: str) -> bool:
    """A number and Luhn's check digit; parts and answers (LP…, LA…) only by their form."""
    match = _LOINC.match(code)
    if not match:
        return _LOINC_PART.match(code) is not None
    digits = match[1].encode()
    # A digit is 48 more than its value, in the table and here.
    total = sum(digits[-1::-2].translate(_DOUBLED)) + sum(digits[-2::-2]) - 48 * len(digits)
    return (total + int(match[2])) % 10 == 0


def _by(pattern: re.Pattern[str]) -> Kept:
    return Kept(lambda code: pattern.match(code) is not None)


FORMS: dict[str, Callable[[str], bool]] = {
    "http://snomed.info/sct": Kept(_is_snomed),
    "http://loinc.org": Kept(_is_loinc),
    "urn:oid:1.2.208.176.2.4": _by(_SKS),
    "urn:oid:1.2.208.176.2.4.12": _by(_SKS),
    "urn:oid:1.2.208.176.2.31": _by(_ICPC),
}


def read_codes(path: Path) -> Table:
    """Read the user's table. Raises ProfileError if it is not one."""
    table: Table = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines):
                displays = table.setdefault(row["system"], {}).setdefault(row["code"], [])
                displays.extend(d for d in [row.get("display")] if d)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ProfileError(f"{path} is not a table of codes with the columns system, code and display") from error
    return table
