"""The part of JSON Schema that the project's schemas use, so that no package is needed to hold data against them."""

from __future__ import annotations

from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def breaches(schema: dict[str, Any], value: Any, root: dict[str, Any] | None = None, at: str = "$") -> list[str]:
    """Where the value is not as the schema has it."""
    root = root or schema
    if "$ref" in schema:
        return breaches(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root, at)
    if "const" in schema and value != schema["const"]:
        return [f"{at}: not {schema['const']}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value} is none of {schema['enum']}"]
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_is(value, name) for name in types):
        return [f"{at}: {type(value).__name__} is not {types}"]
    if "minimum" in schema and value is not None and value < schema["minimum"]:
        return [f"{at}: {value} is too small"]
    if isinstance(value, list):
        return [b for n, one in enumerate(value) for b in breaches(schema.get("items", {}), one, root, f"{at}[{n}]")]
    return _of_object(schema, value, root, at) if isinstance(value, dict) else []


def _is(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and not (isinstance(value, bool) and name in ("integer", "number"))


def _of_object(schema: dict[str, Any], value: dict[str, Any], root: dict[str, Any], at: str) -> list[str]:
    found = [f"{at}: no {key}" for key in schema.get("required", ()) if key not in value]
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, one in value.items():
        if key in known:
            found += breaches(known[key], one, root, f"{at}.{key}")
        elif others is False:
            found.append(f"{at}: unknown {key}")
        elif isinstance(others, dict):
            found += breaches(others, one, root, f"{at}.{key}")
    return found
