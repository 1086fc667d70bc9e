"""FHIR JSON: bytes to a dict and back, its leaves, and what its references point to.

Numbers keep the digits they were written with: `1.10` read is `1.10` written (FHIR R4, 2.24.0.1: precision is part of
the value). Reading refuses what JSON readers usually pass over in silence: duplicate keys, NaN, half characters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import orjson

from converter.fhir import jsonfaults
from converter.issues import IssueLog, Location
from converter.limits import Limits

Resource = dict[str, Any]
Leaf = tuple[str, object, bool]
"""A leaf: its JSON pointer, its value, and whether it is constant-checked by nature (see `leaves`)."""

MAX_DEPTH = 250
"""What orjson can write again, so the most that a limit can be raised to."""

# Beyond this, mostly attachments: each look at the bytes costs more than reading the rest of the message with care.
_LARGE = 1_000_000
_INDENT = orjson.OPT_INDENT_2
_BLANKS = b" \t\r\n"
_DIGITS_AS_0 = bytes(48 if chr(code) in "-0123456789" else code for code in range(256))
_JOINS = frozenset({"id", "fullUrl", "reference"})
_FREE = frozenset({"meta", "text"})


class Number(float):
    """A JSON number that keeps its text. Compares and calculates as a float, is written as it was read."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        """Take the text of a JSON number; `ValueError` if it is none that can be kept."""
        if problem := jsonfaults.number_fault(text):
            raise ValueError(problem)
        new = super().__new__(cls, text)
        new.text = text
        return new

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def __reduce__(self) -> tuple[type[Number], tuple[str]]:
        return (Number, (self.text,))


class _RefusedError(ValueError):
    """The bytes break a rule that the fault report will name."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise _RefusedError
    return built


def _integer(text: str) -> int | Number:
    # orjson writes integers of 64 bits; -0 is a decimal's way to say something.
    if len(text) > 20 or text == "-0":
        return Number(text)
    whole = int(text)
    return whole if -(2**63) <= whole < 2**64 else Number(text)


def _no_number(text: str) -> float:
    raise _RefusedError(text)


_careful = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=Number, parse_int=_integer, parse_constant=_no_number
)


def read_json(data: bytes, log: IssueLog, *, file: str = "", limits: Limits = Limits()) -> Resource | None:  # noqa: B008
    """Read one resource. None if the bytes are refused: the log says why, with line, column and pointer (PRO001–010).

    Numbers with a point or an exponent come as `Number`, others as `int`. The depth limit is at most 250.
    """
    if len(data) > limits.message:
        log.add(jsonfaults.TOO_LARGE, Location(file, 1, 1, 0), size=len(data), limit=limits.message)
        return None
    if limits.json_depth > MAX_DEPTH:
        limits = replace(limits, json_depth=MAX_DEPTH)
    try:
        read = _read(data, limits.json_depth)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        jsonfaults.report(data, log, file=file, limits=limits)
        return None
    if len(data) > limits.text and _oversized(read, log, file, limits):
        return None
    return read


def _read(data: bytes, depth: int) -> object:
    """Read with orjson, and again with `json` unless it is certain that orjson has changed nothing.

    orjson keeps the last of two equal keys and reads 1.10 as 1.1. It is certain where writing what was read gives the
    same bytes but for white space, and there are no numbers.
    """
    if len(data) > _LARGE:
        large = _careful.decode(data.decode())
        _check_depth(large, depth)
        _check_characters(large)
        return cast(object, large)
    read = orjson.loads(data)
    try:
        written = orjson.dumps(read, option=_INDENT)
    except TypeError:  # deeper than orjson writes
        raise _RefusedError from None
    # Indented, a line begins with two blanks a level, and no line feed stands inside a string.
    if b"\n" + b"  " * depth in written:
        _check_depth(read, depth)
    if written == data or written.translate(None, _BLANKS) == data.translate(None, _BLANKS):
        digits = written.translate(_DIGITS_AS_0, b" ")
        if b'":0' not in digits and b"\n0" not in digits and digits[:1] != b"0":
            return cast(object, read)
    return cast(object, _careful.decode(data.decode()))


def _check_depth(value: object, left: int) -> None:
    if isinstance(value, dict | list):
        if left == 0:
            raise _RefusedError
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, left - 1)


def _check_characters(value: object) -> None:
    """Refuse half characters, which `json` reads and orjson does not; ASCII needs no look."""
    if isinstance(value, str):
        if not value.isascii():
            value.encode()
    elif isinstance(value, dict | list):
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_characters(item)


def _oversized(read: Resource, log: IssueLog, file: str, limits: Limits) -> bool:
    """Report the strings beyond the limit of a text, or of an attachment (`data`, four characters for three bytes)."""
    known = len(log)
    for pointer, value, _ in leaves(read):
        limit = limits.attachment * 4 // 3 + 4 if pointer.endswith("/data") else limits.text
        if isinstance(value, str) and len(value) > limit // 4 and (size := len(value.encode())) > limit:
            log.add(jsonfaults.TEXT_TOO_LARGE, Location(file, 1, 1, path=pointer), size=size, limit=limit)
    return len(log) > known


def write_json(resource: Mapping[str, Any]) -> bytes:
    """A resource as a file of its own: indented by two blanks, UTF-8, with a line feed at the end."""
    return orjson.dumps(resource, default=_as_written, option=_INDENT | orjson.OPT_APPEND_NEWLINE)


def write_ndjson(resource: Mapping[str, Any]) -> bytes:
    """A resource as one line of an .ndjson file, line feed included."""
    return orjson.dumps(resource, default=_as_written, option=orjson.OPT_APPEND_NEWLINE)


def _as_written(value: object) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.text)
    raise TypeError(f"no JSON for {type(value).__name__}")


class _Steps(dict[str, str]):
    """Keys as steps of a JSON pointer, remembered: a message has hundreds of leaves and few names.

    Pointers stand in ledgers and issues. What no FHIR property is called may be a value, such as a patient's number:
    such a key has no step here, and gets its place in the object instead (`?3` for the fourth key).
    """

    def __missing__(self, key: str) -> str:
        step = f"/{key}" if jsonfaults.is_property(key) else ""
        if len(self) < 2000:
            self[key] = step
        return step


steps = _Steps()
"""The keys of objects as steps of a JSON pointer; "" for one that may be a value."""
_indices = tuple(f"/{index}" for index in range(1000))


def leaves(resource: Mapping[str, Any]) -> list[Leaf]:
    """All primitive values in order, each with its JSON pointer; `resourceType` is none, a narrative's div is one.

    The third item is true for those that the ledger counts as constant-checked by nature: `id`, `fullUrl`, `reference`,
    all of `meta`, and the narratives of resources. They join the pieces of a message or are rebuilt, and say nothing of
    their own.
    """
    found: list[Leaf] = []
    _collect(resource, "", False, found)
    return found


def _collect(node: Mapping[str, Any], pointer: str, by_nature: bool, found: list[Leaf]) -> None:
    for key, value in node.items():
        kind = type(value)
        if kind is str:
            if key != "resourceType":
                found.append((pointer + (steps[key] or place(node, key)), value, by_nature or key in _JOINS))
        elif kind is dict:
            free = by_nature or (key in _FREE and "resourceType" in node)  # the text of a section is content
            _collect(value, pointer + (steps[key] or place(node, key)), free, found)
        elif kind is list:
            _collect_list(value, pointer + (steps[key] or place(node, key)), by_nature, found)
        elif value is not None:
            found.append((pointer + (steps[key] or place(node, key)), value, by_nature or key in _JOINS))


def place(node: Mapping[str, Any], key: str) -> str:
    """The step to a key that may be a value."""
    return f"/?{list(node).index(key)}"


def _collect_list(items: list[Any], pointer: str, by_nature: bool, found: list[Leaf]) -> None:
    for index, item in enumerate(items):
        place = pointer + (_indices[index] if index < 1000 else f"/{index}")
        if type(item) is dict:
            _collect(item, place, by_nature, found)
        elif type(item) is list:
            _collect_list(item, place, by_nature, found)
        elif item is not None:  # null only keeps a place beside the extensions of a list of primitives
            found.append((place, item, by_nature))


def header(bundle: Mapping[str, Any]) -> Resource:
    """The first resource of a Bundle, which is a message's header; empty if there is none."""
    entries = bundle.get("entry")
    first = entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], dict) else {}
    resource = first.get("resource")
    return resource if isinstance(resource, dict) else {}


def profiles(bundle: Mapping[str, Any]) -> list[str]:
    """The profiles that a Bundle says it is of."""
    meta = bundle.get("meta")
    said = meta.get("profile") if isinstance(meta, dict) else None
    return [profile for profile in said if isinstance(profile, str)] if isinstance(said, list) else []


def index(bundle: Mapping[str, Any]) -> dict[str, Resource]:
    """The resources of a Bundle by fullUrl and by `Type/id`. Of several with one name the first is found."""
    found: dict[str, Resource] = {}
    entries = bundle.get("entry")
    add = found.setdefault
    for entry in entries if isinstance(entries, list) else ():
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            if isinstance(url := entry.get("fullUrl"), str):
                add(url, resource)
            add(f"{resource.get('resourceType')}/{resource.get('id')}", resource)
    return found


def resolve(indexed: Mapping[str, Resource], reference: object) -> Resource | None:
    """What a Reference, or the string in it, points to in an indexed Bundle; None if that is not in it.

    Literal references only: `Type/id`, or an address equal to a fullUrl, either with a version.
    """
    target = reference.get("reference") if isinstance(reference, dict) else reference
    if not isinstance(target, str):
        return None
    found = indexed.get(target)
    return found if found is not None else indexed.get(target.partition("/_history/")[0])
