"""A thread of messages as the text of one letter: what is new, who wrote it, what was said before.

Lines (section `thread` of a mapping) are templates: `{path}` is a value, `{path|formatter}` a composed one, `[...]` a
part that is left out when a value in it is absent. A line is left out when a value outside of brackets is absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from converter.freetext import COMPONENTS, cut, wire_segments
from converter.mapping import codecs, local_time, paths
from converter.mapping.paths import Node

if TYPE_CHECKING:
    from converter.mapping.taking import Taking

Piece = tuple[str, Any]
Template = tuple[Piece, ...]

_PIECE = re.compile(r"\{(?P<value>[^}]*)\}|\[(?P<optional>(?:[^\[\]{]|\{[^}]*\})*)\]|(?P<text>[^{\[]+)")


def parse_template(
    text: str, slices: Mapping[str, paths.Slice], codes: Mapping[str, Any], roots: Collection[str]
) -> Template:
    """Parse a line; `roots` are the names of resources. Raises `ValueError` for an unknown formatter or path."""
    pieces: list[Piece] = []
    for match in _PIECE.finditer(text):
        if match["value"] is not None:
            pieces.append(("value", _placeholder(match["value"], slices, codes, roots)))
        elif match["optional"] is not None:
            pieces.append(("optional", parse_template(match["optional"], slices, codes, roots)))
        else:
            pieces.append(("text", match["text"]))
    return tuple(pieces)


def _placeholder(
    text: str, slices: Mapping[str, paths.Slice], codes: Mapping[str, Any], roots: Collection[str]
) -> tuple[str, paths.Path, Any]:
    path, _, formatter = text.partition("|")
    name, _, argument = formatter.rstrip(")").partition("(")
    if formatter and name not in FORMATTERS:
        raise ValueError(f"no formatter {name!r}")
    table = codes[argument] if argument else None
    function = FORMATTERS[name] if formatter else None
    start, _, rest = path.partition(".")
    if start.startswith("$") or start in roots:
        return start, paths.parse(rest, slices) if rest else (), (function, table)
    own = path.removeprefix(".")
    return "", paths.parse(own, slices) if own else (), (function, table)


def render(b: Taking, template: Template, scope: Node | None) -> tuple[str | None, list[Node]]:
    """The text of a line and the nodes that it shows; None when a value is absent."""
    text = ""
    used: list[Node] = []
    for kind, piece in template:
        if kind == "text":
            text += piece
            continue
        if kind == "optional":
            inner, nodes = render(b, piece, scope)
            text, used = text + (inner or ""), used + nodes
            continue
        inner, nodes = _show(b, piece, scope)
        if not inner:
            return None, []
        text, used = text + inner, used + nodes
    return text, used


def _show(b: Taking, piece: tuple[str, paths.Path, Any], scope: Node | None) -> tuple[str | None, list[Node]]:
    start, path, (function, table) = piece
    node = scope
    if start.startswith("$"):
        node = b.selected(start[1:])
    elif start in b.resources:
        node = b.resources[start]
    elif start:
        return None, []
    found = b.first(node, path)
    if found is None:
        return None, []
    if function is not None:
        shown: tuple[str | None, list[Node]] = function(b, found, table)
        return shown
    return (str(found.value), [found]) if not isinstance(found.value, dict | list) else (None, [])


# -- formatters ------------------------------------------------------------------------------------------------------

FORMATTERS: dict[str, Callable[..., tuple[str | None, list[Node]]]] = {}


def formatter(function: Callable[..., tuple[str | None, list[Node]]]) -> Callable[..., tuple[str | None, list[Node]]]:
    """Register a formatter under its own name."""
    FORMATTERS[function.__name__] = function
    return function


@formatter
def display(b: Taking, node: Node, table: Any) -> tuple[str | None, list[Node]]:
    """The Danish display of a coding, by a code map; its own display or code where the map has none."""
    coding = node.value if isinstance(node.value, dict) else {}
    code, system = coding.get("code"), coding.get("system")
    row = table.row_of(code, system)
    text = row["display"] if row else coding.get("display") or code
    return text, [Node(f"{node.pointer}/{k}", coding[k]) for k in ("system", "code", "display") if k in coding]


@formatter
def characters(b: Taking, node: Node, table: Any) -> tuple[str | None, list[Node]]:
    """The characters of XHTML, with line breaks where its blocks end."""
    return codecs.flat(str(node.value)) or None, [node]


@formatter
def words(b: Taking, node: Node, table: Any) -> tuple[str | None, list[Node]]:
    """A CodeableConcept as its author would read it: the text, else the display or code of its first coding.

    With a code map, its display where it has the code.
    """
    concept = node.value if isinstance(node.value, dict) else {}
    if isinstance(concept.get("text"), str):
        return concept["text"], [Node(f"{node.pointer}/text", concept["text"])]
    codings = concept.get("coding")
    coding = codings[0] if isinstance(codings, list) and codings and isinstance(codings[0], dict) else {}
    key = "display" if coding.get("display") else "code"
    row = table.row_of(coding.get("code"), coding.get("system")) if table is not None and key == "code" else None
    shown = row["display"] if row else coding.get(key)
    return (str(shown), [Node(f"{node.pointer}/coding/0/{key}", shown)]) if shown else (None, [])


@formatter
def name_only(b: Taking, node: Node, table: Any) -> tuple[str | None, list[Node]]:
    """The name of the practitioner behind a PractitionerRole, a Practitioner, a CareTeam or an Organization."""
    holder = node.value
    target = _follow(b, holder.get("practitioner")) or node
    name = target.value.get("name")
    if isinstance(name, str):
        return name, [Node(f"{target.pointer}/name", name)]
    first = name[0] if isinstance(name, list) and name and isinstance(name[0], dict) else {}
    parts, used = [], []
    for key in ("prefix", "given", "family"):
        values = first.get(key)
        for i, value in enumerate(values if isinstance(values, list) else [values] if values else []):
            parts.append(str(value))
            suffix = f"/{i}" if isinstance(values, list) else ""
            used.append(Node(f"{target.pointer}/name/0/{key}{suffix}", value))
    if not parts and first.get("text"):
        return str(first["text"]), [Node(f"{target.pointer}/name/0/text", first["text"])]
    return " ".join(parts) or None, used


@formatter
def role_only(b: Taking, node: Node, table: Any) -> tuple[str | None, list[Node]]:
    """The role of a PractitionerRole: its code's display, else its text; nothing for the filler `ukendt`."""
    codes = node.value.get("code")
    first = codes[0] if isinstance(codes, list) and codes and isinstance(codes[0], dict) else {}
    pointer = f"{node.pointer}/code/0"
    codings = first.get("coding")
    if isinstance(codings, list) and codings and isinstance(codings[0], dict):
        return display(b, Node(f"{pointer}/coding/0", codings[0]), table)
    text = first.get("text")
    return (text, [Node(f"{pointer}/text", text)]) if text and text != "ukendt" else (None, [])


@formatter
def person(b: Taking, node: Node, table: Any) -> tuple[str | None, list[Node]]:
    """Name and role, or a team's name and its organisation's."""
    name, used = name_only(b, node, table)
    role, more = role_only(b, node, table)
    managing = node.value.get("managingOrganization")
    house = _follow(b, managing[0] if isinstance(managing, list) and managing else None)
    place = house.value.get("name") if house is not None else None
    return ", ".join(p for p in (name, role, place) if p) or None, used + more


@formatter
def local_text(b: Taking, node: Node, table: Any) -> tuple[str | None, list[Node]]:
    """A time as a Danish reader writes it: `03-11-2024 kl. 09:00`."""
    local = local_time.from_instant(str(node.value))[0]
    if local is None:
        return str(node.value), [node]
    date, time = local
    return f"{date[8:]}-{date[5:7]}-{date[:4]} kl. {time}", [node]


def _follow(b: Taking, reference: Any) -> Node | None:
    return b.follow.get(reference.get("reference", "")) if isinstance(reference, dict) else None


# -- the thread ------------------------------------------------------------------------------------------------------


class Thread:
    """Writes the text of a FHIR-born Bundle's letter, spread over as many pieces as the letter allows."""

    def __init__(self, b: Taking, section: Mapping[str, Any]) -> None:
        self.b, self.section = b, section
        self.blocks: list[list[str]] = [[]]
        self.leaf = str(section["to"])

    def write(self) -> None:
        """Compose, spread, and set the letter's leaves."""
        for piece in self.section["compiled"]:
            piece(self)
        texts = ["\n".join(block).strip("\n") for block in self.blocks]
        texts = [text for text in texts if text.strip()]
        group, _, name = self.leaf.rpartition(".")
        for number, text in enumerate(self._spread(texts), 1):
            self.b.values[f"{group}[{number}].{name}"] = (("P00", text + "\n"),)

    def line(self, template: Template, loss: str, scope: Node | None = None) -> bool:
        """Add a line where all its values are there; what it shows is folded into the text."""
        text, used = render(self.b, template, scope)
        if text is None:
            return False
        self.blocks[-1].append(text)
        for node in used:
            self.b.note(node.pointer, "folded-to-text", "back.thread", self._here(), loss)
        return True

    def own(self) -> None:
        """The new texts of this message, each as a piece of its own."""
        for number, node in enumerate(self.b.selections["own_text"]):
            if number:
                self.blocks.append([])
            self.content(node, "mapped", "")

    def content(self, node: Node, disposition: str, loss: str) -> None:
        """The text of one payload."""
        text = str(node.value["contentString"]).replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
        self.blocks[-1].extend(line.rstrip(" ") for line in text.strip("\n").split("\n"))
        self.b.note(f"{node.pointer}/contentString", disposition, "back.thread", self._here(), loss)

    def _here(self) -> str:
        group, _, name = self.leaf.rpartition(".")
        return f"{group}[{min(len(self.blocks), int(self.section['spread']['into']))}].{name}"

    def _spread(self, texts: list[str]) -> list[str]:
        """Cut at line ends into pieces that EDIFACT can hold; what is more stays whole in the last (nothing is cut)."""
        spread = self.section["spread"]
        into, segments = int(spread["into"]), int(spread["segments"])
        fewer = str(spread.get("fewer_with", "")) in self.b.values
        pieces: list[str] = []
        for text in texts:
            lines: list[str] = []
            for line in _fitting(text.split("\n"), segments - fewer):
                room = segments - (fewer and not pieces)
                if lines and wire_segments([*lines, line]) > room:
                    pieces.append("\n".join(lines))
                    lines = []
                lines.append(line)
            pieces.append("\n".join(lines))
        if len(pieces) > into:
            pieces[into - 1 :] = ["\n".join(pieces[into - 1 :])]
            self.b.dfl.append(("", "mapped-lossy", "back.thread", self._here(), str(spread["loss"])))
        return pieces


def _fitting(lines: list[str], segments: int) -> Iterator[str]:
    """The lines, those that alone are longer than a piece cut at blanks: EDIFACT cannot hold them otherwise."""
    for line in lines:
        if wire_segments([line]) <= segments:
            yield line
            continue
        parts = cut(line)
        room = segments * COMPONENTS
        for start in range(0, len(parts), room):
            yield "".join(parts[start : start + room])
