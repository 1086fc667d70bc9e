"""Narratives: well-formed XHTML with the elements and attributes that FHIR allows, and some content (txt-1, txt-2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from converter.fhir.elements import Site
from converter.fhir.rules.structure import WRONG_TYPE, kind_of_json
from converter.fhir.run import Run
from converter.issues import Severity, declare

if TYPE_CHECKING:
    from converter.fhir.source import Source

MALFORMED = declare(
    "PRO043",
    "narrative-malformed",
    Severity.ERROR,
    "the narrative is not well-formed XHTML in a div element: {problem}",
    why="Receivers cannot show the text to a reader.",
    help="Write one div element in the XHTML namespace, all elements closed, & and < escaped, no HTML entities.",
    source="FHIR R4, Narrative",
)
REFUSED = declare(
    "PRO044",
    "narrative-not-allowed",
    Severity.ERROR,
    "the narrative uses {what} that FHIR does not allow",
    why="Active or styled content is a risk where the text is shown; receivers refuse it.",
    help="Keep to headings, paragraphs, lists, tables and simple formatting.",
    source="FHIR R4, txt-1",
)
BLANK = declare(
    "PRO045",
    "narrative-empty",
    Severity.ERROR,
    "the narrative has no content",
    why="A reader who sees only the narrative would see nothing.",
    help="Write the content of the resource into it.",
    source="FHIR R4, txt-2",
)

XHTML = "http://www.w3.org/1999/xhtml"
ELEMENTS = frozenset(
    [
        "p",
        "br",
        "div",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "a",
        "span",
        "b",
        "em",
        "i",
        "strong",
        "small",
        "big",
        "tt",
        "dfn",
        "q",
        "var",
        "abbr",
        "acronym",
        "cite",
        "blockquote",
        "hr",
        "address",
        "bdo",
        "kbd",
        "sub",
        "sup",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "pre",
        "table",
        "caption",
        "colgroup",
        "col",
        "thead",
        "tr",
        "tfoot",
        "tbody",
        "th",
        "td",
        "code",
        "samp",
        "img",
        "map",
        "area",
        "ins",
        "del",
    ]
)
ATTRIBUTES = frozenset(
    [
        "title",
        "style",
        "class",
        "id",
        "lang",
        "xml:lang",
        "xml:space",
        "dir",
        "accesskey",
        "tabindex",
        "span",
        "width",
        "align",
        "valign",
        "char",
        "charoff",
        "abbr",
        "axis",
        "headers",
        "scope",
        "rowspan",
        "colspan",
    ]
)
OWN = {
    "a": "href name charset type hreflang rel rev shape coords",
    "img": "src border alt longdesc height width usemap ismap",
    "div": "xmlns",
    "blockquote": "cite",
    "q": "cite",
    "map": "name",
    "area": "shape coords href nohref alt",
    "table": "summary width border frame rules cellspacing cellpadding",
    "pre": "space",
    "td": "nowrap",
    "ol": "type start",
    "ins": "cite datetime",
    "del": "cite datetime",
}
_OWN = {name: frozenset(text.split()) for name, text in OWN.items()}
_SHOWN = re.compile(r">\s*[^\s<]")
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});)")
_CONTROL = bytes(c for c in range(32) if c not in (9, 10, 13))
_TEXT = re.compile(r">[^<]+<")
# Tags of narratives that were parsed and found good: those of one program differ mostly in the text between the tags.
_judged: set[tuple[str, ...]] = set()
_MOST_JUDGED = 1000
_LONGEST_JUDGED = 20_000


def emit_narrative(source: Source, pointer: str, site: Site) -> None:
    """Code that judges XHTML `v`."""
    source(f"check_narrative(v, {pointer}, x, {source.constant(site, 'S')})")


def check_narrative(value: Any, pointer: str, run: Run, site: Site) -> None:
    """Judge a narrative: by its tags if they were seen before, else by parsing it."""
    if not isinstance(value, str):
        run.add(WRONG_TYPE, pointer, site, expected="a string", found=kind_of_json(value))
        return
    tags = tuple(_TEXT.split(value))
    if tags not in _judged or _suspect(value):
        problem = _judge(value, tags, pointer, run, site)
        if problem:
            run.add(MALFORMED, pointer, site, problem=problem)
            return
    if not _SHOWN.search(value) and "<img" not in value:
        run.add(BLANK, pointer, site)


def _suspect(value: str) -> bool:
    """Whether text between tags that were judged before could still break the parsing."""
    try:
        content = value.encode()
    except UnicodeEncodeError:
        return True
    controls = len(content.translate(None, _CONTROL)) != len(content)
    return controls or "]]>" in value or ("&" in value and _ENTITY.search(value) is not None)


def _judge(value: str, tags: tuple[str, ...], pointer: str, run: Run, site: Site) -> str:
    """Parse; report what is not allowed; return what keeps the text from being well-formed, "" if nothing does."""
    if "<!DOCTYPE" in value or "<!ENTITY" in value:
        return "a document type"  # refused before parsing, so that no entities can be declared
    found: list[tuple[str, dict[str, str]]] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: found.append((name, attributes))
    try:
        parser.Parse(value.encode(), True)
    except expat.ExpatError as error:
        return expat.errors.messages.get(error.code, "syntax error")
    except UnicodeEncodeError:
        return "half a character (lone surrogate)"
    if found[0][0] != "div" or found[0][1].get("xmlns") != XHTML:
        return "the outermost element is not a div in the XHTML namespace"
    refused = [_refused(name, attributes) for name, attributes in found]
    for what in dict.fromkeys(r for r in refused if r):
        run.add(REFUSED, pointer, site, what=what)
    # A > inside an attribute would let other attributes pass for text.
    hidden = any(">" in text for _, attributes in found for text in attributes.values())
    if not any(refused) and not hidden and "<!" not in value and "<?" not in value and len(value) < _LONGEST_JUDGED:
        if len(_judged) >= _MOST_JUDGED:
            _judged.clear()
        _judged.add(tags)
    return ""


def _refused(name: str, attributes: dict[str, str]) -> str:
    if name not in ELEMENTS:
        return "an element"
    for key, value in attributes.items():
        if key not in ATTRIBUTES and key not in _OWN.get(name, ()):
            return "an attribute"
        if key in ("href", "src") and value.strip().lower().startswith(("javascript:", "vbscript:")):
            return "a script"
    return ""
