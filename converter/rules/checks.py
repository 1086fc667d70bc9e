"""The checks that rules can name. Each knows one kind of finding; what it is asked about is the rule's.

A check of values returns None for a good value, else the facts of the finding (never the value itself).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converter.identifiers import (
    ORGANISATION_NUMBERS,
    cpr_birth_date,
    cpr_modulus11,
    cpr_shape_ok,
    date_part_ok,
    ecpr_kind,
    ecpr_shape_ok,
    gln_ok,
    sor_ok,
    sor_shape_ok,
)
from converter.issues import IssueKind, Severity, declare
from converter.letter import Value, plain

if TYPE_CHECKING:
    from converter.rules.reading import Rule

GLN = declare(
    "LTR020",
    "gln-invalid",
    Severity.WARNING,
    "not a GLN: 13 digits, the last of them a check digit",
    why="The letter may not reach its receiver, and FHIR refuses the identifier.",
    help="Compare with the organisation table. Nothing is corrected.",
    source="GS1; the schema allows any text",
)
CPR_DATE = declare(
    "LTR030",
    "cpr-date",
    Severity.WARNING,
    "the first six digits are no day of the century that the seventh gives",
    why="The number is mistyped, or was never given to a person; the patient may be mistaken for somebody else.",
    help="Compare with the patient's papers. The number is handed on as it stands.",
    source="cpr.dk",
)
CPR_DIGIT = declare(
    "LTR031",
    "cpr-check-digit",
    Severity.WARNING,
    "the last digit is not the check digit (modulus 11){known}",
    why="It may be a typing error. Since October 2007 numbers are issued without it, so it proves nothing.",
    help="Compare with the patient's papers if in doubt. Never a reason to refuse a message.",
    source="cpr.dk",
)
LOCAL_ID = declare(
    "LTR032",
    "local-patient-id",
    Severity.WARNING,
    "not a replacement CPR number: 7 digits, 2 letters, a digit",
    why="A local id of a patient means nothing outside the system that gave it, and may be somebody else's there.",
    help="Use a replacement CPR number of the national service.",
    source="medcom.dk, 2022-11-09",
)
ECPR_DATE = declare(
    "LTR033",
    "ecpr-date",
    Severity.WARNING,
    "the first six digits of the replacement number are no day and month",
    why="The number was not issued by the national service, or is mistyped.",
    help="Ask the sender.",
    source="NSP, eCPR",
)
ECPR_KIND = declare(
    "LTR034",
    "ecpr-kind",
    Severity.WARNING,
    "the seventh character of the replacement number belongs to no issuer",
    why="Nobody can tell whether the number is unique in the country or inside one organisation only.",
    help="Ask the sender. National numbers have 1 or 7, decentral ones 0, 5 or 6.",
    source="NSP, eCPR; dk-core",
)
ECPR_INITIALS = declare(
    "LTR035",
    "ecpr-initials",
    Severity.WARNING,
    "the letters of the replacement number are not the initials of the name",
    why="The number may belong to another person; the letters often, not always, are the initials.",
    help="Compare name and number.",
    source="medcom.dk, 2022-11-09",
)
ECPR_COLLISION = declare(
    "LTR036",
    "ecpr-collision",
    Severity.INFO,
    "the replacement number has the form of the national service",
    why="If the sender issued it itself, it can be the number of another person in the national service.",
    help="List the sender's own numbers with 1 or 7 in the seventh place, and have them replaced.",
    source="Primærsektor-forum, January 2022, item 9",
)
ECPR_SEX = declare(
    "LTR042",
    "ecpr-sex",
    Severity.WARNING,
    "the last digit of the replacement number gives another sex than the letter does",
    why="Odd is male, even is female: the number may belong to another person.",
    help="Compare with the patient's papers. The number is handed on as it stands.",
    source="NSP, eCPR; cpr.dk",
)
NUMBER = declare(
    "LTR037",
    "organisation-number",
    Severity.WARNING,
    "the number does not have the form of a {wanted}",
    why="The receiver of the letter may not recognise the organisation.",
    help="Mind leading zeros, and a kind that belongs to another number. Nothing is corrected.",
    source="the register that issues the number",
)
SOR_DIGIT = declare(
    "LTR038",
    "sor-check-digit-in-letter",
    Severity.INFO,
    "the last digit of the SOR id is not its check digit",
    why="It may be a typing error.",
    help="Compare with the SOR register.",
    source="SNOMED CT identifiers, which SOR ids are",
)
LISTED = declare(
    "LTR039",
    "not-in-dated-list",
    Severity.WARNING,
    "not in the code list {codes} as it is since {since}",
    why="On the day of the letter the code meant nothing.",
    help="Compare with the edition of the list that was valid on that day (mappings/rules).",
)
PRESENT = declare(
    "LTR040",
    "expected-missing",
    Severity.INFO,
    "{element} is missing, which the rule {said} asks for",
    why="The schema lets it be left out; whoever agreed on the rule relies on it.",
    help="The sender should fill it in.",
)
TEXT = declare(
    "LTR041",
    "text-limit",
    Severity.WARNING,
    "the letter has {found} characters of text, more than {limit}",
    why="Receivers with a check of their own may refuse the letter. Nothing is cut.",
    help="The sender can shorten the text, or send two letters.",
    source="MedCom, conversion service, precondition P3",
)

Facts = dict[str, Any]
Values = Mapping[str, Value]
ValueCheck = Callable[[str, str, Values, "Rule"], Facts | None]
"""Value, its leaf, all values of the letter, and the rule; to the facts of a finding, or None.

`severity` may be one of the facts."""

FINE: Facts | None = None
PLAIN: Facts = {}


@dataclass(frozen=True, slots=True)
class Check:
    """A check: the kind of its findings, what judges a value, and the keys that its rules must and may have.

    Without `value` it judges a letter as a whole. `lenient`: its rules can be no errors. `lasting`: the rule and the
    value decide, and that is no person's, so that the answer may be kept (organisations come again and again).
    """

    kind: IssueKind
    value: ValueCheck | None = None
    needs: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    lenient: bool = False
    lasting: bool = False


def _gln(value: str, leaf: str, values: Values, rule: Rule) -> Facts | None:
    return FINE if gln_ok(value) else PLAIN


def _cpr_date(value: str, leaf: str, values: Values, rule: Rule) -> Facts | None:
    # Another form is a matter of the schema, which reports it; of its days, one depends on the year.
    return PLAIN if value[:4] == "2902" and cpr_shape_ok(value) and cpr_birth_date(value) is None else FINE


def _cpr_digit(value: str, leaf: str, values: Values, rule: Rule) -> Facts | None:
    if len(rule.tests) == 2 and rule.tests[0] <= value[6:] <= rule.tests[1]:
        return FINE
    if cpr_modulus11(value) or not cpr_shape_ok(value):
        return FINE
    born = cpr_birth_date(value)
    known = rule.known
    if known is not None and born is not None and value[:4] == known.day and str(born.year) in known.years:
        return {"known": "; many of that day are without it", "severity": known.severity}
    return {"known": ""}


def _ecpr_shape(value: str, leaf: str, values: Values, rule: Rule) -> Facts | None:
    return FINE if ecpr_shape_ok(value) else PLAIN


def _ecpr_date(value: str, leaf: str, values: Values, rule: Rule) -> Facts | None:
    return PLAIN if ecpr_shape_ok(value) and not date_part_ok(value) else FINE


def _ecpr_kind(value: str, leaf: str, values: Values, rule: Rule) -> Facts | None:
    return PLAIN if ecpr_shape_ok(value) and date_part_ok(value) and ecpr_kind(value) is None else FINE


def _ecpr_initials(value: str, leaf: str, values: Values, rule: Rule) -> Facts | None:
    """The first letters of the names; one that the number cannot have (Æ, Ø, Å) agrees with all."""
    if ecpr_kind(value) is None:
        return FINE
    above = leaf.rpartition(".")[0]
    for letter, name in zip(value[7:9], rule.beside, strict=False):
        first = plain(values.get(f"{above}.{name}", "")).strip()[:1].upper()
        # É is written E; Å would become A, and is no letter of these numbers.
        plainly = first if first == "Å" else unicodedata.normalize("NFD", first)[:1]
        if "A" <= plainly <= "Z" and plainly != letter:
            return PLAIN
    return FINE


def _ecpr_collision(value: str, leaf: str, values: Values, rule: Rule) -> Facts | None:
    return PLAIN if ecpr_kind(value) == "X" else FINE


def _ecpr_sex(value: str, leaf: str, values: Values, rule: Rule) -> Facts | None:
    """The last digit beside what else tells the sex: an ordinary CPR number of the person, or the kind of relation."""
    if ecpr_kind(value) is None:
        return FINE
    above = leaf.rpartition(".")[0]
    for name in rule.beside:
        beside = plain(values.get(f"{above}.{name}", ""))
        odd = int(beside[-1]) % 2 == 1 if cpr_shape_ok(beside) else rule.odd.get(beside)
        if odd is not None and odd != (int(value[-1]) % 2 == 1):
            return PLAIN
    return FINE


def _number(value: str, leaf: str, values: Values, rule: Rule) -> Facts | None:
    return FINE if ORGANISATION_NUMBERS[rule.kind].match(value) else {"wanted": rule.kind}


def _sor(value: str, leaf: str, values: Values, rule: Rule) -> Facts | None:
    return PLAIN if sor_shape_ok(value) and not sor_ok(value) else FINE


def _listed(value: str, leaf: str, values: Values, rule: Rule) -> Facts | None:
    edition = rule.edition
    if edition is None or value.rjust(rule.pad, "0") in edition.values:
        return FINE
    return {"codes": rule.codes, "since": edition.valid_from}


def _keys(*names: str) -> frozenset[str]:
    return frozenset(names)


CHECKS: Mapping[str, Check] = {
    "gln": Check(GLN, _gln, lasting=True),
    "cpr-date": Check(CPR_DATE, _cpr_date),
    "cpr-check-digit": Check(CPR_DIGIT, _cpr_digit, may=_keys("tests", "known"), lenient=True),
    "ecpr-shape": Check(LOCAL_ID, _ecpr_shape),
    "ecpr-date": Check(ECPR_DATE, _ecpr_date),
    "ecpr-kind": Check(ECPR_KIND, _ecpr_kind),
    "ecpr-initials": Check(ECPR_INITIALS, _ecpr_initials, needs=_keys("beside"), lenient=True),
    "ecpr-sex": Check(ECPR_SEX, _ecpr_sex, needs=_keys("beside"), may=_keys("male", "female"), lenient=True),
    "ecpr-collision": Check(ECPR_COLLISION, _ecpr_collision),
    "organisation-number": Check(NUMBER, _number, needs=_keys("kind"), lasting=True),
    "sor-check-digit": Check(SOR_DIGIT, _sor, lenient=True, lasting=True),
    "listed": Check(LISTED, _listed, needs=_keys("list"), may=_keys("pad"), lasting=True),
    "present": Check(PRESENT),
    "text-limit": Check(TEXT, needs=_keys("limit")),
}
