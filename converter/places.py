"""Where in the bytes of an input a leaf stands, whatever its syntax."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from converter.issues import Issue, Location

if TYPE_CHECKING:
    from converter.engine import Outcome

_TOKEN = re.compile(r'\n|[{}\[\],:]|"(?:[^"\\\n]|\\.)*+"|[^\s{}\[\],:"]+')


def pointer_lines(data: bytes) -> dict[str, int]:
    """The line of every value in JSON text, by JSON pointer; empty if it is not readable as JSON.

    Lines count from 1. An object or a list stands where it opens.
    """
    try:
        json.loads(data)
        return _lines(data.decode())
    except (ValueError, RecursionError):
        return {}


def _lines(text: str) -> dict[str, int]:
    lines: dict[str, int] = {}
    pointers: list[str] = [""]
    steps: list[str | int] = [""]  # inside each open value: the key, or the index in a list
    line, key = 1, False
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "\n":
            line += 1
        elif token in "}]":
            pointers.pop()
            steps.pop()
        elif token == ",":
            step = steps[-1]
            key = isinstance(step, str)
            if not isinstance(step, str):
                steps[-1] = step + 1
        elif token == ":":
            key = False
        elif key and token[0] == '"':
            steps[-1] = json.loads(token).replace("~", "~0").replace("/", "~1")
        else:
            pointer = f"{pointers[-1]}/{steps[-1]}" if len(pointers) > 1 else ""
            lines[pointer] = line
            if token in "{[":
                pointers.append(pointer)
                steps.append("" if token == "{" else 0)
            key = token == "{"
    return lines


def leaf_locator(data: bytes, display: str, first_line: int, outcome: Outcome) -> Callable[[str], Location]:
    """A function from source leaf to location, for the ledger and `explain`.

    In a letter the first of its places; in a Bundle the line of the value, column 1 and the pointer.
    """
    letter = outcome.letter
    if outcome.syntax != "fhir" and letter is not None:

        def in_letter(leaf: str) -> Location:
            places = letter.locate(leaf)
            if places:
                return places[0]
            return next((extra.at for extra in letter.extras if extra.path == leaf), Location(display, path=leaf))

        return in_letter
    lines = pointer_lines(data)

    def in_bundle(pointer: str) -> Location:
        line = lines.get(pointer, 0)
        return Location(display, line and line + first_line - 1, 1 if line else 0, path=pointer)

    return in_bundle


def placed(issues: list[Issue], data: bytes, first_line: int) -> list[Issue]:
    """The issues with the lines of their file: of the value that a pointer names, and counted from its first line."""
    lines: dict[str, int] | None = None
    found = []
    for issue in issues:
        line = issue.at.line
        if line <= 1 and issue.at.offset < 0 and issue.at.path.startswith("/"):
            lines = pointer_lines(data) if lines is None else lines
            line = lines.get(issue.at.path, line)
        if first_line > 1 and line:
            line += first_line - 1
        found.append(issue if line == issue.at.line else issue.moved(line=line, column=issue.at.column or 1))
    return found
