"""Named pairs of functions between a letter's value and a FHIR value; mapping files call them by name.

Each pair states its law, which a property test runs (`tests/mapping/test_codecs.py`):

- `iso`: `back(there(x)) == x` for every x that is carried;
- `lens`: the same, except where `there` says that something was lost;
- `oneway`: only one direction exists.

`there` takes the letter's values (one argument a source) and then the rule's arguments; it returns None when the rule
does not apply to the value. A lossy codec returns the value and whether something was lost. `back` takes the FHIR value
and the arguments and returns one value a source (a tuple where there are several), None for a value that stays absent.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import filterfalse
from typing import Any

from converter.identifiers import ecpr_kind
from converter.letter import Text, unspaced
from converter.mapping import local_time


@dataclass(frozen=True, slots=True)
class Codec:
    """One registered pair.

    `lossy` says in which directions it returns `(value, lost)`: "", "there", "back" or "both". `born`: on the way back
    it is told whether the Bundle was born from a letter.
    """

    name: str
    law: str
    there: Callable[..., Any] | None
    back: Callable[..., Any] | None
    lossy: str = ""
    sources: int = 1
    born: bool = False
    doc: str = ""

    @property
    def unchanged(self) -> bool:
        """Whether the way to FHIR hands on every value as it is."""
        return self.there is Copy.there

    @property
    def lossy_there(self) -> bool:
        """Whether the way to FHIR says what was lost."""
        return self.lossy in ("there", "both")

    @property
    def lossy_back(self) -> bool:
        """Whether the way back says what was lost."""
        return self.lossy in ("back", "both")


CODECS: dict[str, Codec] = {}


def codec(name: str, law: str, *, lossy: str = "", sources: int = 1, born: bool = False) -> Callable[[type], type]:
    """Register the static functions `there` and `back` of a class as the codec `name`."""

    def register(pair: type) -> type:
        doc = (pair.__doc__ or "").strip()
        there, back = getattr(pair, "there", None), getattr(pair, "back", None)
        CODECS[name] = Codec(name, law, there, back, lossy, sources, born, doc)
        return pair

    return register


class _Unchanged:
    """The way back of codecs that only decide whether a value is carried."""

    @staticmethod
    def back(value: Any, *_: Any) -> str:
        return str(value)


@codec("copy", "iso")
class Copy(_Unchanged):
    """The value as it is."""

    @staticmethod
    def there(value: str, *_: str) -> str:
        return value


@codec("cut", "lens", lossy="back")
class Cut:
    """The value as it is towards FHIR; cut to the letter's length on the way back."""

    there = staticmethod(Copy.there)

    @staticmethod
    def back(value: Any, size: str) -> tuple[str, bool]:
        text = " ".join(str(value).split("\n"))
        return text[: int(size)].rstrip(" ") if len(text) > int(size) else text, text[: int(size)] != value


@codec("local_time", "lens", lossy="both", sources=2, born=True)
class LocalTime:
    """A letter's Danish date and time of day, and an instant with offset (doubtful hours: `local_time.py`)."""

    there = staticmethod(local_time.to_instant)

    @staticmethod
    def back(value: Any, born: str = "fhir") -> tuple[tuple[str, str] | None, bool]:
        own = local_time.as_written(str(value)) if born == "letter" else None
        return (own, False) if own else local_time.from_instant(str(value))


@codec("local_seconds", "lens", lossy="both", sources=2, born=True)
class LocalSeconds:
    """As `local_time`, of letters whose time of day has seconds."""

    there = staticmethod(LocalTime.there)

    @staticmethod
    def back(value: Any, born: str = "fhir") -> tuple[tuple[str, str] | None, bool]:
        own = local_time.as_written(str(value), seconds=True) if born == "letter" else None
        return (own, False) if own else local_time.from_instant(str(value), seconds=True)


@codec("instant", "iso")
class Instant(_Unchanged):
    """A time that FHIR wrote, as it is."""

    there = staticmethod(Copy.there)


@codec("prefix", "iso")
class Prefix:
    """A fixed beginning before the value."""

    @staticmethod
    def there(value: str, start: str) -> str:
        return start + value

    @staticmethod
    def back(value: Any, start: str) -> str | None:
        return str(value)[len(start) :] if str(value).startswith(start) else None


@codec("plain_text", "lens", lossy="both")
class PlainText:
    """Formatted text as plain lines: CareCommunication keeps line breaks only (ALL-09), and no blanks at the edges.

    The way back gives plain text that ends in a line break, as every text of an EDIFACT letter does.
    """

    @staticmethod
    def there(value: Text) -> tuple[str | None, bool]:
        if len(value) == 1 and value[0][0] == "P00":
            text = value[0][1]
            trimmed = text.strip(" \n")
            return (trimmed or None), len(text) != len(trimmed) + 1 or text[-1] != "\n"
        return (_blocks(value).strip(" \n") or None), True

    @staticmethod
    def back(value: Any) -> tuple[Text, bool]:
        text = str(value).replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
        return (("P00", text + "\n"),), text != value


_DIV = '<div xmlns="http://www.w3.org/1999/xhtml" style="white-space: pre-wrap">'
_STYLES = {
    "00": ("", ""),
    "F0": ("<b>", "</b>"),
    "U0": ('<span style="text-decoration: underline">', "</span>"),
    "K0": ("<i>", "</i>"),
    "0H": ('<div style="text-align: right">', "</div>"),
    "0M": ('<div style="text-align: center">', "</div>"),
}
_FONTS = {"P": ("", ""), "F": ("<tt>", "</tt>")}
_TAGS = {
    font + style: (tags[0] + fixed[0], fixed[1] + tags[1])
    for font, fixed in _FONTS.items()
    for style, tags in _STYLES.items()
}
_OPENING = sorted(((tags[0], code) for code, tags in _TAGS.items() if tags[0]), key=lambda one: -len(one[0]))
_NOT_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_PLAIN_XHTML = re.compile(r"(?:[^<]|<br/>)+")
_ENDS_LINE = re.compile(r"<br\s*/?>|</(?:p|div|li|tr|h[1-6]|pre|blockquote|dt|dd|table|ul|ol)\s*>", re.I)
_TAG = re.compile(r"<!--.*?-->|<[^>]*>", re.S)


@codec("xhtml", "lens", lossy="both")
class Xhtml:
    """Formatted text as the XHTML of a section, every blank and line break kept; no element for text without content.

    A run of one format is one element (plain text none), a line break is `<br/>`, and the outer `div` says that blanks
    count. Any other XHTML comes back as its plain text, which is a loss. Text of nothing but blanks is not carried:
    FHIR demands content in every narrative (txt-2).
    """

    @staticmethod
    def there(value: Text) -> tuple[str | None, bool]:
        if len(value) == 1 and value[0][0] == "P00" and value[0][1].replace("\n", "").isprintable():
            text = value[0][1]  # nearly always, and then there is nothing that XML cannot hold
            escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br/>")
            return None if not text or text.isspace() else f"{_DIV}{escaped}</div>", False
        parts, lost, said = [_DIV], False, False
        for code, text in value:
            before, after = _TAGS.get(code, ("", ""))
            clean = _NOT_XML.sub("\ufffd", text)
            lost = lost or clean != text or code not in _TAGS
            escaped = clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
            parts += (before, escaped.replace("\n", "<br/>"), after)
            said = said or text.strip() != ""
        parts.append("</div>")
        return "".join(parts) if said else None, lost

    @staticmethod
    def back(value: Any) -> tuple[Text | None, bool]:
        text = str(value)
        runs = _own_runs(text)
        if runs is not None and Xhtml.there(runs)[0] == text:
            return runs, False
        words = flat(text)
        return ((("P00", words + "\n"),) if words else None), True


@codec("formatted", "lens", lossy="both")
class Formatted:
    """As `xhtml`, and only for a text that `plain_text` cannot carry as it is."""

    @staticmethod
    def there(value: Text) -> tuple[str | None, bool]:
        return Xhtml.there(value) if PlainText.there(value)[1] else (None, False)

    @staticmethod
    def back(value: Any) -> tuple[Text | None, bool]:
        return Xhtml.back(value)


def _own_runs(text: str) -> Text | None:
    """The runs of a `div` that this codec wrote; None for any other."""
    if not text.startswith(_DIV) or not text.endswith("</div>"):
        return None
    runs, at, end = [], len(_DIV), len(text) - len("</div>")
    while at < end:
        opening, code = next((one for one in _OPENING if text.startswith(one[0], at)), ("", "P00"))
        at += len(opening)
        match = _PLAIN_XHTML.match(text, at, end)
        if match is None:
            return None
        runs.append((code, html.unescape(match[0].replace("<br/>", "\n"))))
        at = match.end() + (len(_TAGS[code][1]) if opening else 0)
    return tuple(runs)


def flat(text: str) -> str:
    """The characters of any XHTML, with line breaks where blocks end; white space counts only where it is said to."""
    kept = _ENDS_LINE.sub("\n", text if "pre-wrap" in text[:200] else " ".join(text.split()))
    lines = html.unescape(_TAG.sub("", kept)).replace("\xa0", " ").split("\n")
    return "\n".join(line.strip() for line in lines).strip("\n")


def _blocks(value: Text) -> str:
    """The lines of formatted text; centred and right-aligned runs stand on lines of their own."""
    out: list[str] = []
    block = False
    for code, text in value:
        is_block = code[2:] in ("H", "M")
        if (is_block or block) and out and not out[-1].endswith("\n") and not text.startswith("\n"):
            out.append("\n")
        out.append(text)
        block = is_block
    return "".join(out)


@codec("same_as", "iso")
class SameAs(_Unchanged):
    """Carried only where the value equals another one that is carried already (a GLN in both places)."""

    @staticmethod
    def there(value: str, other: str | None) -> str | None:
        return value if value == other else None


@codec("other_than", "iso")
class OtherThan(_Unchanged):
    """Carried only where the value differs from another one."""

    @staticmethod
    def there(value: str, other: str | None) -> str | None:
        return None if value == other else value


@codec("not_in", "iso")
class NotIn(_Unchanged):
    """Carried only where the value, with leading zeros to four digits, is no code of a code map."""

    @staticmethod
    def there(value: str, known: Mapping[str, Any]) -> str | None:
        return None if value.zfill(4) in known else value


_KINDS = {"xecpr": "X", "decpr": "D", "neither": None}


@codec("only", "iso")
class Only(_Unchanged):
    """Carried only where the value is a replacement CPR of the named kind: `xecpr`, `decpr` or `neither`."""

    @staticmethod
    def there(value: str, shape: str) -> str | None:
        return value if ecpr_kind(value) == _KINDS[shape] else None


@codec("municipality", "lens", lossy="both")
class Municipality:
    """A municipality number: three digits in letters, four in FHIR (required value set); others are not carried."""

    @staticmethod
    def there(value: str, known: Mapping[str, Any]) -> tuple[str | None, bool]:
        padded = value.zfill(4) if value.isascii() and value.isdigit() else ""
        return (padded, not (padded.startswith("0") and len(value) == 3)) if padded in known else (None, False)

    @staticmethod
    def back(value: Any, known: Mapping[str, Any]) -> tuple[str, bool]:
        text = str(value)
        return (text[1:] if len(text) == 4 and text.startswith("0") else text), False


@codec("joined_names", "lens", lossy="back")
class JoinedNames:
    """All given names as one string, which is how letters hold them."""

    @staticmethod
    def there(value: str, size: str) -> list[str]:
        return [value]

    @staticmethod
    def back(value: Any, size: str) -> tuple[str, bool]:
        names = [str(name) for name in value] if isinstance(value, list) else [str(value)]
        text = " ".join(names)
        return text[: int(size)].rstrip(" ") if len(text) > int(size) else text, len(names) > 1 or len(text) > int(size)


@codec("joined_parts", "lens", lossy="both", sources=3)
class JoinedParts:
    """Organisation, department and unit as one name with single blanks between (MAP rows 24-26).

    The way back knows the organisation's own name from the author of a letter-born Bundle and splits the rest at a
    blank so that every part fits; only where department and unit meet can be lost (ALL-06).
    """

    @staticmethod
    def there(organisation: str | None, department: str | None, unit: str | None, size: str) -> tuple[str | None, bool]:
        if organisation and unit is None:  # nearly always, and then nothing is lost
            if department is None and len(organisation) <= int(size):
                return organisation, False
            if department and len(department) <= int(size):
                return f"{organisation} {department}", False
        joined = " ".join(filter(None, (organisation, department, unit)))
        return joined or None, JoinedParts.back(joined, size, organisation)[0] != (organisation, department, unit)

    @staticmethod
    def back(value: Any, size: str, first: str | None = None) -> tuple[tuple[str, str | None, str | None], bool]:
        text, limit = str(value), int(size)
        if first and text.startswith(first + " "):
            rest = text[len(first) + 1 :]
            if len(rest) <= limit:
                return (first, rest, None), False
            at = next((i for i in range(limit, 0, -1) if rest[i] == " " and len(rest) - i - 1 <= limit), 0)
            if at:
                return (first, rest[:at], rest[at + 1 :]), False
        return (text[:limit].rstrip(" ") if len(text) > limit else text, None, None), len(text) > limit


@codec("split_name", "lens", lossy="both", sources=3)
class SplitName:
    """As `joined_parts`, where nothing else in the message names the organisation: split at blanks into parts that fit.

    Where the parts met is lost (ALL-06); the words are not, unless they are more than three parts hold.
    """

    @staticmethod
    def there(organisation: str | None, department: str | None, unit: str | None, size: str) -> tuple[str | None, bool]:
        joined = " ".join(filter(None, (organisation, department, unit)))
        return joined or None, SplitName.back(joined, size)[0] != (organisation, department, unit)

    @staticmethod
    def back(value: Any, size: str) -> tuple[tuple[str | None, ...], bool]:
        rest, limit = str(value), int(size)
        parts: list[str] = []
        while len(rest) > limit and len(parts) < 2:
            at = rest.rfind(" ", 0, limit + 1)
            if at <= 0:
                break
            parts.append(rest[:at])
            rest = rest[at + 1 :]
        lost = len(rest) > limit
        parts.append(rest[:limit].rstrip(" ") if lost else rest)
        return tuple([*(part or None for part in parts), None, None][:3]), lost


@codec("plus_joined", "lens", lossy="there", sources=2)
class PlusJoined:
    """A main code and the codes that add to it as one code, `MAIN+ADD1+ADD2` (post-coordination of dk-core).

    The second source is a list. A code that is missing or holds a plus sign cannot be told apart again.
    """

    @staticmethod
    def there(main: str | None, added: list[str]) -> tuple[str | None, bool]:
        codes = [main or "", *added]
        return "+".join(codes) if any(codes) else None, any(not code or "+" in code for code in codes)

    @staticmethod
    def back(value: Any) -> tuple[str | None, list[str]]:
        main, *added = str(value).split("+")
        return main or None, added


_NO_NAME = frozenset({None, "", "_"})


@codec("name_of_parts", "oneway", sources=3)
class NameOfParts:
    """Organisation, department and unit as one name for readers; `_` stands for no name in letters."""

    @staticmethod
    def there(organisation: str | None, department: str | None, unit: str | None) -> str | None:
        names = filterfalse(_NO_NAME.__contains__, (organisation, department, unit))
        return " / ".join(names) or None  # type: ignore[arg-type] # None is no name


@codec("matching", "iso")
class Matching(_Unchanged):
    """Carried only where the whole value matches a pattern."""

    @staticmethod
    def there(value: str, pattern: str) -> str | None:
        return value if re.fullmatch(pattern, value) else None


@codec("not_matching", "iso")
class NotMatching(_Unchanged):
    """Carried only where the value does not match a pattern."""

    @staticmethod
    def there(value: str, pattern: str) -> str | None:
        return None if re.fullmatch(pattern, value) else value


@codec("respelt", "lens", lossy="both")
class Respelt:
    """One code that FHIR spells otherwise (a code of letters ends in a blank, which no FHIR code may)."""

    @staticmethod
    def there(value: str, letter: str, fhir: str) -> tuple[str, bool]:
        return (fhir if value == letter else value), value == fhir

    @staticmethod
    def back(value: Any, letter: str, fhir: str) -> tuple[str, bool]:
        return (letter if value == fhir else str(value)), False


_BLANK = "[ ]"
_MARK = re.compile(r"\[([A-Za-z_]+)\](?: (.*))?\Z", re.S)


@codec("marked", "lens", lossy="both", sources=2)
class Marked:
    """A code in square brackets, and a text after it as plain lines: `[syntaksfejl] The letter …`; one may be absent.

    The first argument is a code map with the codes that are known; a second one begins the text. A text of nothing but
    blanks without a code is `[ ]`.
    """

    @staticmethod
    def there(
        code: str | None, text: Text | None, known: Mapping[str, Any], start: str = ""
    ) -> tuple[str | None, bool]:
        words, lost = PlainText.there(text) if text else (None, False)
        mark = f"[{code}]" if code else _BLANK if text and not words else ""
        made = start + " ".join(part for part in (mark, words) if part)
        return made or None, lost or Marked.back(made, known, start)[0] != (code, text)

    @staticmethod
    def back(value: Any, known: Mapping[str, Any], start: str = "") -> tuple[tuple[str | None, Text | None], bool]:
        text = str(value).removeprefix(start)
        if text == _BLANK:
            return (None, (("P00", " \n"),)), False
        match = _MARK.match(text)
        code = match[1] if match is not None and match[1] in known else None
        words = text if match is None or code is None else match[2]
        return (code, PlainText.back(words)[0] if words else None), False


@codec("number", "iso")
class Number:
    """A whole number: digits in letters, a JSON number in FHIR."""

    @staticmethod
    def there(value: str) -> int | None:
        return (
            int(value) if value.isascii() and value.isdigit() and len(value) < 16 and str(int(value)) == value else None
        )

    @staticmethod
    def back(value: Any) -> str:
        return str(value)


@codec("decoded_size", "oneway")
class DecodedSize:
    """The number of bytes behind base64 content (conversion service AT-4: the decoded size)."""

    @staticmethod
    def back(value: Any) -> str | None:
        # Counted, not decoded: whether it is base64 is for the definition of the letter to say.
        text = FileContent.back(value)
        return str(len(text) // 4 * 3 - text[-2:].count("=")) if len(text) % 4 == 0 else None


@codec("file_content", "iso")
class FileContent:
    """The bytes of a file as base64, which letters hold without white space."""

    there = staticmethod(Copy.there)

    @staticmethod
    def back(value: Any) -> str:
        return unspaced(str(value))
