"""Every expanded element tree against machine listings of MedCom's schemas: names, order, cardinality, types, lists."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from converter.definitions import Definition, Element
from converter.engine import Engine

DEFINITIONS = Engine().definitions
_DATE = re.compile(r"/(\d{4})/(\d\d)/(\d\d)/\Z")
_LINE = re.compile(r"( *)(\w+)(?:\[(\d+)\.\.(\d+|\*)\])?(?:: (.*))?\Z")
_HHMM = "(([0-1][0-9])|(2[0-3])):[0-5][0-9]"


@dataclass
class Listed:
    """An element of a listing."""

    name: str
    min: int
    max: int | None
    facets: str
    choice: bool = False
    children: list[Listed] = field(default_factory=list)


def listing(text: str, root: str) -> Listed:
    """The tree of one root element of a listing; two blanks a level, choices in `choice( … )` a level deeper."""
    lines = text.splitlines()
    top = Listed(root, 1, 1, "")
    stack: list[tuple[int, Listed]] = [(-1, top)]
    choices: list[int] = []
    for line in lines[lines.index(root) + 1 :]:
        if line and not line.startswith(" "):
            break
        indent = (len(line) - len(line.lstrip())) // 2
        if line.strip() == "choice(":
            choices.append(indent)
            continue
        if line.strip() == ")":
            choices.pop()
            continue
        match = _LINE.match(line)
        assert match, line
        low, high = (int(match[3]), match[4]) if match[3] else (1, "1")
        inside = bool(choices) and indent == choices[-1] + 1
        element = Listed(match[2], low, None if high == "*" else int(high), match[5] or "", inside)
        indent -= len(choices)
        while stack[-1][0] >= indent:
            stack.pop()
        stack[-1][1].children.append(element)
        stack.append((indent, element))
    return top


def facets(text: str) -> list[str]:
    """The facets in braces, outermost: `{a}{pattern=b{2}}` are two."""
    found, depth, start = [], 0, 0
    for index, char in enumerate(text):
        if char == "{":
            start = index + 1 if depth == 0 else start
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                found.append(text[start:index])
    return found


def fits(element: Element, facets_text: str) -> bool:
    """Whether a leaf's type says what the schema says."""
    found = facets(facets_text)
    base = facets_text.partition("{")[0].strip()
    if element.type == "text":
        return base == ("BreakableText (mixed)" if element.check == "plain" else "FormattedTextType (mixed)")
    if element.type == "base64":
        return base == "string"
    if element.type == "date":
        return base == "date"
    if element.type == "time":
        return found == [f"pattern={_HHMM}"]
    if element.type == "seconds":
        return found == [f"pattern={_HHMM}:[0-5][0-9]"]
    if element.type == "size":
        return base == "positiveInteger"
    if element.type == "flag":
        return base == "boolean" and found == [f"pattern={element.const}"]
    if element.type == "const":
        return found[-1] == f"pattern={element.const}"
    if element.codes is not None:
        *listed, last = found[-1].split("|")
        return list(element.codes.values[: len(listed)]) == listed and (
            last == ".." or element.codes.values[len(listed) :] == (last,)
        )
    if element.pattern:
        return found == [f"pattern={element.pattern}"]
    low, high = element.length
    size = f"length={low}" if low == high else f"an..{high}" + ("|min0" if low == 0 else "")
    return found == [size]


def compare(element: Element, listed: Listed, where: str) -> list[str]:
    """What differs, one line each."""
    if element.is_leaf:
        return [] if fits(element, listed.facets) else [f"{where}: {element.facets} is not {listed.facets}"]
    mine = [c for c in element.children if c.path != "Envelope"]
    names, theirs = [c.name for c in mine], [c.name for c in listed.children]
    if names != theirs:
        return [f"{where}: {names} is not {theirs}"]
    found = []
    for child, other in zip(mine, listed.children, strict=True):
        path = f"{where}.{child.name}"
        if bool(child.choice) != other.choice:
            found.append(f"{path}: choice")
        if not child.choice and (child.min, child.max) != (other.min, other.max):
            found.append(f"{path}: {child.cardinality} is not {other.min}..{other.max}")
        found += compare(child, other, path)
    return found


def cases() -> list[tuple[Definition, str]]:
    return [(d, n) for d in DEFINITIONS for n in d.namespaces]


@pytest.mark.parametrize(("definition", "namespace"), cases(), ids=lambda c: str(c)[-40:])
def test_tree_is_the_schemas(definition: Definition, namespace: str, shared: Path) -> None:
    match = _DATE.search(namespace)
    assert match is not None
    path = shared / "reference" / "legacy-listings" / f"xsd-{'-'.join(match.groups())}.txt"
    text = path.read_text(encoding="utf-8")
    if definition.root not in text.splitlines():
        # The schema of 2021/06/27 lists the version and not the letter.
        assert definition.version_code in text
        return
    assert compare(definition.tree, listing(text, definition.root), definition.root) == []


OUT_OF_SCOPE = {
    "TeddyLetter ??": "named in the schema of 2007-02-01 without any content",
    "XA0135Z": "in lists of version codes only; no letter of the schemas has it",
    "XA0137Z": "in lists of version codes only; no letter of the schemas has it",
    "XA0138Z": "in lists of version codes only; no letter of the schemas has it",
    "XR0130K": "a report of a laboratory: read and checked as an interchange, no letter is defined",
    "XR0431P": "a report of a laboratory: read and checked as an interchange, no letter is defined",
}
"""What the schemas list and no definition knows, with the reason."""


def unknown(text: str, day: str) -> set[str]:
    """The letters and version codes of one schema version that no definition knows."""
    days = {(tuple(_DATE.search(namespace).groups()), d.root) for d, namespace in cases()}  # type: ignore[union-attr]
    roots = {line for line in text.splitlines() if line and not line.startswith(" ")}
    codes = {
        code for found in re.findall(r" VersionCode: (.*)", text) for code in re.findall(r"X[A-Z]\d{4}[A-Z]", found)
    }
    letters = {root for root in roots if (tuple(day.split("-")), root) not in days}
    return letters | (codes - {d.version_code for d in DEFINITIONS})


def test_every_letter_of_the_schemas_is_known_or_out_of_scope_for_a_reason(shared: Path) -> None:
    files = sorted((shared / "reference" / "legacy-listings").glob("xsd-*.txt"))
    assert len(files) >= 20
    found = {name for path in files for name in unknown(path.read_text(encoding="utf-8"), path.stem[4:])}
    assert found == set(OUT_OF_SCOPE)
    assert unknown("ClinicalEmail\n  Letter\n    VersionCode: {XD9199L}\n", "2006-07-01") == {"XD9199L"}
    assert unknown("ClinicalEmail\n", "2030-01-01") == {"ClinicalEmail"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("UnitName[0..1]", "UnitName"),
        ("DepartmentName", "Department"),
        ("{an..25}", "{an..26}"),
        ("Subject[0..1]: {an..70}", "Subject[0..1]: {an..35}"),
        ("nytbrev|rettetbrev", "nytbrev"),
        ("geriatri|", ""),
        ("pattern=XD9134L", "pattern=XD9133L"),
        ("Text01: FormattedTextType (mixed)", "Text01: {an..70}"),
        ("ClinicalInformation[0..10]", "ClinicalInformation[0..*]"),
        ("      AlternativeIdentifier: {length=10}\n    )", "    )\n    AlternativeIdentifier: {length=10}"),
    ],
)
def test_the_comparison_sees_every_kind_of_difference(old: str, new: str, shared: Path) -> None:
    text = (shared / "reference/legacy-listings/xsd-2006-07-01.txt").read_text(encoding="utf-8")
    assert old in text
    definition = DEFINITIONS.get("DIS91", "D9134L")
    assert definition is not None
    assert compare(definition.tree, listing(text.replace(old, new), definition.root), "x") != []
