"""A document as text in which some stretches are replaced: how its syntax writes a sign, and what becomes of which."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from converter.pseudonymise.keyed import Pseudonyms

TOKEN, TEXT, BASE64, BIRTH = "token", "text", "base64", "birth"
"""What is done with a value: words replaced the same everywhere, overwritten, overwritten as base64, a day of birth."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a document, and what is done with it.

    `made`: its replacement, where that is known already. `form`: what an overwritten text must match if it did.
    """

    start: int
    end: int
    kind: str
    made: str | None = None
    form: str = ""


@dataclass(frozen=True)
class Script:
    """How a syntax writes signs: the pattern of one, what it stands for (empty: nothing), and another in its place."""

    pattern: re.Pattern[str]
    read: Callable[[str], str]
    write: Callable[[str, str], str]

    def replaced(self, raw: str, made: Callable[[str], str]) -> str:
        """The stretch with each sign replaced by that of the new value; signs that stay are written as they were."""
        written = self.pattern.findall(raw)
        signs = [self.read(sign) for sign in written]
        found = iter(made("".join(signs)))
        return "".join(
            one if not sign or (new := next(found)) == sign else self.write(one, new)
            for one, sign in zip(written, signs, strict=True)
        )

    def value(self, raw: str) -> str:
        """The value of a stretch."""
        return "".join(map(self.read, self.pattern.findall(raw)))


def replaced(document: str, parts: Iterable[Part], script: Script, names: Pseudonyms) -> str:
    """The document with its parts replaced. The noise of its texts depends on all of them together."""
    parts = sorted(parts, key=lambda part: part.start)
    texts = [script.value(document[p.start : p.end]) for p in parts if p.kind == TEXT and p.made is None]
    salt = names.salt(texts)
    makers: dict[str, Callable[[str], str]] = {
        TOKEN: names.token,
        TEXT: lambda value: names.text(value, salt),
        BASE64: lambda value: names.base64(value, salt),
        BIRTH: names.birth_date,
    }
    done, end = [], 0
    for part in parts:
        raw = document[part.start : part.end]
        maker = _formed(part.form, names, salt) if part.form and part.kind == TEXT else makers[part.kind]
        made = part.made if part.made is not None else script.replaced(raw, maker)
        done += [document[end : part.start], made]
        end = part.end
    return "".join([*done, document[end:]])


def _formed(form: str, names: Pseudonyms, salt: bytes) -> Callable[[str], str]:
    """Overwrites a text until it has the form that it had; a form that noise does not meet is given up."""

    def made(value: str) -> str:
        had = re.fullmatch(form, value) is not None
        tries = (names.text(value, salt + bytes([turn])) for turn in range(200))
        return next((text for text in tries if (re.fullmatch(form, text) is not None) == had), names.text(value, salt))

    return made
