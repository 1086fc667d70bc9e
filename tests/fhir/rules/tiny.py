"""A tiny invented pack for what no message of MedCom needs: kinds of discriminators, rules that nobody can check."""

from __future__ import annotations

from typing import Any

BASE = "http://hl7.org/fhir/StructureDefinition/"
OWN = "https://example.dk/StructureDefinition/"


def definition(name: str, kind: str, elements: list[dict[str, Any]], **facts: Any) -> dict[str, Any]:
    return {"name": name, "type": name, "kind": kind, "elements": elements, **facts}


def many(name: str, types: list[Any], **facts: Any) -> dict[str, Any]:
    return {"id": name, "list": True, "max": None, "types": types, **facts}


def resource(name: str, *elements: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": name}, {"id": f"{name}.id", "types": ["id"]}, *elements]


def tiny() -> dict[str, Any]:
    """The facts of the pack; tests may change them before they make a Pack of them."""
    reference = {"code": "Reference", "targets": [BASE + "Thing|4", BASE + "Other|4"]}
    return {
        "pack": 1,
        "guide": "tiny#1",
        "sources": [],
        "missing": [],
        "resources": ["Bundle", "Far", "Other", "Thing"],
        "systems": {},
        "valuesets": {},
        "rules": [],
        "canonical": {
            **{BASE + n: f"{BASE}{n}|4" for n in ("Bundle", "Element", "Other", "Reference", "Thing")},
            OWN + "named": OWN + "named|1",
        },
        "profiles": {
            BASE + "Element|4": definition("Element", "complex-type", [{"id": "Element"}]),
            BASE + "Reference|4": definition(
                "Reference",
                "complex-type",
                [{"id": "Reference"}, {"id": "Reference.reference", "types": ["string"]}],
            ),
            BASE + "Other|4": definition("Other", "resource", resource("Other")),
            BASE + "Thing|4": definition(
                "Thing",
                "resource",
                resource("Thing", {"id": "Thing.name", "types": ["string"]}, many("Thing.link", [reference])),
            ),
            OWN + "named|1": {
                **definition(
                    "Thing",
                    "resource",
                    resource(
                        "Thing", {"id": "Thing.name", "types": ["string"], "min": 1}, many("Thing.link", [reference])
                    ),
                ),
                "name": "named",
                "base": BASE + "Thing|4",
            },
            BASE + "Bundle|4": definition(
                "Bundle",
                "resource",
                resource(
                    "Bundle",
                    {"id": "Bundle.type", "types": ["code"]},
                    many("Bundle.entry", ["BackboneElement"]),
                    {"id": "Bundle.entry.fullUrl", "types": ["uri"]},
                    {"id": "Bundle.entry.resource", "types": ["Resource"]},
                ),
                own=True,
            ),
        },
    }


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    """A Bundle of resources with proper fullUrls."""
    entries = [{"fullUrl": f"https://example.dk/{r['resourceType']}/{r['id']}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}
