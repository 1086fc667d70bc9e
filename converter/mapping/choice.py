"""Which of several mappings of one Bundle profile a Bundle belongs to: guards over its resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converter.mapping import guards, paths


class Choice:
    """One guard. Its paths begin with a resource type: `Composition.type.coding[0].code == x` asks the first one."""

    def __init__(self, text: str, slices: Mapping[str, paths.Slice]) -> None:
        """Read the guard. Raises `ValueError` that names what was not understood."""
        self._paths: list[tuple[str, paths.Path]] = []
        self._slices = slices
        self._code = compile(guards.compile_guard(text, self._value_of), "<chosen>", "eval")

    def _value_of(self, path: str) -> str:
        kind, _, rest = path.partition(".")
        self._paths.append((kind, paths.parse(rest, self._slices)))
        return f"v({len(self._paths) - 1})"

    def holds(self, follow: Mapping[str, paths.Node]) -> bool:
        """Whether the guard holds for a Bundle, given the index of its resources."""

        def v(number: int) -> str | None:
            kind, path = self._paths[number]
            start = next((n for n in follow.values() if n.value.get("resourceType") == kind), None)
            nodes = paths.walk(start, path, follow) if start is not None else []
            found = nodes[0] if nodes else None
            return None if found is None else str(found.value)

        return bool(eval(self._code, {"v": v, "__builtins__": {}}))  # noqa: S307 - our own guard, compiled above


def rank(choices: list[Choice], bundle: Mapping[str, Any]) -> int | None:
    """The number of the first guard that holds for a Bundle; None if none does; 0 where there are no guards."""
    if not choices:
        return 0
    follow = paths.index(bundle)
    return next((number for number, choice in enumerate(choices) if choice.holds(follow)), None)
