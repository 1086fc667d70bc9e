"""What stands on the wire for characters that an interchange in ISO 8859-1 (UNOC) cannot carry.

Nothing becomes a question mark and nothing vanishes unseen: either the table has a spelling that means the same, or the
character's number stands there in brackets. Superscripts and fractions are not spelled out: a power of ten that loses
its superscript is another number.
"""

from __future__ import annotations

import re
import unicodedata

_TABLE = {
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "‹": "<", "›": ">",
    "“": '"', "”": '"', "„": '"', "‟": '"', "″": '"',
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-",
    "…": "...", "•": "*", "‣": "*", "·": "·", "€": "EUR", "™": "(TM)", "‰": " promille", "№": "nr.",
    "≤": "<=", "≥": ">=", "≠": "<>", "≈": "ca.", "→": "->", "←": "<-", "⁄": "/", "∕": "/", "∙": "·", "⋅": "·",
    "μ": "µ", "\u2126": "Ohm", "\u03a9": "Ohm", "œ": "oe", "Œ": "OE", "ı": "i", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D",
    "ħ": "h", "ẞ": "SS", "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ƒ": "f", "\t": " ", "\n": " ", "\u2028": " ", "\u2029": " ",
    "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "", "\u00ad": "\u00ad",
}  # fmt: skip

_OUTSIDE = re.compile("[^ -~\xa0-\xff]")


def carried(text: str) -> bool:
    """Whether an interchange can carry the text as it is: ISO 8859-1 without control characters."""
    return text.isprintable() if text.isascii() else _OUTSIDE.search(text) is None


def substituted(text: str) -> tuple[str, int]:
    """The text as it can be carried, and how many of its characters are written in another way.

    Letters and accents that only need to be joined (`a` and a ring) are not counted.
    """
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    if carried(text):
        return text, 0
    result, number = [], 0
    for char in text:
        new = char if carried(char) else _spelled(char)
        number += new != char
        result.append(new)
    return "".join(result), number


def _spelled(char: str) -> str:
    if "\x80" <= char <= "\x9f":  # from a sender that meant windows-1252
        meant = char.encode("latin-1").decode("cp1252", "replace")
        char = char if meant == "\ufffd" else meant
    if char in _TABLE:
        return _TABLE[char]
    if unicodedata.category(char) == "Zs":
        return " "
    decomposed = unicodedata.decomposition(char)
    if decomposed and not decomposed.startswith("<"):
        base = unicodedata.normalize("NFD", char)[0]
        if base.isalpha() and carried(base):
            return base
    return f"[U+{ord(char):04X}]"
