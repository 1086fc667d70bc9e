"""Check digits of GLN and CVR numbers: their expressions take a hundred operations each.

A value that is only an extension (data-absent-reason) gives an empty result, which breaks the rule. The rules have two
forms: on the value (dk-core 3.4.0), and `value.…`, on the value too (dk-core 2.0.0) or on the Identifier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.fhir.rules.invariants import Check, native
from converter.fhir.run import Run
from converter.kept import Kept

# Systems that number organisations: their identifiers come again and again, and tell nothing of a person.
ORGANISATIONS = frozenset(
    {
        "https://www.gs1.org/gln",
        "https://medcom-fhir.org/ids/shak",
        "urn:oid:1.2.208.176.1.1",
        "urn:oid:1.2.208.176.1.4",
        "http://hl7.dk/fhir/core/CodeSystem/dk-core-municipality-codes",
    }
)
MOST_KNOWN = 4096  # values of which one element remembers identifiers
MOST_ALIKE = 4  # identifiers of the same value
_CVR_WEIGHTS = (2, 7, 6, 5, 4, 3, 2, 1)


def on_text(test: Callable[[str], bool]) -> Check:
    """A rule about a text: of the value itself or of the Identifier's value; without a value it is broken."""
    check = Kept(test)
    known = check.known

    def judge(value: Any, run: Run) -> bool:
        if value.__class__ is dict:
            value = value.get("value")
        # A value of another JSON type has been reported as that.
        return (value in known or check(value)) if isinstance(value, str) else value is not None

    return judge


@native("gln-modulus-10/0695d06d", "gln-modulus-10/b0cb4e77")
@on_text
def gln_check_digit(text: str) -> bool:
    """The thirteenth digit of a GLN completes the sum of the others, every second times three, to a multiple of ten."""
    digits = text[:13]
    if len(digits) < 13 or not (digits.isdecimal() and digits.isascii()):
        return False
    # Each is 48 more than its digit: 1200 in all, which is a multiple of ten.
    a, b, c, d, e, f, g, h, i, j, k, m, check = digits.encode()
    return (a + c + e + g + i + k + 3 * (b + d + f + h + j + m) + check) % 10 == 0


@native("CVR-modulus-11/7eb4eb8f", "CVR-modulus-11/39a2922e")
@on_text
def cvr_check(text: str) -> bool:
    """The weighted sum of a CVR number is a multiple of eleven."""
    digits = text[:8]
    if len(digits) < 8 or not digits.isdecimal():
        return False
    return sum(int(d) * w for d, w in zip(digits, _CVR_WEIGHTS, strict=True)) % 11 == 0


class Known(dict[str, list[dict[str, Any]]]):
    """Identifiers of organisations that were found sound, by their values."""

    def learn(self, value: dict[str, Any]) -> None:
        """Remember a sound Identifier, if it is nothing but the number of an organisation."""
        if _is_bare(value):
            _keep(self, value["value"], {**value})


class Lists(dict[str, list[list[dict[str, Any]]]]):
    """Lists of such Identifiers that were found sound, by the first value."""

    def learn(self, values: list[dict[str, Any]]) -> None:
        """Remember a sound list, if it is nothing but numbers of organisations."""
        if all(map(_is_bare, values)):
            _keep(self, values[0]["value"], [{**value} for value in values])


def _is_bare(value: dict[str, Any]) -> bool:
    return len(value) == 2 and value.get("system") in ORGANISATIONS and "value" in value


def _keep(known: dict[str, list[Any]], number: str, value: Any) -> None:
    if len(known) >= MOST_KNOWN:
        known.clear()
    alike = known.setdefault(number, [])
    if len(alike) < MOST_ALIKE:
        alike.append(value)
