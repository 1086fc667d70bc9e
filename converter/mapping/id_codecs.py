"""Codecs of ids: how letters and FHIR write the ids of messages, episodes and files."""

from __future__ import annotations

import re
from typing import Any

from converter.mapping.codecs import codec
from converter.mapping.ids import short

_NOT_ID = re.compile(r"[^A-Za-z0-9.-]")
_HEX32 = re.compile(r"[0-9a-fA-F]{32}\Z")
_UUID = re.compile(r"([0-9a-zA-Z]{8})-([0-9a-zA-Z]{4})-([0-9a-zA-Z]{4})-([0-9a-zA-Z]{4})-([0-9a-zA-Z]{12})\Z")


@codec("letter_pointer", "oneway", sources=2)
class LetterPointer:
    """The id of a letter with the location number of its sender: `GLN#id`, as MedCom's messages point to letters."""

    @staticmethod
    def there(gln: str | None, identifier: str | None) -> str | None:
        return f"{gln}#{identifier}" if gln and identifier else None


@codec("letter_id", "lens", lossy="back")
class LetterId:
    """The id of another letter: `GLN#id` in FHIR. Letters name it without the GLN, which then stays empty."""

    @staticmethod
    def there(value: str) -> str:
        return "#" + value

    @staticmethod
    def back(value: Any) -> tuple[str, bool]:
        before, mark, after = str(value).partition("#")
        return (after if mark else before), bool(before or not mark)


@codec("fhir_id", "oneway", lossy="there")
class FhirId:
    """An id of a letter as one of FHIR: other characters than letters, digits, hyphens and dots become hyphens."""

    @staticmethod
    def there(value: str, start: str = "") -> tuple[str, bool]:
        made = _NOT_ID.sub("-", value)[:64]
        return start + made, made != value


@codec("letter_sized", "lens", lossy="back")
class LetterSized:
    """An id of FHIR as one of a letter: as it is where it fits, else the base36 id that is made of it."""

    @staticmethod
    def there(value: str, size: str) -> str:
        return value

    @staticmethod
    def back(value: Any, size: str) -> tuple[str, bool]:
        text = str(value)
        return (text, False) if len(text) <= int(size) else (short("letter", text)[: int(size)], True)


@codec("hyphens", "lens", lossy="both")
class Hyphens:
    """An episode id: 32 characters in letters, with hyphens in FHIR; other values stay as they are."""

    @staticmethod
    def there(value: str) -> tuple[str, bool]:
        if _HEX32.match(value):
            return f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}", False
        return value, Hyphens.back(value)[0] != value

    @staticmethod
    def back(value: Any) -> tuple[str, bool]:
        return NoHyphens.back(value), False


@codec("no_hyphens", "oneway")
class NoHyphens:
    """An episode id of FHIR as a letter holds it: no `urn:uuid:`, no hyphens."""

    @staticmethod
    def back(value: Any) -> str:
        text = str(value).removeprefix("urn:uuid:")
        match = _UUID.match(text)
        return "".join(match.groups()) if match else text


@codec("object_id", "lens", lossy="both")
class ObjectId:
    """The key of an attachment: 32 hexadecimal digits in letters, `urn:uuid:` in lower case with hyphens in FHIR."""

    @staticmethod
    def there(value: str) -> tuple[str, bool]:
        bare = value.replace("-", "")
        if not _HEX32.match(bare):
            return value, True
        low = bare.lower()
        return f"urn:uuid:{low[:8]}-{low[8:12]}-{low[12:16]}-{low[16:20]}-{low[20:]}", low != value

    @staticmethod
    def back(value: Any) -> tuple[str, bool]:
        return NoHyphens.back(value), False
