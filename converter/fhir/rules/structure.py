"""JSON structure: objects where objects belong, known properties only, nothing empty (FHIR R4, JSON representation).

Emits the opening of each function, and holds what that code calls when something is odd.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converter.fhir.elements import Site
from converter.fhir.jsonfaults import is_property
from converter.fhir.run import Run
from converter.issues import Severity, declare

if TYPE_CHECKING:
    from converter.fhir.source import Source

WRONG_TYPE = declare(
    "PRO020",
    "wrong-json-type",
    Severity.ERROR,
    "{expected} expected, found {found}",
    why="A receiver's parser stops at a value of the wrong JSON type.",
    help="Numbers and booleans stand without quotes, repeating elements in an array, all others directly.",
    source="FHIR R4, JSON representation",
    example='"active": "true" instead of "active": true; "name": {…} instead of "name": [{…}]',
)
UNKNOWN = declare(
    "PRO021",
    "unknown-property",
    Severity.ERROR,
    "a property that {element} does not have",
    why="Receivers reject properties that FHIR does not define, or lose what they say.",
    help="Look for a misspelling, or for an element of another FHIR version.",
    source="FHIR R4, JSON representation",
    example='"birthdate": "1948-12-25" instead of "birthDate": "1948-12-25"',
)
EMPTY = declare(
    "PRO022",
    "empty-value",
    Severity.ERROR,
    "empty {what}",
    why="FHIR has no empty values: an element has content, or it is absent.",
    help="Leave the property out.",
    source="FHIR R4, ele-1 and JSON representation",
    example='"name": [] or "text": "" instead of leaving the property out',
)
SHADOW = declare(
    "PRO055",
    "extension-array-length",
    Severity.ERROR,
    "the array of {element} and the array of its extensions differ in length",
    why="The two arrays are paired by position; extensions would attach to the wrong values.",
    help="Fill the shorter array with null.",
    source="FHIR R4, JSON representation of primitive elements",
    example='"given": ["A", "B"] beside "_given": [null]',
)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """The properties of an object; those in `primitives` may have a twin with `_` for extensions."""

    names: frozenset[str]
    primitives: frozenset[str]


_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def kind_of_json(value: object) -> str:
    """How JSON calls this kind of value."""
    return _NAMES.get(type(value), "a number")


def emit_opening(source: Source, names: frozenset[str], primitives: frozenset[str], site: Site, resource: bool) -> None:
    """Open a function over object `r`: an object, not empty, known properties. `primitives` may have a `_` twin."""
    here = source.constant(site, "S")
    with source.block("if r.__class__ is not dict or not r:"):
        source(f"return no_object(r, p, x, {here})")
    keys = source.constant(names, "KEYS")
    known = source.constant(Known(names, primitives), "KNOWN")
    with source.block(f"if not r.keys() <= {keys}:"):
        source(f"strange(r, p, x, {here}, {known})")
    if not resource:
        with source.block("if 'id' in r and len(r) == 1:"):
            source(f"x.add(EMPTY, p, {here}, what='element (only an id)')")


def no_object(value: object, pointer: str, run: Run, site: Site) -> None:
    """Report what stands where an object belongs."""
    if isinstance(value, dict):
        run.add(EMPTY, pointer, site, what="object")
    else:
        run.add(WRONG_TYPE, pointer, site, expected="an object", found=kind_of_json(value))


def no_list(value: object, pointer: str, run: Run, site: Site) -> None:
    """Report what stands where an array belongs."""
    if isinstance(value, list):
        run.add(EMPTY, pointer, site, what="array")
    else:
        run.add(WRONG_TYPE, pointer, site, expected="an array", found=kind_of_json(value))


def strange(value: dict[str, Any], pointer: str, run: Run, site: Site, known: Known) -> None:
    """Report unknown properties; check the extensions of primitive values (`_name`)."""
    for key in value:
        if key in known.names:
            continue
        if key[:1] == "_" and key[1:] in known.primitives:
            shadow(value, key, pointer, run, site)
        else:
            run.add(UNKNOWN, f"{pointer}/{escape(key)}", site, value=key, element=site.element)


def escape(key: str) -> str:
    """A key as a step of a JSON pointer. What is no name could be anything, a patient's number too: it is not shown."""
    return key if is_property(key) else "*"


def shadow(owner: dict[str, Any], key: str, pointer: str, run: Run, site: Site) -> None:
    """Check `_name`: an object, or an array of objects and nulls parallel to the values of `name`."""
    twin, here = owner[key], f"{pointer}/{key}"
    value = owner.get(key[1:])
    if isinstance(twin, list):
        if not twin:
            run.add(EMPTY, here, site, what="array")
        if isinstance(value, list) and len(value) != len(twin):
            run.add(SHADOW, here, site, element=f"{site.element}.{key[1:]}")
        for index, item in enumerate(twin):
            if item is not None:
                _element(item, f"{here}/{index}", run, site)
    elif isinstance(value, list):
        run.add(WRONG_TYPE, here, site, expected="an array", found=kind_of_json(twin))
    else:
        _element(twin, here, run, site)


def _element(value: object, pointer: str, run: Run, site: Site) -> None:
    run.pack.type_function("Element")(value, pointer, run)


def has(owner: dict[str, Any], name: str) -> bool:
    """Whether an element is there, be it only with extensions instead of a value."""
    return name in owner or "_" + name in owner
