"""Why bytes are not JSON that can be converted: every fault with its line, column and JSON pointer.

Runs only after fast reading has refused the bytes, so it may take its time; it never recurses and never backtracks,
because the bytes may have been made to exhaust whoever reads them.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

from converter.issues import IssueKind, IssueLog, Location, Severity, declare
from converter.limits import Limits

MAX_FAULTS = 100
MAX_DIGITS = 400

EMPTY = declare(
    "PRO001",
    "json-empty",
    Severity.ERROR,
    "the input holds nothing but white space",
    why="There is no message in it.",
    help="Check how the file was made or sent; it may have been cut off.",
)
TOO_LARGE = declare(
    "PRO002",
    "json-too-large",
    Severity.ERROR,
    "the input has {size} bytes, the limit is {limit}",
    why="A limit guards against input that is made to exhaust memory.",
    help="If the message is genuine, raise the limit: --limit message=SIZE.",
)
ENCODING = declare(
    "PRO003",
    "json-encoding",
    Severity.ERROR,
    "not UTF-8 without a byte order mark: {problem}",
    why="FHIR's JSON is UTF-8; any other reading would change names and texts.",
    help="Save or send the message as UTF-8 without a byte order mark.",
    source="FHIR R4, 2.6.2 (JSON); RFC 8259, 8.1",
)
SYNTAX = declare(
    "PRO004",
    "json-syntax",
    Severity.ERROR,
    "not readable as JSON: {problem}",
    why="Nothing of the message can be used.",
    help="Look at the place named; what stands just before it is the usual cause.",
    source="RFC 8259",
)
DUPLICATE = declare(
    "PRO005",
    "json-duplicate-key",
    Severity.ERROR,
    "a property stands twice in one object (first in line {first})",
    why="Programs differ in which of the two they take, so a piece of the message would be lost in silence.",
    help="The sender's program writes wrong JSON: one of the two has to go, or both belong into one list.",
    source="FHIR R4, 2.6.2 (JSON): property names are unique",
)
NUMBER = declare(
    "PRO006",
    "json-number",
    Severity.ERROR,
    "not a number that can be kept exactly: {problem}",
    why="It would change its value on the way, or no program could write it again.",
    help="The sender has to correct the value.",
    source="FHIR R4, 2.24.0.1 (decimal); RFC 8259, 6",
)
DEPTH = declare(
    "PRO007",
    "json-depth",
    Severity.ERROR,
    "more than {limit} objects and lists inside one another",
    why="No FHIR message needs that; a limit guards against input that is made to exhaust memory.",
    help="If the message is genuine, raise the limit: --limit json-depth=NUMBER.",
)
SURROGATE = declare(
    "PRO008",
    "json-lone-surrogate",
    Severity.ERROR,
    "a string holds half of a character (a lone surrogate)",
    why="It is no text: it can be written neither as UTF-8 nor as EDIFACT.",
    help="The sender has cut a text in the middle of a character, such as an emoji.",
    source="RFC 8259, 8.2",
)
NOT_OBJECT = declare(
    "PRO009",
    "json-not-an-object",
    Severity.ERROR,
    "the input is a JSON {found}, not an object",
    why="A FHIR resource is an object.",
    help="Send each Bundle by itself, or use a file with one Bundle a line (.ndjson).",
)
TEXT_TOO_LARGE = declare(
    "PRO010",
    "json-text-too-large",
    Severity.ERROR,
    "a text has {size} bytes, the limit is {limit}",
    why="A limit guards against input that is made to exhaust memory.",
    help="If the message is genuine, raise the limit: --limit text=SIZE, for attachments --limit attachment=SIZE.",
)

# Possessive repeats: a string of 100 MB must not build up a stack of places to come back to.
_TOKEN = re.compile(
    r"[ \t\n\r]*+(?:"
    r"(?P<mark>[{}\[\]:,])"
    r'|(?P<string>"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![0-9A-Za-z.+-]))"
    r"|(?P<word>(?:true|false|null)(?![0-9A-Za-z_]))"
    r"|(?P<end>\Z))"
)
_BLANK = re.compile(r"[ \t\n\r]*+")
_LONE = re.compile("[\ud800-\udfff]")
_NOT_FINITE = re.compile(r"-?(?:NaN|Infinity)\b")
_PROPERTY = re.compile(r"_?[a-z](?:[A-Za-z]|[0-9]{1,3}(?![0-9])){0,63}\Z")
_WRONG = {"/": "a comment", "'": "a single quotation mark", "#": "a comment"}


def number_fault(text: str) -> str:
    """Why a JSON number cannot be kept, or the empty string."""
    if len(text) > MAX_DIGITS:
        return f"it has {len(text)} characters, more than {MAX_DIGITS}"
    if math.isinf(float(text)):
        return "it is out of the range of numbers"
    return ""


def report(data: bytes, log: IssueLog, *, file: str, limits: Limits) -> None:
    """Add the issues that say why these bytes were refused; at least one, always."""
    known = len(log)
    text = _decode(data, log, file)
    if text is not None:
        _Scan(text, log, file, limits).run()
        if len(log) == known:
            log.add(SYNTAX, Location(file, 1, 1), problem="it breaks a rule of JSON")


def _decode(data: bytes, log: IssueLog, file: str) -> str | None:
    top = Location(file, 1, 1, 0)
    if data.startswith(b"\xef\xbb\xbf"):
        log.add(ENCODING, top, problem="it begins with a byte order mark")
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data[:4]:
        log.add(ENCODING, top, problem="it looks like UTF-16 or UTF-32")
    else:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            before = data[: error.start].decode("utf-8", "replace")
            at = Location(file, before.count("\n") + 1, len(before) - before.rfind("\n"), error.start)
            log.add(ENCODING, at, problem="a byte does not belong to a character")
    return None


def is_property(name: str) -> bool:
    """Whether a name has the shape of a FHIR property. Others are not shown: a value may stand there."""
    return _PROPERTY.match(name) is not None


@dataclass(slots=True)
class _Level:
    """An open object or list: the keys seen so far with their lines, the step that is being read."""

    is_object: bool
    keys: dict[str, int] = field(default_factory=dict)
    key: str | None = None
    index: int = 0

    def step(self) -> str:
        """The last step of the pointer. Names that no FHIR property has are not shown: a value may stand there."""
        if not self.is_object:
            return f"/{self.index}"
        if self.key is None:
            return ""
        return "/" + (self.key if is_property(self.key) else "*")


class _Scan:
    """A reading of JSON text token by token, with the open levels on a list instead of the call stack.

    `expect` is what may come next: a value, a key, a colon, or what may follow a value.
    """

    def __init__(self, text: str, log: IssueLog, file: str, limits: Limits) -> None:
        self.text, self.log, self.file, self.limits = text, log, file, limits
        self.levels: list[_Level] = []
        self.expect = "value"
        self.may_close = False  # directly after an opening bracket
        self.line = 1
        self.offset = 0
        self.counted = 0
        self.faults = 0

    def run(self) -> None:
        """Add an issue for every duplicate key, unusable number and lone surrogate; stop at the first wrong token."""
        if not self.text.strip(" \t\r\n"):
            self.add(EMPTY, 0)
            return
        place = 0
        while self.faults < MAX_FAULTS:
            match = _TOKEN.match(self.text, place)
            if match is None:
                self.wrong_token(_BLANK.match(self.text, place).end())  # type: ignore[union-attr]
                return
            kind = match.lastgroup or "end"
            if not self.token(kind, match[kind], match.start(kind)) or kind == "end":
                return
            place = match.end()

    def token(self, kind: str, token: str, at: int) -> bool:
        """Take one token; False if reading cannot go on."""
        if kind == "mark":
            return self.mark(token, at)
        if kind == "end":
            return self.expect == "end" or self.syntax(at, "it ends too early")
        if kind == "string" and self.expect == "key":
            return self.take_key(token, at)
        if self.expect != "value":
            return self.unexpected(at)
        if kind == "string":
            self.check_text(token, at)
        if kind == "number" and (problem := number_fault(token)):
            self.add(NUMBER, at, problem=problem)
        if not self.levels:
            found = {"string": "string", "number": "number"}.get(kind, "literal")
            self.add(NOT_OBJECT, at, found=found)
        self.after_value()
        return True

    def mark(self, mark: str, at: int) -> bool:
        """Take a bracket, a colon or a comma."""
        if mark in "{[":
            return self.open(mark == "{", at) if self.expect == "value" else self.unexpected(at)
        if mark in "}]":
            level = self.levels[-1] if self.levels else None
            fits = level is not None and level.is_object == (mark == "}")
            if not fits or not (self.may_close or self.expect == "end"):
                return self.unexpected(at)
            self.levels.pop()
            self.after_value()
            return True
        if mark == ":":
            if self.expect != "colon":
                return self.unexpected(at)
            self.expect = "value"
            return True
        if self.expect != "end" or not self.levels:
            return self.unexpected(at)
        self.expect = "key" if self.levels[-1].is_object else "value"
        self.levels[-1].index += 1
        return True

    def open(self, is_object: bool, at: int) -> bool:
        """Go one level down."""
        if not self.levels and not is_object:
            self.add(NOT_OBJECT, at, found="list")
        if len(self.levels) >= self.limits.json_depth:
            self.add(DEPTH, at, limit=self.limits.json_depth)
            return False
        self.levels.append(_Level(is_object))
        self.expect, self.may_close = ("key" if is_object else "value"), True
        return True

    def take_key(self, token: str, at: int) -> bool:
        """Take a property name, and report it if the object has it already."""
        level = self.levels[-1]
        level.key = key = json.loads(token)
        self.check_text(token, at)
        if key in level.keys:
            self.add(DUPLICATE, at, first=level.keys[key])
        else:
            level.keys[key] = self.line_of(at)
        self.expect, self.may_close = "colon", False
        return True

    def after_value(self) -> None:
        """A value, an object or a list is complete."""
        self.expect, self.may_close = "end", False

    def check_text(self, token: str, at: int) -> None:
        """Report a string whose escapes leave half a character."""
        if "\\u" in token and _LONE.search(json.loads(token)):
            self.add(SURROGATE, at)

    def wrong_token(self, at: int) -> None:
        """Say what stands where no token can be read."""
        if match := _NOT_FINITE.match(self.text, at):
            self.add(NUMBER, at, problem=f"JSON has no {match[0].lstrip('-')}")
        elif self.text[at] in "-.+0123456789":
            self.syntax(at, "a number is written in a way that JSON does not have")
        elif self.text[at] == '"':
            self.syntax(at, "a string does not end, or holds a control character or a wrong escape")
        else:
            self.syntax(at, _WRONG.get(self.text[at], "a character that cannot stand outside a string"))

    def unexpected(self, at: int) -> bool:
        """Report a token in the wrong place."""
        if self.expect == "end" and not self.levels:
            return self.syntax(at, "something follows the end of the object")
        wanted = {"key": "a property name", "colon": "a colon", "value": "a value", "end": "a comma or a bracket"}
        return self.syntax(at, f"{wanted[self.expect]} is missing")

    def syntax(self, at: int, problem: str) -> bool:
        """Report and stop."""
        self.add(SYNTAX, at, problem=problem)
        return False

    def add(self, kind: IssueKind, at: int, **facts: Any) -> None:
        """Add an issue at that character, with the pointer of the value that is being read."""
        self.faults += 1
        line, column = self.line_of(at), at - self.text.rfind("\n", 0, at)
        pointer = "".join(level.step() for level in self.levels)
        self.log.add(kind, Location(self.file, line, column, self.offset, path=pointer), **facts)

    def line_of(self, at: int) -> int:
        """The line of a character; `offset` becomes its byte. Counted on from the last one asked for."""
        if at > self.counted:
            self.line += self.text.count("\n", self.counted, at)
            self.offset += len(self.text[self.counted : at].encode())
            self.counted = at
        return self.line
