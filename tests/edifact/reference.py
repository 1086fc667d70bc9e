"""A reader written anew from ISO 9735, one character at a time: slow, strict, and sharing nothing with the product.

It stops at the first thing it does not understand, and judges envelopes only as right or wrong.
"""

from __future__ import annotations


class MalformedError(Exception):
    """The bytes are no sequence of segments."""


Values = list[list[str]]


def segments(data: bytes) -> list[tuple[int, int, Values]]:
    """Start, end (of the terminator) and elements (the tag first) of every segment; objects have no elements."""
    text = data.decode("latin-1")
    found: list[tuple[int, int, Values]] = []
    component, element, release, terminator = ":+?'"
    at = 0
    while True:
        while at < len(text) and text[at] in "\r\n":
            at += 1
        if at == len(text):
            return found
        if text.startswith("UNA", at) and (not found or found[-1][2][:1] == [["UNZ"]]):
            component, element, _, release, _, terminator = text[at + 3 : at + 9]
            at += 9
            continue
        start, values, released = at, [[""]], False
        while True:
            if at == len(text):
                raise MalformedError
            char = text[at]
            at += 1
            if char in "\r\n":
                continue
            if released:
                if char not in (component, element, release, terminator):
                    raise MalformedError
                values[-1][-1] += char
                released = False
            elif char == release:
                released = True
            elif char == terminator:
                break
            elif char == element:
                values.append([""])
            elif char == component:
                values[-1].append("")
            else:
                values[-1][-1] += char
        found.append((start, at - 1, values))
        if values[0] == ["UNZ"]:
            component, element, release, terminator = ":+?'"
        if values[0] == ["UNO"]:
            size = int(_value(values, 4) or "x", 10) if _value(values, 4).isdigit() else -1
            if size < 0 or not text.startswith("UNP" + element, at + size):
                raise MalformedError
            found.append((at, at + size, []))
            at += size


def consistent(data: bytes) -> bool:
    """Whether the input is a sequence of complete interchanges with right counts and references, and nothing else."""
    try:
        values = [v for _, _, v in segments(data)]
    except (MalformedError, ValueError):
        return False
    rest = [v for v in values if v]
    if not rest:
        return False
    while rest:
        if rest[0][0] != ["UNB"] or not _value(rest[0], 5):
            return False
        reference, messages, names, rest = _value(rest[0], 5), 0, set(), rest[1:]
        while rest and rest[0][0] == ["UNH"]:
            end = next((i for i, v in enumerate(rest) if v[0] == ["UNT"]), -1)
            name = _value(rest[0], 1)
            if end < 0 or not name or name in names or any(v[0][0] in ("UNH", "UNB", "UNZ") for v in rest[1:end]):
                return False
            if not _number(_value(rest[end], 1), end + 1) or _value(rest[end], 2) != name:
                return False
            names.add(name)
            messages += 1
            rest = rest[end + 1 :]
        if not rest or rest[0][0] != ["UNZ"] or not messages:
            return False
        if not _number(_value(rest[0], 1), messages) or _value(rest[0], 2) != reference:
            return False
        rest = rest[1:]
    return True


def _value(values: Values, element: int) -> str:
    return values[element][0] if len(values) > element else ""


def _number(text: str, wanted: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6 and int(text) == wanted
