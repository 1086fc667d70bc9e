"""FHIRPath expressions as plain trees: parsed when a pack is built, stored as JSON, never parsed at run time.

A node is a list whose first item says what it is:

    ["member", base, name]            base.name        (base null: the focus itself)
    ["call", base, name, arg, …]      base.name(arg, …)
    ["index", base, item]             base[item]
    ["op", sign, left, right]         also "is" and "as", whose right side is ["type", name]
    ["sign", "-", x]                  polarity
    ["this"] ["$index"] ["$total"] ["empty"]
    ["text", s] ["number", s] ["truth", b] ["time", "@…"]
    ["quantity", number, unit]        unit: a word of the calendar, or UCUM in quotes ('mg')
    ["constant", name]                %name

Source: the FHIRPath grammar (https://hl7.org/fhirpath/N1/grammar.html), read by precedence climbing.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson

from converter.errors import ProfileError

Tree = list[Any]

_TOKEN = re.compile(
    r"(?P<skip>\s+|//[^\n]*|/\*.*?\*/)"
    r"|(?P<time>@(?:T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?"
    r"|\d{4}(?:-\d\d(?:-\d\d)?)?(?:T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?)?)?))"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<text>'(?:[^'\\]|\\.)*')"
    r"|(?P<quoted>`(?:[^`\\]|\\.)*`)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<dollar>\$(?:this|index|total))"
    r"|(?P<sign><=|>=|!=|!~|[-+*/&|<>=~.,()\[\]{}%])",
    re.DOTALL,
)
# Tighter operators have higher numbers.
_BINDS = {
    "implies": 1,
    **dict.fromkeys(("or", "xor"), 2),
    "and": 3,
    **dict.fromkeys(("in", "contains"), 4),
    **dict.fromkeys(("=", "~", "!=", "!~"), 5),
    **dict.fromkeys(("<=", "<", ">", ">="), 6),
    "|": 7,
    **dict.fromkeys(("is", "as"), 8),
    **dict.fromkeys(("+", "-", "&"), 9),
    **dict.fromkeys(("*", "/", "div", "mod"), 10),
}
_POLARITY = 11
_WORDS = {"and", "or", "xor", "implies", "div", "mod", "true", "false"}
_UNITS = re.compile(r"(?:year|month|week|day|hour|minute|second|millisecond)s?\Z")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_DEPTH = 50


def parse(expression: str) -> Tree:
    """The tree of a FHIRPath expression. Raises ProfileError if it does not parse."""
    return _Parser(expression).whole()


def digest(tree: Tree) -> str:
    """Eight hex digits that identify an expression: the same key can stand for different rules in two versions."""
    return hashlib.sha256(orjson.dumps(tree)).hexdigest()[:8]


class _Parser:
    """One expression; `tokens` are pairs of kind and text, `at` is the next one."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens = self._split(expression)
        self.at = 0
        self.depth = 0

    def _split(self, text: str) -> list[tuple[str, str]]:
        tokens = []
        position = 0
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None:
                raise self._fault()
            if found.lastgroup != "skip":
                tokens.append((str(found.lastgroup), found[0]))
            position = found.end()
        return [*tokens, ("end", "")]

    def _fault(self) -> ProfileError:
        return ProfileError(f"FHIRPath does not parse: {self.expression}")

    def whole(self) -> Tree:
        tree = self._expression(0)
        if self.tokens[self.at][0] != "end":
            raise self._fault()
        return tree

    def _take(self) -> tuple[str, str]:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def _sees(self, sign: str) -> bool:
        return self.tokens[self.at] == ("sign", sign)

    def _skip(self, sign: str) -> None:
        if self._take() != ("sign", sign):
            raise self._fault()

    def _expression(self, least: int) -> Tree:
        """An expression whose operators bind at least so tightly."""
        self.depth += 1
        if self.depth > _DEPTH:
            raise self._fault()
        left = self._signed()
        while True:
            kind, sign = self.tokens[self.at]
            level = _BINDS.get(sign, -1) if kind in ("sign", "name") else -1
            if level < max(least, 0):
                break
            self.at += 1
            left = ["op", sign, left, self._type() if sign in ("is", "as") else self._expression(level + 1)]
        self.depth -= 1
        return left

    def _signed(self) -> Tree:
        if self._sees("-") or self._sees("+"):
            return ["sign", self._take()[1], self._expression(_POLARITY)]
        return self._path()

    def _path(self) -> Tree:
        tree = self._term()
        while True:
            if self._sees("."):
                self.at += 1
                tree = self._invocation(tree)
            elif self._sees("["):
                self.at += 1
                tree = ["index", tree, self._expression(0)]
                self._skip("]")
            else:
                return tree

    def _term(self) -> Tree:
        kind, text = self._take()
        if kind == "sign":
            return self._grouped(text)
        if kind == "text":
            return ["text", _unescape(text[1:-1])]
        if kind == "number":
            return self._measured(text)
        if kind == "time":
            return ["time", text]
        if text in ("true", "false") and kind == "name":
            return ["truth", text == "true"]
        self.at -= 1
        return self._invocation(None)

    def _grouped(self, sign: str) -> Tree:
        if sign == "(":
            tree = self._expression(0)
            self._skip(")")
            return tree
        if sign == "{":
            self._skip("}")
            return ["empty"]
        if sign == "%":
            kind, text = self._take()
            if kind not in ("name", "quoted", "text"):
                raise self._fault()
            return ["constant", text if kind == "name" else _unescape(text[1:-1])]
        raise self._fault()

    def _measured(self, number: str) -> Tree:
        kind, unit = self.tokens[self.at]
        if kind == "text" or (kind == "name" and _UNITS.match(unit)):
            self.at += 1
            return ["quantity", number, unit]
        return ["number", number]

    def _invocation(self, base: Tree | None) -> Tree:
        kind, text = self._take()
        if kind == "dollar" and base is None:
            return ["this"] if text == "$this" else [text]
        name = self._identifier(kind, text)
        if not self._sees("("):
            return ["member", base, name]
        self.at += 1
        arguments: list[Tree] = []
        while not self._sees(")"):
            if arguments:
                self._skip(",")
            arguments.append(self._expression(0))
        self.at += 1
        return ["call", base, name, *arguments]

    def _identifier(self, kind: str, text: str) -> str:
        if kind == "quoted":
            return _unescape(text[1:-1])
        if kind != "name" or text in _WORDS:
            raise self._fault()
        return text

    def _type(self) -> Tree:
        names = [self._identifier(*self._take())]
        while self._sees("."):
            # `x is Patient.name` has no meaning; a dot here joins namespace and name.
            self.at += 1
            names.append(self._identifier(*self._take()))
        return ["type", ".".join(names)]


def _unescape(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        escaped = found[1]
        return chr(int(escaped[1:], 16)) if len(escaped) > 1 else _ESCAPES.get(escaped, escaped)

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", plain, text, flags=re.DOTALL)
