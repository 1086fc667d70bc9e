"""A tiny package to build guides on: one resource, and the datatypes that it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BASE = "http://hl7.org/fhir/StructureDefinition/"
GUIDE = """\
guide: our.guide
version: 1.0.0
canonical: https://example.dk/fhir
licence: CC0-1.0
date: "2025-01-01"
dependencies: {hl7.fhir.r4.core: 4.0.1}
"""


def element(name: str, most: str = "1", *types: Any, **facts: Any) -> dict[str, Any]:
    kinds = [t if isinstance(t, dict) else {"code": t} for t in types]
    base = {"path": name, "min": 0, "max": most}
    return {"id": name, "path": name, "min": 0, "max": most, "base": base, "type": kinds, **facts}


def definition(name: str, kind: str, *elements: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "StructureDefinition",
        "id": name,
        "url": BASE + name,
        "version": "4.0.1",
        "kind": kind,
        "type": name,
        "derivation": "specialization",
        "snapshot": {"element": [element(name, "*"), *elements]},
    }


BY_URL = {"discriminator": [{"type": "value", "path": "url"}], "rules": "open"}
DEFINITIONS = [
    definition("string", "primitive-type"),
    definition("Element", "complex-type"),
    definition("Coding", "complex-type", element("Coding.system", "1", "uri"), element("Coding.code", "1", "code")),
    definition("Reference", "complex-type", element("Reference.reference", "1", "string")),
    definition(
        "Extension",
        "complex-type",
        element("Extension.extension", "*", "Extension", slicing=BY_URL),
        element("Extension.url", "1", "uri"),
        element("Extension.value[x]", "1", "string", "Coding", "Reference"),
    ),
    definition(
        "Thing",
        "resource",
        element("Thing.extension", "*", "Extension"),
        element("Thing.name", "1", "string"),
        element("Thing.active", "1", "boolean"),
        element("Thing.rank", "1", "positiveInt"),
        element("Thing.code", "*", "Coding", binding={"strength": "extensible", "valueSet": "https://example.dk/v"}),
        element("Thing.link", "1", {"code": "Reference", "targetProfile": [BASE + "Thing"]}),
        element("Thing.value[x]", "1", "string", "Coding"),
    ),
    definition("Bundle", "resource", element("Bundle.type", "1", "code")),
]


def packages(folder: Path) -> Path:
    """A folder of packages that holds the tiny one."""
    package = folder / "hl7.fhir.r4.core#4.0.1" / "package"
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"license": "CC0-1.0"}), "utf-8")
    for one in DEFINITIONS:
        (package / f"StructureDefinition-{one['id']}.json").write_text(json.dumps(one), "utf-8")
    return folder


def sources(folder: Path, **files: str) -> Path:
    """A folder of mapping files whose `profiles/ours` holds the guide and the files given."""
    ours = folder / "profiles" / "ours"
    ours.mkdir(parents=True)
    for name, content in {"guide": GUIDE, **files}.items():
        (ours / f"{name}.yaml").write_text(content, "utf-8")
    return ours
