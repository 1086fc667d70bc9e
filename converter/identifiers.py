"""The shapes and check digits of Danish identifiers: persons (CPR, replacement CPR) and organisations (GLN, SOR, CVR).

Pure questions about text. Nothing is corrected, and a wrong answer rejects nothing by itself: the caller grades it.
ASCII digits only, no blanks and no hyphen; whoever reads a message strips those first.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Literal

# Day and month as dk-core's invariant `cpr` has them: 29 February of any year, no century.
_DATE = r"(?:(?:0[1-9]|[12][0-9]|3[01])(?:0[13578]|1[02])|(?:0[1-9]|[12][0-9]|30)(?:0[469]|11)|(?:0[1-9]|[12][0-9])02)"
_CPR = re.compile(_DATE + r"[0-9]{6}\Z")
_X_ECPR = re.compile(_DATE + r"[0-9]{2}[17][A-Z]{2}[0-9]\Z")
_D_ECPR = re.compile(_DATE + r"[0-9]{2}[056][A-Z]{2}[0-9]\Z")
_ECPR = re.compile(r"[0-9]{7}[A-Z]{2}[0-9]\Z")
_DATE_PART = re.compile(_DATE)
_GLN = re.compile(r"[0-9]{13}\Z")
_SOR = re.compile(r"[0-9]{11,18}\Z")
_CVR = re.compile(r"[0-9]{8}\Z")

ORGANISATION_NUMBERS = {
    "ydernummer": re.compile(r"[0-9]{5,6}\Z"),
    "sygehusafdelingsnummer": re.compile(r"[0-9A-Z]{4,7}\Z"),
    "kommunenummer": re.compile(r"[0-9]{1,4}\Z"),
    "lokationsnummer": _GLN,
    "sorkode": re.compile(r"[0-9]{11,17}\Z"),
    "amt": re.compile(r"[0-9]{1,4}\Z"),
}
"""The shapes of the numbers that an organisation can have, by OIOXML's IdentifierCode.

SHAK codes have 4 characters for a hospital and up to 7 with department; provider numbers occur without their leading
zero; a letter has room for 17 digits of a SOR id."""

_CPR_WEIGHTS = (4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
_CVR_WEIGHTS = (2, 7, 6, 5, 4, 3, 2, 1)


def _dihedral_tables() -> tuple[list[list[int]], list[list[int]]]:
    """Verhoeff's two tables: multiplication in the symmetry group of the pentagon, powers of his permutation."""
    product = [[(a + b) % 5 if b < 5 else 5 + (a + b) % 5 for b in range(10)] for a in range(5)]
    product += [[5 + (a - b) % 5 if b < 5 else (a - b) % 5 for b in range(10)] for a in range(5, 10)]
    powers = [list(range(10))]
    for _ in range(7):
        powers.append([(1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[digit] for digit in powers[-1]])
    return product, powers


_PRODUCT, _POWERS = _dihedral_tables()


def gln_ok(value: str) -> bool:
    """Whether this is a GLN: 13 digits, the last one right (weights 1 and 3 by turns; dk-core `gln-modulus-10`)."""
    if not _GLN.match(value):
        return False
    return (sum(map(int, value[0::2])) + 3 * sum(map(int, value[1::2]))) % 10 == 0


def sor_shape_ok(value: str) -> bool:
    """Whether this can be a SOR id by its length: at least 11 digits (dk-core), at most 18 (a SNOMED identifier)."""
    return _SOR.match(value) is not None


def sor_ok(value: str) -> bool:
    """Whether this is a SOR id whose last digit is right by Verhoeff's scheme, as in all SNOMED identifiers.

    A hint, not a rule: dk-core asks only for the length.
    """
    if not _SOR.match(value):
        return False
    check = 0
    for place, digit in enumerate(reversed(value)):
        check = _PRODUCT[check][_POWERS[place % 8][int(digit)]]
    return check == 0


def cvr_ok(value: str) -> bool:
    """Whether this is a CVR number: 8 digits, weighted sum (2 7 6 5 4 3 2 1) divisible by 11."""
    return _CVR.match(value) is not None and _weighted(value, _CVR_WEIGHTS) % 11 == 0


def cpr_shape_ok(value: str) -> bool:
    """Whether dk-core accepts this as a CPR number: a day, a month, and six more digits (invariant `cpr`).

    No century and no leap years; see `cpr_modulus11` for the check digit, which is no rule either.
    """
    return _CPR.match(value) is not None


def cpr_birth_date(value: str) -> date | None:
    """The day of birth that a CPR number gives; None if that day does not exist in the century of its 7th digit.

    Digits 5 to 7 decide about the century (cpr.dk).
    """
    if not _CPR.match(value):
        return None
    year, seventh = int(value[4:6]), value[6]
    if seventh in "0123" or (seventh in "49" and year > 36):
        century = 1900
    else:
        century = 2000 if year < 58 or seventh in "49" else 1800
    try:
        return date(century + year, int(value[2:4]), int(value[:2]))
    except ValueError:
        return None


def cpr_modulus11(value: str) -> bool:
    """Whether a CPR number's last digit is right. Never an error if not.

    Since 1 October 2007 numbers are issued without it (cpr.dk), and no official test number has it.
    """
    return _CPR.match(value) is not None and _weighted(value, _CPR_WEIGHTS) % 11 == 0


def date_part_ok(value: str) -> bool:
    """Whether the text begins with a day and a month, as numbers of persons do."""
    return _DATE_PART.match(value) is not None


def ecpr_shape_ok(value: str) -> bool:
    """Whether this can be a replacement CPR by its characters: 7 digits, 2 letters, a digit; any date, any issuer."""
    return _ECPR.match(value) is not None


def ecpr_kind(value: str) -> Literal["X", "D"] | None:
    """Which replacement CPR this is: `X` of the national service (7th character 1 or 7), `D` decentral (0, 5, 6).

    None for everything else, ordinary CPR numbers included (dk-core `x-ecpr` and `d-ecpr`; NSP's description).
    """
    if _X_ECPR.match(value):
        return "X"
    return "D" if _D_ECPR.match(value) else None


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=True))
