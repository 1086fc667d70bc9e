"""Ids that are the same in every run: version-5 UUIDs over netstrings of the message key, never from patient data."""

from __future__ import annotations

import hashlib
from binascii import hexlify
from collections.abc import Iterable
from typing import Any
from uuid import NAMESPACE_URL, uuid5

try:
    # CPython's own: to copy its state costs less than half of what OpenSSL's behind hashlib costs. If a processor has
    # instructions for SHA-1, an id takes both as long, elsewhere OpenSSL takes longer for so few bytes.
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:
    from hashlib import sha1

NAMESPACE = uuid5(NAMESPACE_URL, "https://medcom-fhir.org/ids/v1")
"""Fixed for ever: another namespace would give every resent letter new ids."""

_START = NAMESPACE.bytes

_BASE36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


# An id is put together by one look-up a character: `bytes.translate` turns the form of an id, whose bytes are places in
# a table, into the characters there. The table is the hexadecimal digest (places 0 to 39) with what stands in every id.
SIGNS = bytes(range(40, 256))


def _form(variant: int, text: str) -> bytes:
    """The form of an id: `x` is the next digit of the digest, `v` the variant; all else stands for itself.

    The digits of the digest in whose place version and variant stand are left out.
    """
    places, digit = bytearray(), 0
    for sign in text:
        if sign == "x":
            places.append(digit)
        else:
            places.append(ord("89ab"[variant & 3] if sign == "v" else sign))
        digit += sign in "xv45"
    return bytes(places)


UUIDS = [_form(byte >> 4, "xxxxxxxx-xxxx-5xxx-vxxx-xxxxxxxxxxxx") for byte in range(256)]
URNS = [b"urn:uuid:" + _form(byte >> 4, "xxxxxxxx-xxxx-4xxx-vxxx-xxxxxxxxxxxx") for byte in range(256)]


def netstrings(parts: Iterable[str]) -> bytes:
    """Each part with its length before it, so that ("1", "23") and ("12", "3") differ."""
    return "".join([f"{len(p)}:{p}," for p in parts]).encode()


class _Lengths(dict[int, str]):
    """What stands before a part of so many characters: written out for short ones, since to write a number is dear."""

    def __missing__(self, length: int) -> str:
        return f"{length}:"


LENGTHS = _Lengths({length: f"{length}:" for length in range(100)})


class _Numbers(dict[int, bytes]):
    """The netstring of a number."""

    def __missing__(self, number: int) -> bytes:
        return netstrings([str(number)])


NUMBERS = _Numbers({number: netstrings([str(number)]) for number in range(100)})


def netstrings_source(parts: Iterable[str]) -> str:
    """Python source of `netstrings` for these expressions, where `N` are `LENGTHS`; names stand in apostrophes."""
    written = []
    for part in parts:
        name = part.strip("'")
        written.append(f"{len(name)}:{name}," if name != part else f"{{N[len({part})]}}{{{part}}},")
    return f'f"{"".join(written)}".encode()'


def keyed(key: bytes) -> Any:
    """The hash state after the key of a message, which is netstrings: it is copied for every id."""
    return sha1(_START + key, usedforsecurity=False)


def minted_source(suffix: str, forms: str) -> str:
    """Python source of the id of a message's key followed by an expression of netstrings.

    `copy` copies the state of the key; `forms` are `UUIDS`, or `URNS`: the same bits stamped as version 4, with
    `urn:uuid:`, where a profile speaks of version 4.
    """
    digest = f"(d := (u := copy()).update({suffix}) or u.digest())"
    return f"{forms}[{digest}[8]].translate(hexlify(d) + SIGNS).decode()"


class Minter:
    """Makes the ids of one message, whose key is netstrings."""

    __slots__ = ("_copy",)

    def __init__(self, key: bytes) -> None:
        self._copy = keyed(key).copy

    def v5(self, *parts: str) -> str:
        """The version-5 UUID of the message key followed by these parts."""
        state = self._copy()
        state.update(netstrings(parts))
        digest: bytes = state.digest()
        return UUIDS[digest[8]].translate(hexlify(digest) + SIGNS).decode()


def short(kind: str, header: str) -> str:
    """A letter's id of 14 characters for a FHIR message: base36 of a hash of the kind and MessageHeader.id."""
    number = int.from_bytes(hashlib.sha256((kind + header).encode()).digest(), "big")
    digits = []
    while number:
        number, digit = divmod(number, 36)
        digits.append(_BASE36[digit])
    return "".join(reversed(digits))[:14]
