"""Source that is printed at run time (from mappings, definitions, profiles, rules, templates), made into code."""

from __future__ import annotations

import linecache
import sys
from types import CodeType
from typing import Any

texts: set[str] = set()
"""All texts that generated code can write: what is among them says nothing of a message."""


def run(text: str, file: str, names: dict[str, Any]) -> None:
    """Run the source of a module in a namespace; tracebacks show its lines, under the file name given.

    The text must be our own, never input. Equal constants are one object in all generated code: what one function puts
    into a dict under a leaf's id, another finds without comparing characters.
    """
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(_shared(compile(text, file, "exec")), names)  # noqa: S102 - see above


def _shared(constant: Any) -> Any:
    """A constant of a code object, or the code itself, with its texts interned."""
    if type(constant) is str:
        interned = sys.intern(constant)
        texts.add(interned)
        return interned
    if isinstance(constant, CodeType):
        return constant.replace(co_consts=tuple(map(_shared, constant.co_consts)))
    if type(constant) in (tuple, frozenset):
        return type(constant)(map(_shared, constant))
    return constant
