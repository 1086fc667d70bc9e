"""The official FHIRPath suite for R4: reading its file, its resources (XML, too), and FHIR's own type definitions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from converter.fhir.elements import Node, tree
from converter.fhir.fhirpath.model import Model

FHIR = "{http://hl7.org/fhir}"
NUMBERS = {"decimal": Decimal, "integer": int, "positiveInt": int, "unsignedInt": int}


@dataclass(frozen=True)
class Case:
    """One test of the suite. `invalid` says how it has to fail; `outputs` are pairs of type and text."""

    name: str
    group: str
    file: str
    expression: str
    invalid: str = ""
    predicate: bool = False
    ordered: bool = True
    outputs: tuple[tuple[str, str], ...] = field(default=())


def read_suite(path: Path) -> list[Case]:
    """All tests of the suite, in order."""
    found = []
    for group in Xml.parse(path).iter("group"):
        for test in group.iter("test"):
            expression = test.find("expression")
            assert expression is not None
            found.append(
                Case(
                    name=str(test.get("name")),
                    group=str(group.get("name")),
                    file=test.get("inputfile", ""),
                    expression=expression.text or "",
                    invalid=expression.get("invalid", ""),
                    predicate=test.get("predicate") == "true",
                    ordered=test.get("ordered") != "false",
                    outputs=tuple((o.get("type", ""), o.text or "") for o in test.findall("output")),
                )
            )
    return found


def _element(element: dict[str, Any]) -> dict[str, Any]:
    types = []
    for kind in element.get("type", []):
        code = kind["code"]
        if code.startswith("http:"):
            code = next((e["valueUrl"] for e in kind.get("extension", []) if "fhir-type" in e["url"]), "string")
            code = "id" if element["path"].count(".") == 1 and element["path"].endswith(".id") else code
        types.append(code)
    many = element.get("base", element)["max"] != "1"
    return {
        "id": element["path"],
        "list": many,
        "types": types,
        "content": element.get("contentReference", "").rpartition("#")[2],
    }


def fhir_model(packages: Path) -> Model:
    """FHIR's types, read from the definitions of hl7.fhir.r4.core as they are needed."""
    folder = packages / "hl7.fhir.r4.core#4.0.1/package"

    @cache
    def read(name: str) -> Node | None:
        path = folder / f"StructureDefinition-{name}.json"
        if not path.is_file():
            return None
        definition = json.loads(path.read_text("utf-8"))
        return tree([_element(e) for e in definition["snapshot"]["element"]])

    names = [p.stem.partition("-")[2] for p in folder.glob("StructureDefinition-*.json")]
    resources = [n for n in names if n[:1].isupper() and n.isalpha()]
    plain = {"Element", "BackboneElement", "Extension", "Meta", "Narrative", "Reference", "Identifier", "HumanName"}
    kinds = [n for n in resources if n not in plain and _is_resource(folder / f"StructureDefinition-{n}.json")]
    return Model(read, kinds)


def _is_resource(path: Path) -> bool:
    return '"kind":"resource"' in path.read_text("utf-8").replace(" ", "").replace("\n", "")


def read_resource(path: Path, model: Model) -> Any:
    """A resource of the suite as parsed JSON."""
    if path.suffix == ".json":
        return json.loads(path.read_text("utf-8"), parse_float=Decimal)
    root = Xml.parse(path).getroot()
    return _resource(root, model)


def _resource(root: Xml.Element, model: Model) -> dict[str, Any]:
    name = root.tag.removeprefix(FHIR)
    return {"resourceType": name, **_object(root, name, model)}


def _object(element: Xml.Element, kind: str, model: Model) -> dict[str, Any]:
    found: dict[str, Any] = {k: v for k, v in element.attrib.items() if k in ("id", "url")}
    children = {c.json: c for c in model.kind(kind).children}
    for part in element:
        name = part.tag.removeprefix(FHIR)
        if part.tag == "{http://www.w3.org/1999/xhtml}div":
            found["div"] = Xml.tostring(part, "unicode")
            continue
        child = children[name]
        if child.primitive:
            value: Any = part.get("value")
            if child.kind == "boolean":
                value = value == "true"
            elif child.kind in NUMBERS and value is not None:
                value = NUMBERS[child.kind](value)
            twin = _object(part, "Element", model) or None
            if child.many:
                found.setdefault(name, []).append(value)
                found.setdefault("_" + name, []).append(twin)
            else:
                found.update({k: v for k, v in ((name, value), ("_" + name, twin)) if v is not None})
            continue
        inner = _resource(part[0], model) if child.kind == "Resource" else _object(part, child.kind, model)
        if child.many:
            found.setdefault(name, []).append(inner)
        else:
            found[name] = inner
    return found
