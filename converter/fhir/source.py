"""Writing Python source for a profile: lines, indentation, constants; and loading it so that tracebacks can show it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from converter import generated


class Source:
    """Generated source under construction. `names` is the namespace that it will run in."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.lines: list[str] = []
        self.names = names
        self._depth = 0
        self._constants: dict[tuple[str, int], str] = {}

    def __call__(self, line: str) -> None:
        """Add one line at the current indentation."""
        self.lines.append("    " * self._depth + line)

    def insert(self, at: int, line: str) -> None:
        """Add one line at the current indentation before the line of that number."""
        self.lines.insert(at, "    " * self._depth + line)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Indent what follows under `head` (`if …:`); a block in which nothing is written gets `pass`."""
        self(head)
        self._depth += 1
        before = len(self.lines)
        yield
        if len(self.lines) == before:
            self("pass")
        self._depth -= 1

    def constant(self, value: Any, hint: str) -> str:
        """A name for a value that is not written into the source (a set of codes, a site, a function)."""
        known = self._constants.get((hint, id(value)))
        if known is None:
            known = f"{hint}{len(self._constants)}"
            self._constants[hint, id(value)] = known
            self.names[known] = value
        return known

    def text(self) -> str:
        """The source so far."""
        return "\n".join(self.lines) + "\n"

    def load(self, name: str) -> None:
        """Compile and run it in its namespace; `name` is the file name that tracebacks show."""
        generated.run(self.text(), name, self.names)
