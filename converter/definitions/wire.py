"""Codecs of EDIFACT components: named pairs of functions between what stands on the wire and a leaf's value.

Both functions answer None for what they cannot translate. They judge shapes, not the calendar: a day that does not
exist passes through unchanged, and `check` reports it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)\Z", re.ASCII)
_TIME = re.compile(r"(\d\d):(\d\d)\Z", re.ASCII)
_SECONDS = re.compile(r"(\d\d):(\d\d):(\d\d)\Z", re.ASCII)
_GUID = re.compile(r"([0-9A-Fa-f]{8})-([0-9A-Fa-f]{4})-([0-9A-Fa-f]{4})-([0-9A-Fa-f]{4})-([0-9A-Fa-f]{12})\Z")
_HEX = re.compile(r"[0-9A-Fa-f]{32}\Z")

CENTURY = 90
"""Two-digit years from here on are 19yy, the others 20yy (MedCom's messages began in the 1990s)."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec; `width` is the number of characters on the wire, 0 if that varies."""

    name: str
    width: int
    read: Callable[[str], str | None]
    write: Callable[[str], str | None]


def _digits(text: str, width: int) -> bool:
    return len(text) == width and text.isascii() and text.isdigit()


def read_ccyymmdd(text: str) -> str | None:
    """`20231120` as `2023-11-20`."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if _digits(text, 8) else None


def write_ccyymmdd(value: str) -> str | None:
    """`2023-11-20` as `20231120`."""
    match = _DATE.match(value)
    return match[1] + match[2] + match[3] if match else None


def read_yymmdd(text: str) -> str | None:
    """`231120` as `2023-11-20`."""
    if not _digits(text, 6):
        return None
    return f"{'19' if int(text[:2]) >= CENTURY else '20'}{text[:2]}-{text[2:4]}-{text[4:]}"


def write_yymmdd(value: str) -> str | None:
    """`2023-11-20` as `231120`; None for a year outside 1990-2089, which would come back as another."""
    match = _DATE.match(value)
    if match is None or not 1900 + CENTURY <= int(match[1]) < 2000 + CENTURY:
        return None
    return match[1][2:] + match[2] + match[3]


def read_hhmm(text: str) -> str | None:
    """`1745` as `17:45`."""
    return f"{text[:2]}:{text[2:]}" if _digits(text, 4) else None


def write_hhmm(value: str) -> str | None:
    """`17:45` as `1745`."""
    match = _TIME.match(value)
    return match[1] + match[2] if match else None


def read_hhmmss(text: str) -> str | None:
    """`174500` as `17:45:00`; four digits get the seconds 00, as MedCom's converter reads them."""
    if _digits(text, 4):
        return f"{text[:2]}:{text[2:]}:00"
    return f"{text[:2]}:{text[2:4]}:{text[4:]}" if _digits(text, 6) else None


def write_hhmmss(value: str) -> str | None:
    """`17:45:00` as `174500`."""
    match = _SECONDS.match(value)
    return match[1] + match[2] + match[3] if match else None


def read_x(text: str) -> str | None:
    """`D9134L` as OIOXML's `XD9134L`."""
    return f"X{text}"


def write_x(value: str) -> str | None:
    """`XD9134L` as `D9134L`."""
    return value[1:] if value.startswith("X") else None


def read_guid(text: str) -> str | None:
    """32 hexadecimal digits with dashes, 8-4-4-4-12; anything else unchanged."""
    if not _HEX.match(text):
        return text
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def write_guid(value: str) -> str | None:
    """A GUID without its dashes; anything else unchanged."""
    match = _GUID.match(value)
    return "".join(match.groups()) if match else value


CODECS = {
    codec.name: codec
    for codec in (
        Codec("ccyymmdd", 8, read_ccyymmdd, write_ccyymmdd),
        Codec("yymmdd", 6, read_yymmdd, write_yymmdd),
        Codec("hhmm", 4, read_hhmm, write_hhmm),
        Codec("hhmmss", 6, read_hhmmss, write_hhmmss),
        Codec("x", 0, read_x, write_x),
        Codec("guid", 0, read_guid, write_guid),
    )
}
"""All codecs by the name that stands after `!` in a template."""
