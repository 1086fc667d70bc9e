"""Texts and numbers of the report in Danish and English. The texts are content, in `texts.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from converter.yamlfile import load

LANGUAGES = ("da", "en")
FEW = 5
TEXTS = Path(__file__).with_name("texts.yaml")
_FIXED = "\N{NO-BREAK SPACE}"


@cache
def _texts() -> dict[str, dict[str, str]]:
    return {str(key): {str(lang): str(said) for lang, said in one.items()} for key, one in load(TEXTS).items()}


@dataclass(frozen=True, slots=True)
class Language:
    """One of the two languages: `language(key, name=value)` is a text, with its blanks filled in."""

    code: str

    def __call__(self, key: str, **values: Any) -> Markup:
        """The text, safe in HTML: values are escaped, unless they are markup of ours. Raises `KeyError`."""
        return Markup(escape(_texts()[key][self.code]).format(**values))

    def __contains__(self, key: str) -> bool:
        return key in _texts()

    def known(self, key: str, otherwise: str) -> Markup:
        """The text, or what is given where there is none, such as a code that came with other mapping files."""
        return self(key) if key in self else escape(otherwise)

    def number(self, value: float | None, digits: int = 0) -> str:
        """With separators of thousands and this many decimals. None is a dash: not known is not zero."""
        if value is None:
            return "–"
        text = f"{value:,.{digits}f}"
        if text.startswith("-"):
            text = "−" + text[1:] if text.strip("-0.,") else text[1:]
        return text.translate(str.maketrans(",.", ".,")) if self.code == "da" else text

    def count(self, value: int | None) -> str:
        """A number of messages; one that was withheld because it is small is `<5`."""
        return f"<{FEW}" if value is None else self.number(value)

    def percent(self, share: float | None, digits: int = 1) -> str:
        """A share of 1 as percent. What is neither nothing nor all is never rounded to it."""
        if share is None:
            return "–"
        least = 10**-digits
        value = share * 100
        sign = self.sign
        if 0 < value < least / 2:
            return f"<{_FIXED}{self.number(least, digits)}{sign}"
        if 100 - least / 2 < value < 100:
            return f">{_FIXED}{self.number(100 - least, digits)}{sign}"
        return f"{self.number(value, digits)}{sign}"

    @property
    def sign(self) -> str:
        """What stands behind a percentage."""
        return f"{_FIXED}%" if self.code == "da" else "%"

    def span(self, low: float | None, high: float | None, digits: int = 0) -> str:
        """From one number to another."""
        return f"{self.number(low, digits)}–{self.number(high, digits)}"

    def month(self, month: str) -> str:
        """A month as the tables have it (YYYY-MM), in words."""
        year, _, number = month.partition("-")
        if not (number.isdecimal() and 1 <= int(number) <= 12):
            return month or "–"
        return f"{str(self('months')).split()[int(number) - 1]}{_FIXED}{year}"
