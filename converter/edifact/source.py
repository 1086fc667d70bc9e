"""Python source that is being written: lines with indentation, the constants they name, and compiling them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from converter import generated


class Module:
    """Lines of a Python module that is made at run time, and the objects that it names."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self._names: dict[Any, str] = {}
        self.objects: dict[str, Any] = {}

    def add(self, line: str) -> None:
        """Add a line at the present indentation."""
        self._lines.append("    " * self._depth + line)

    @contextmanager
    def block(self, line: str) -> Iterator[None]:
        """Add a line that opens a block, and indent until the end of the `with`; an empty block gets `pass`."""
        self.add(line)
        before = len(self._lines)
        self._depth += 1
        yield
        if len(self._lines) == before:
            self.add("pass")
        self._depth -= 1

    def name(self, prefix: str, value: Any) -> str:
        """The name of a constant; equal hashable values share one."""
        try:
            key = (prefix, value)
            if key in self._names:
                return self._names[key]
        except TypeError:
            key = (prefix, id(value))
        name = f"{prefix}{len(self.objects)}"
        self._names[key] = name
        self.objects[name] = value
        return name

    @property
    def text(self) -> str:
        """The module's text."""
        return "\n".join(self._lines) + "\n"

    def compiled(self, filename: str) -> dict[str, Any]:
        """Run the module and return its namespace. Tracebacks show its lines, under the file name given."""
        namespace = dict(self.objects)
        generated.run(self.text, filename, namespace)
        return namespace
