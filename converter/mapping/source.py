"""Generated source of a mapping that is being written, and its expressions for the leaves of a letter.

In the generated code `g` gets a value of the letter, `count` the repetitions of a group; inside a loop over a group `i`
counts them and `p` begins the ids of its leaves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from converter.mapping import guards

_VALUE = re.compile("\0([^\0]*)\0")
"""A leaf in lines that are not yet written: whether its value needs a variable is known at the end."""


class Source:
    """Gathers lines of generated source and the objects that they need.

    `tables` are expressions of constants that stand before the function, with their names. `most`: what is counted when
    the code runs, with its least and its greatest number.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.objects: dict[str, Any] = {}
        self.depth = 1
        self.tables: dict[str, str] = {}
        self.most: dict[str, tuple[int, int]] = {}
        self._serial = 0

    def put(self, line: str) -> None:
        """Add a line at the present depth."""
        self.lines.append("    " * self.depth + line)

    def name(self, letter: str) -> str:
        """A fresh variable name."""
        self._serial += 1
        return f"{letter}{self._serial}"

    def table(self, expression: str) -> str:
        """The name of a constant that stands before the function."""
        return self.tables.setdefault(expression, f"E{len(self.tables) + 1}")

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Write what follows one level deeper."""
        self.depth += 1
        yield
        self.depth -= 1

    def keep(self, name: str, value: Any) -> str:
        """Make an object available to the generated code."""
        self.objects[name] = value
        return name


class LetterSource(Source):
    """Source that reads a letter: outside of loops, or inside the one over `group`."""

    def __init__(self) -> None:
        super().__init__()
        self.group = ""

    @contextmanager
    def repeated(self, group: str) -> Iterator[None]:
        """Write what follows once for every repetition of a group: `i` counts it, `p` begins its leaves."""
        self.put(f"for i in range(1, count({group!r}, 0) + 1):")
        self.depth += 1
        self.put(f"p = f'{group}[{{i}}].'")
        self.group = group
        yield
        self.group = ""
        self.depth -= 1

    def guard(self, text: str) -> str:
        """Expression for a guard over the letter."""
        return guards.compile_guard(text, self.value_of)

    def value_of(self, path: str) -> str:
        """Expression for a leaf's value, a column of a table's row (`$table.column`), or a repetition's number."""
        if path == "$index":
            return "str(i)"
        if path.startswith("$"):
            table, _, column = path[1:].partition(".")
            return f"(t_{table}.{column} or None if t_{table} is not None else None)"
        return self.get(path)

    def leaf(self, path: str) -> str:
        """Expression for a leaf's id."""
        if self.group and path.startswith(self.group + "."):
            return f"p + {path[len(self.group) + 1 :]!r}"
        return repr(path)

    def values(self, source: str) -> str:
        """The value of a source, or the list of values of one with `[*]`."""
        group, star, _ = source.partition("[*]")
        return f"[g({starred(source)}, '') for k in range(1, count({group!r}, 0) + 1)]" if star else self.get(source)

    def get(self, source: str) -> str:
        """Expression for a leaf's value."""
        if self.group and source.startswith(self.group + "."):
            return f"g(p + {source[len(self.group) + 1 :]!r})"
        return f"\0{source}\0"

    def written(self) -> list[str]:
        """The lines, with a variable for each value that is asked for more than once, which is got before all else."""
        uses = Counter(path for line in self.lines for path in _VALUE.findall(line))
        names = {path: "v_" + re.sub(r"\W", "__", path) for path, number in uses.items() if number > 1}
        got = [f"    {name} = g({path!r})" for path, name in names.items()]
        first, *lines = [_VALUE.sub(lambda at: names.get(at[1]) or f"g({at[1]!r})", line) for line in self.lines]
        return [first, *got, *lines]


def starred(path: str) -> str:
    """Expression for the leaf of repetition `k`."""
    return f"f{path.replace('[*]', '[{k}]')!r}"
