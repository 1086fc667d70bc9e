"""Primitive types: the JSON type, the characters and the meaning of a value (FHIR R4, Data types).

Regular expressions are anchored and cannot backtrack badly; dates must exist in the calendar; base64 is judged by what
is left without its characters, which costs a fifth of decoding it.
"""

from __future__ import annotations

import re
import string
from calendar import monthrange
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from converter.fhir.elements import Site
from converter.fhir.rules.structure import EMPTY, WRONG_TYPE, kind_of_json
from converter.fhir.run import Run
from converter.issues import Severity, declare
from converter.kept import Kept

if TYPE_CHECKING:
    from converter.fhir.source import Source

FORMAT = declare(
    "PRO026",
    "primitive-format",
    Severity.ERROR,
    "not a valid {type}: {problem}",
    why="Receivers cannot read the value as what it is meant to be.",
    help="Write the value as FHIR R4 defines this type.",
    source="FHIR R4, Data types",
    example='"birthDate": "2026-02-30", or "sent": "2026-03-04T10:00" without seconds and time zone',
)
SPACES = declare(
    "PRO052",
    "white-space-around-text",
    Severity.WARNING,
    "white space before or after the text",
    why="FHIR asks for trimmed strings; comparisons with the value fail silently.",
    help="Trim the text.",
    source="FHIR R4, string",
    example='"family": "Hansen "',
)

LONGEST = 1024 * 1024
"""Characters of a `string`. The short way does not ask: what holds a longer one does not go there (`holds_long`)."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_WITHOUT_CONTROL = bytes(c if c >= ord(" ") or chr(c) in "\t\n\r" else ord("?") for c in range(256))
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")
_CODE = re.compile(r"[^\s]+(?: [^\s]+)*\Z")
_URI = re.compile(r"\S+\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|#")
_OID = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+\Z")
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_DATE = re.compile(r"([0-9]{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12][0-9]|3[01]))?)?\Z")
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_MOMENT = re.compile(rf"([0-9]{{4}})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T{_CLOCK}{_ZONE}\Z")
_TIME = re.compile(rf"{_CLOCK}\Z")
_SPACE = " \t\r\n"
_BASE64 = (string.ascii_letters + string.digits + "+/").encode()

_ID_SIGNS = (string.ascii_letters + string.digits + "-.").encode()

Judge = Callable[[str], str]  # what is wrong with a value; "" if nothing is


def _string(value: str) -> str:
    try:
        # Texts of several lines are long; to most, this encoding is what Python holds.
        control = (signs := value.encode("latin-1")).translate(_WITHOUT_CONTROL) != signs
    except UnicodeEncodeError:
        control = _CONTROL.search(value) is not None
    if control:
        return "control characters"
    if not value.strip():
        return "only white space"
    return "longer than 1 MB" if len(value) > LONGEST else ""


def _exists(year: str, month: str | None, day: str | None) -> bool:
    if int(year) == 0:
        return False
    return day is None or month is None or int(day) <= monthrange(int(year), int(month))[1]


def _date(value: str) -> str:
    match = _DATE.match(value)
    if not match:
        return "expected YYYY, YYYY-MM or YYYY-MM-DD"
    return "" if _exists(*match.groups()) else "no such day"


def _moment(value: str) -> str:
    match = _MOMENT.match(value)
    if not match:
        return "expected YYYY-MM-DDThh:mm:ss with a time zone"
    return "" if _exists(match[1], match[2], match[3]) else "no such day"


def _date_time(value: str) -> str:
    return _moment(value) if "T" in value else _date(value)


def _by(pattern: re.Pattern[str], expected: str) -> Judge:
    return lambda value: "" if pattern.match(value) else expected


def _uri(value: str) -> str:
    if not _URI.match(value):
        return "white space in it"
    if value.startswith("urn:oid:") and not _OID.match(value):
        return "not an OID after urn:oid:"
    # A bare OID or UUID is a common slip; with the prefix it is an absolute URI.
    return "urn: is missing before it" if value.startswith(("oid:", "uuid:")) else ""


def _canonical(value: str) -> str:
    problem = _uri(value)
    # A fragment names a contained resource.
    return problem or ("" if _SCHEME.match(value) else "an absolute URL or # and an id expected")


def _base64(value: str) -> str:
    if not value.isascii():
        return "not base64"
    signs = value.encode()
    if any(sign in value for sign in _SPACE):
        signs = signs.translate(None, _SPACE.encode())
    padding = signs.translate(None, _BASE64)
    good = padding in (b"", b"=", b"==") and signs.endswith(padding) and len(signs) % 4 == 0
    return "" if good else "not base64"


JUDGES: dict[str, Judge] = {
    "string": _string,
    "markdown": _string,
    "code": _by(_CODE, "white space around or twice in it"),
    "id": _by(_ID, "1 to 64 letters, digits, - and . expected"),
    "uri": _uri,
    "url": _uri,
    "canonical": _canonical,
    "oid": _by(_OID, "urn:oid: and an OID expected"),
    "uuid": _by(_UUID, "urn:uuid: and a lower-case UUID expected"),
    "date": _date,
    "dateTime": _date_time,
    "instant": _moment,
    "time": _by(_TIME, "hh:mm:ss expected"),
    "base64Binary": _base64,
}
_LOWEST = {"integer": -(2**31), "unsignedInt": 0, "positiveInt": 1}

# Tests that are cheap and certain; a value that fails one is judged by `judge` and may still be valid.
_IS_TEXT = "v.__class__ is str and "
FAST = {
    "string": _IS_TEXT + "v.isprintable() and v and v.strip() is v",
    "markdown": _IS_TEXT + "v.isprintable() and v and v.strip() is v",
    "code": _IS_TEXT + "(v.isalnum() or code_match(v))",
    "date": _IS_TEXT + "(v in DATES or is_date(v))",
    "dateTime": _IS_TEXT + "(v in MOMENTS or is_moment(v))",
    "instant": _IS_TEXT + "(v in MOMENTS or is_moment(v))",
    "boolean": "v is True or v is False",
    "id": _IS_TEXT + "id_match(v)",
    "uri": _IS_TEXT + "uri_match(v)",
    "url": _IS_TEXT + "uri_match(v)",
    "canonical": _IS_TEXT + "canonical_match(v)",
    **{code: f"v.__class__ is int and {least} <= v <= {2**31 - 1}" for code, least in _LOWEST.items()},
}
_PLAIN_DAY = r"[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
# Most times of a message are the same or have been read in another one.
_is_date = Kept(re.compile(rf"{_PLAIN_DAY}\Z").match)
_is_moment = Kept(re.compile(rf"{_PLAIN_DAY}T{_CLOCK}{_ZONE}\Z").match)
_is_uri = re.compile(r"(?:https?://|urn:uuid:|[A-Z])[!-~]+\Z").match
FAST_NAMES: dict[str, Any] = {
    "id_match": _ID.match,
    "uri_match": _is_uri,
    "code_match": re.compile(r"[!-~]+\Z").match,
    "canonical_match": re.compile(r"(?:https?://|urn:uuid:)[!-~]+\Z").match,
    "DATES": _is_date.known,
    "MOMENTS": _is_moment.known,
    "is_date": _is_date,
    "is_moment": _is_moment,
}


def fast(code: str, value: str) -> str:
    """The cheap test of a type over a Python name; empty if there is none. It may raise any of `reading.FAULTS`."""
    # What is no text has no such methods, and does not match.
    return re.sub(r"\bv\b", value, FAST.get(code, "").removeprefix(_IS_TEXT))


def emit_primitive(source: Source, code: str, pointer: str, site: Site) -> None:
    """Code that judges `v` as a primitive of type `code`; `pointer` is a Python expression."""
    here = source.constant(site, "S")
    call = f"judge(v, {pointer}, x, {here}, {code!r})"
    if code in FAST:
        limit = f" and len(v) <= {LONGEST}" if JUDGES.get(code) is _string else ""
        with source.block(f"if not ({FAST[code]}{limit}):"):
            source(call)
    else:
        source(call)


def emit_length(source: Source, most: int, pointer: str, site: Site) -> None:
    """Code for ElementDefinition.maxLength."""
    here = source.constant(site, "S")
    with source.block(f"if isinstance(v, str) and len(v) > {most}:"):
        source(f"x.add(FORMAT, {pointer}, {here}, type='length', problem='more than {most} characters', value=v)")


def holds_long(resource: dict[str, Any]) -> bool:
    """Whether a text anywhere in a resource may be longer than a `string` can be."""
    nodes: list[Any] = [resource]
    for node in nodes:  # which grows
        for value in node.values() if node.__class__ is dict else node:
            if value.__class__ is str:
                if len(value) > LONGEST:
                    return True
            elif value.__class__ is dict or value.__class__ is list:
                nodes.append(value)
    return False


def are_ids(values: list[str]) -> bool:
    """Whether texts (at least one) are all sound as ids. Raises TypeError if one is no text."""
    signs = "".join(values)
    if not signs.isascii() or signs.encode().translate(None, _ID_SIGNS):
        return False
    return "" not in values and (len(signs) <= 64 or max(map(len, values)) <= 64)


def right_primitive(value: object, code: str) -> bool:
    """Whether `judge` would find nothing."""
    if code in JUDGES:
        fine = isinstance(value, str) and bool(value) and not JUDGES[code](value)
        return fine and (code != "string" or str(value).strip() == value)
    if code == "boolean":
        return isinstance(value, bool)
    return value is not None and (_is_number(value) if code == "decimal" else _is_whole(value) and _fits(value, code))


def judge(value: object, pointer: str, run: Run, site: Site, code: str) -> bool:
    """Report what is wrong with a primitive value; True if nothing is."""
    if value is None:
        run.add(EMPTY, pointer, site, what="value (null)")
        return False
    if code == "boolean":
        return isinstance(value, bool) or _misfit("a boolean", value, pointer, run, site)
    if code == "decimal" or code in _LOWEST:
        return _number(value, pointer, run, site, code)
    if not isinstance(value, str):
        return _misfit("a string", value, pointer, run, site)
    if not value:
        run.add(EMPTY, pointer, site, what="string")
        return False
    problem = JUDGES[code](value)
    if problem:
        run.add(FORMAT, pointer, site, type=code, problem=problem, value=value)
    elif code == "string" and value.strip() != value:
        run.add(SPACES, pointer, site, value=value)
    return not problem


def _number(value: object, pointer: str, run: Run, site: Site, code: str) -> bool:
    if code == "decimal":
        return _is_number(value) or _misfit("a number", value, pointer, run, site)
    if not _is_whole(value):
        return _misfit("a whole number", value, pointer, run, site)
    if not _fits(value, code):
        run.add(FORMAT, pointer, site, type=code, problem="out of range", value=value)
        return False
    return True


def _is_number(value: object) -> bool:
    # Readers keep the digits of a decimal in a type of their own; whatever it is, it is no JSON string or boolean.
    return _is_whole(value) or isinstance(value, float | Decimal) or not isinstance(value, str | bool | list | dict)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _fits(value: object, code: str) -> bool:
    return _LOWEST[code] <= int(str(value)) <= 2**31 - 1


def _misfit(expected: str, value: object, pointer: str, run: Run, site: Site) -> bool:
    run.add(WRONG_TYPE, pointer, site, expected=expected, found=kind_of_json(value), value=value)
    return False
