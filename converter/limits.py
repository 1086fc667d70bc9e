"""Ceilings on input. Every reader has them, so that no message can exhaust memory or time (design, section 9)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

_UNITS = {"": 1, "k": 1024, "kb": 1024, "m": 1024**2, "mb": 1024**2, "g": 1024**3, "gb": 1024**3}


# What is loaded stays, and a message leaves no cycles: to look for them each 700 new objects is a fifth of a start.
COLLECTOR = (100_000, 50, 100)
"""The thresholds of Python's collector of cycles in the program."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one run: sizes in bytes, depths and numbers as counts.

    `input` is one file or archive member, `archive` all that comes out of one archive, `ratio` how many times larger
    than its packed form that may be, `members` how many an archive may list.
    """

    text: int = 10 * 1024**2
    attachment: int = 100 * 1024**2
    segment: int = 1024**2
    message: int = 150 * 1024**2
    joined: int = 600 * 1024**2  # base64 characters of all attachments of one letter
    constituents: int = 500_000  # segments, elements and components of one EDIFACT message
    xml_depth: int = 100
    xml_elements: int = 100_000
    json_depth: int = 150
    input: int = 2 * 1024**3
    archive: int = 20 * 1024**3
    ratio: int = 100
    members: int = 1_000_000

    def with_setting(self, setting: str) -> Limits:
        """A copy changed by one `NAME=SIZE` (`segment=4MB`, `json-depth=200`). Raises `ValueError` naming the fault."""
        name, equals, size = setting.partition("=")
        name = name.strip().replace("-", "_")
        known = [f.name for f in fields(self)]
        if not equals or name not in known:
            raise ValueError(f"expected NAME=SIZE with NAME one of {', '.join(known)}")
        digits = size.strip().lower().rstrip("kmgb")
        unit = size.strip().lower()[len(digits) :]
        if not digits.isascii() or not digits.isdigit() or unit not in _UNITS:
            raise ValueError(f"not a size for {name}: a whole number, optionally with KB, MB or GB")
        return replace(self, **{name: int(digits) * _UNITS[unit]})
