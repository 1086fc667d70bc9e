"""Narratives: well-formed XHTML with the elements and attributes that FHIR allows, and some content (txt-1, txt-2)."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from converter.fhir.characters import has_control
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
    example='"div": "<p>Text</p>" without the div element around it, or "<br>" instead of "<br/>"',
)
REFUSED = declare(
    "PRO044",
    "narrative-not-allowed",
    Severity.ERROR,
    "the narrative uses {what} that FHIR does not allow",
    why="Active or styled content is a risk where the text is shown; receivers refuse it.",
    help="Keep to headings, paragraphs, lists, tables and simple formatting.",
    source="FHIR R4, txt-1",
    example='<script>, <form>, or a style sheet in "div"',
)
BLANK = declare(
    "PRO045",
    "narrative-empty",
    Severity.ERROR,
    "the narrative has no content",
    why="A reader who sees only the narrative would see nothing.",
    help="Write the content of the resource into it.",
    source="FHIR R4, txt-2",
    example='"div": "<div xmlns=\\"http://www.w3.org/1999/xhtml\\"> </div>"',
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
shown = re.compile(r">\s*[^\s<]").search
_STYLE = r'(?: style="[a-z0-9:; -]*+")?'


def _marked(inside: str) -> str:
    """A pattern: text with line breaks, and with words in bold and the like, which hold what `inside` allows."""
    marks = "|".join(f"<{name}>{inside}</{name}>" for name in ("b", "i", "tt"))
    return rf"[^<]*+(?:(?:<br/>|{marks}|<span{_STYLE}>{inside}</span>)[^<]*+)*+"


# The plain narratives of programs: headings, paragraphs, lists and runs of formatted text, no mark more than two deep.
_LINE = _marked(_marked("[^<]*+(?:<br/>[^<]*+)*+"))
_LISTS = "|".join(f"<{n}>(?:<li>{_LINE}</li>)*+</{n}>" for n in ("ul", "ol"))
_BLOCKS = "|".join(f"<{n}>{_LINE}</{n}>" for n in ("p", "h3", "h1", "h2", "h4", "h5", "h6"))
_PLAIN = (
    rf"<div xmlns=(?:\"{re.escape(XHTML)}\"|'{re.escape(XHTML)}'){_STYLE}>"
    rf"{_LINE}(?:(?:{_BLOCKS}|<hr/>|{_LISTS}|<div{_STYLE}>{_LINE}</div>){_LINE})*+</div>\Z"
)
# What most are: a heading with something to see in it and paragraphs, most of them with a label.
_RUNS = "[^<]*+(?:(?:<br/>|<b>[^<]*+</b>)[^<]*+)*+"
_LABELLED = "(?:<p><b>[^<]*+</b>[^<]*+</p>)*+[^<]*+"
_OTHERS = rf"p>{_RUNS}</p>|hr/>|h3>[^<]*+</h3>|ul>(?:<li>{_RUNS}</li>)*+</ul>"
_START = rf'<div xmlns="{re.escape(XHTML)}"><h3>[^\s<&][^<]*+</h3>'
_PLAINEST = rf"{_START}{_LABELLED}(?:<(?:{_OTHERS})[^<]*+{_LABELLED})*+</div>"
_are_plainest = re.compile(rf"{_PLAINEST}(?:<\0{_PLAINEST})*+\Z").match
# What text between good tags could still break: references that XML does not know by itself.
_REFERENCES = ("amp;", "lt;", "gt;", "quot;", "apos;", "#39;", "#34;", "#13;")


@cache
def _plain() -> re.Pattern[str]:
    """`_PLAIN`, compiled for the first narrative that is not of the plainest: that takes a tenth of a start."""
    return re.compile(_PLAIN)


def emit_narrative(source: Source, pointer: str, site: Site) -> None:
    """Code that judges XHTML `v`."""
    source(f"check_narrative(v, {pointer}, x, {source.constant(site, 'S')})")


def clean_text(value: Any) -> bool:
    """Whether a narrative is of a plain kind in which `check_narrative` would find nothing."""
    if value.__class__ is not str or not shown(value) or _plain().match(value) is None:
        return False
    try:
        return _has_sound_characters(value)
    except UnicodeEncodeError:
        return False


def clean_texts(texts: list[Any]) -> bool:
    """Whether `clean_text` says yes to all of some narratives (at least one), most of which are the plainest ones."""
    try:
        if not _has_sound_characters("".join(texts)):
            return False
    except (TypeError, UnicodeEncodeError):
        return False
    # Neither text nor tags can hold `<\0`, so each narrative must end and the next one start there.
    return _are_plainest("<\0".join(texts)) is not None or all(shown(t) and _plain().match(t) for t in texts)


def _has_sound_characters(text: str) -> bool:
    """Whether text between good tags is all right. Raises UnicodeEncodeError if it holds half a character."""
    try:
        text.encode("latin-1")  # costs next to nothing, as these are what Python holds
    except UnicodeEncodeError:
        text.encode()
    if has_control(text) or ("]" in text and "]]>" in text) or "\ufffe" in text or "\uffff" in text:
        return False
    return "&" not in text or all(part.startswith(_REFERENCES) for part in text.split("&")[1:])


def check_narrative(value: Any, pointer: str, run: Run, site: Site) -> None:
    """Judge a narrative by parsing it, unless it is one of those that the index of a plain Bundle has judged."""
    if run.current.claim and value is run.current.resource["text"]["div"]:
        return
    if not isinstance(value, str):
        run.add(WRONG_TYPE, pointer, site, expected="a string", found=kind_of_json(value))
        return
    problem = _judge(value, pointer, run, site)
    if problem:
        run.add(MALFORMED, pointer, site, problem=problem)
    elif not shown(value) and "<img" not in value:
        run.add(BLANK, pointer, site)


def _judge(value: str, pointer: str, run: Run, site: Site) -> str:
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
    for what in dict.fromkeys(_refused(name, attributes) for name, attributes in found):
        if what:
            run.add(REFUSED, pointer, site, what=what)
    return ""


def _refused(name: str, attributes: dict[str, str]) -> str:
    if name not in ELEMENTS:
        return "an element"
    for key, value in attributes.items():
        if key not in ATTRIBUTES and key not in _OWN.get(name, ()):
            return "an attribute"
        if key == "xmlns" and value != XHTML:
            return "an element"  # of another language
        if key in ("href", "src") and value.strip().lower().startswith(("javascript:", "vbscript:")):
            return "a script"
    return ""
