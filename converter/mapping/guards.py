"""Guards: `when: Sender.IdentifierCode == sorkode and not (Patient.X present)`.

`==`, `!=`, `in (a, b)`, `present`, `absent`, `same OTHER.PATH`, `and`, `or`, `not`, parentheses. A value that is absent
equals nothing, so `==`, `!=` and `same` are all false of it. A guard is turned into a
Python expression by its user, who says what a path means.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

_TOKEN = re.compile(
    r"\s*(?:(?P<op>==|!=|\(|\)|,)|\"(?P<quoted>[^\"]*)\"|(?P<word>[^\s()=!,\"\[]+(?:(?:\[[^\]]*\]|\(\))[^\s()=!,\"\[]*)*))"
)


def compile_guard(text: str, value_of: Callable[[str], str]) -> str:
    """A Python expression for a guard. `value_of` gives the expression for a path (None when absent).

    Raises `ValueError` that names what was not understood.
    """
    tokens = _tokens(text)
    expression, rest = _or(tokens, value_of)
    if rest:
        raise ValueError(f"not understood in a guard: {rest[0]!r}")
    return expression


def guard_paths(text: str) -> list[str]:
    """The paths that a guard looks at."""
    paths: list[str] = []

    def note(path: str) -> str:
        paths.append(path)
        return "None"

    compile_guard(text, note)
    return paths


def guard_values(text: str) -> list[tuple[str, list[str]]]:
    """The comparisons of a guard: each path with the values that it is compared with, none for `present`, `absent`."""
    tokens = _tokens(text)
    found: list[tuple[str, list[str]]] = []
    for at, (path, operator) in enumerate(itertools.pairwise(tokens)):
        if operator not in _OPERATORS or path in _WORDS:
            continue
        values = tokens[at + 2 : at + 3] if operator in ("==", "!=") else []
        if operator == "in" and ")" in tokens[at:]:
            values = tokens[at + 3 : tokens.index(")", at)]
        found.append((path, [value.removeprefix('"') for value in values if value != ","]))
        if operator == "same":
            found.extend((other, []) for other in tokens[at + 2 : at + 3])
    return found


def qualified(text: str, name: Callable[[str], str]) -> str:
    """The guard with every path replaced by what `name` makes of it."""
    tokens = _tokens(text)
    words = []
    for before, token, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        if token.startswith('"'):
            words.append(token + '"')
        else:
            path = (after in _OPERATORS or before == "same") and token not in _WORDS
            words.append(name(token) if path else token)
    return " ".join(words)


_OPERATORS = frozenset(["==", "!=", "in", "present", "absent", "same"])
_WORDS = frozenset(["and", "or", "not", "(", ")", ",", *_OPERATORS])


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"not understood in a guard: {text[at:].strip()!r}")
        tokens.append(f'"{match["quoted"]}' if match["quoted"] is not None else match["op"] or match["word"])
        at = match.end()
    return tokens


def _or(tokens: list[str], value_of: Callable[[str], str]) -> tuple[str, list[str]]:
    left, tokens = _and(tokens, value_of)
    while tokens and tokens[0] == "or":
        right, tokens = _and(tokens[1:], value_of)
        left = f"({left} or {right})"
    return left, tokens


def _and(tokens: list[str], value_of: Callable[[str], str]) -> tuple[str, list[str]]:
    left, tokens = _not(tokens, value_of)
    while tokens and tokens[0] == "and":
        right, tokens = _not(tokens[1:], value_of)
        left = f"({left} and {right})"
    return left, tokens


def _not(tokens: list[str], value_of: Callable[[str], str]) -> tuple[str, list[str]]:
    if not tokens:
        raise ValueError("a guard ends too early")
    if tokens[0] == "not":
        inner, tokens = _not(tokens[1:], value_of)
        return f"(not {inner})", tokens
    if tokens[0] == "(":
        inner, tokens = _or(tokens[1:], value_of)
        if not tokens or tokens[0] != ")":
            raise ValueError("a parenthesis is not closed")
        return inner, tokens[1:]
    return _comparison(tokens, value_of)


def _comparison(tokens: list[str], value_of: Callable[[str], str]) -> tuple[str, list[str]]:
    path, rest = tokens[0], tokens[1:]
    value = value_of(path)
    operator = rest[0] if rest else ""
    if operator == "present":
        return f"({value} is not None)", rest[1:]
    if operator == "absent":
        return f"({value} is None)", rest[1:]
    if operator == "same" and len(rest) > 1 and not rest[1].startswith('"'):
        return f"({value} is not None and {value} == {value_of(rest[1])})", rest[2:]
    if operator == "==" and len(rest) > 1:
        return f"({value} == {_literal(rest[1])})", rest[2:]
    if operator == "!=" and len(rest) > 1:
        return f"({value} not in (None, {_literal(rest[1])}))", rest[2:]
    if operator == "in" and len(rest) > 1 and rest[1] == "(":
        end = rest.index(")") if ")" in rest else 0
        if end:
            values = [_literal(t) for t in rest[2:end] if t != ","]
            return f"({value} in ({', '.join(values)},))", rest[end + 1 :]
    raise ValueError(f"expected ==, !=, in, present, absent or same after {path!r}")


def _literal(token: str) -> str:
    return repr(token[1:] if token.startswith('"') else token)
