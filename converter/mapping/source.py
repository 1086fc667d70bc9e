"""Generated source of a mapping that is being written, and its expressions for the leaves of a letter.

In the generated code `g` gets a value of the letter, `count` the repetitions of a group; inside a loop over a group `i`
counts them. The ids of leaves and the ledger entries that depend on such a count stand in a row, made when it is first
needed; where there is no row, `p` begins the ids of leaves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from converter.mapping import guards

_VALUE = re.compile("\0([^\0]*)\0")
"""A leaf, or with `[*]` a group, in lines that are not yet written: whether it needs a variable is known at the end."""


_BEGINNING = re.compile(r"\bp \+ '")
"""A leaf of a repetition whose id is put together."""


@dataclass(slots=True)
class Row:
    """A row of generated code: its variable, the variables that it depends on, and what stands in it."""

    name: str
    names: tuple[str, ...]
    parts: dict[Any, int] = field(default_factory=dict)

    def part(self, part: str | tuple[Any, ...]) -> str:
        """The expression of a leaf's id, or of an entry by its arguments."""
        return f"{self.name}[{self.parts.setdefault(part, len(self.parts))}]"


class Source:
    """Gathers lines of generated source and the objects that they need.

    `tables` are expressions of constants that stand before the function, with their names. `most`: what is counted when
    the code runs, with its least and its greatest number, if those are known.
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
        self.row: Row | None = None

    @contextmanager
    def repeated(self, group: str, numbers: str = "") -> Iterator[None]:
        """Write what follows once for every repetition of a group: `i` counts it, `p` begins its leaves.

        `numbers` are the values of `i`, if they are not just those from 1.
        """
        self.put(f"for i in {numbers or self.numbers(group)}:")
        self.depth += 1
        at = self._later()
        self.group = group
        yield
        self.group = ""
        if any(_BEGINNING.search(line) for line in self.lines[at:]):
            self._place(at, f"p = f'{group}[{{i}}].'")
        self.depth -= 1

    def numbers(self, group: str) -> str:
        """Expression for the numbers of the repetitions of a group."""
        return f"\0{group}[*]\0"

    @contextmanager
    def counted(self, *names: str) -> Iterator[None]:
        """Write what follows with a row of all that depends on the numbers in these variables; none, no row."""
        if not names:
            yield
            return
        outer, row, at = self.row, Row(self.name("R"), names), self._later()
        self.row = row
        yield
        self.row = outer
        if row.parts:
            parts = ", ".join(map(repr, row.parts))
            self._place(at, f"{row.name} = {self.table(f'Rows({names!r}, {parts})')}[{', '.join(names)}]")

    def _later(self) -> int:
        """Leave a line open, of which it is known later what stands there, if anything does."""
        self.lines.append("    " * self.depth)
        return len(self.lines) - 1

    def _place(self, at: int, line: str) -> None:
        self.lines[at] += line

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
        if not self.repeats(path):
            return repr(path)
        if self.row is not None and "i" in self.row.names:
            return self.row.part(self.numbered(path))
        return f"p + {path[len(self.group) + 1 :]!r}"

    def repeats(self, path: str) -> bool:
        """Whether a leaf is one of the group that is looped over."""
        return bool(self.group) and path.startswith(self.group + ".")

    def numbered(self, path: str) -> str:
        """A leaf's id, with `{i}` for the number of the repetition."""
        return f"{self.group}[{{i}}]{path[len(self.group) :]}" if self.repeats(path) else path

    def values(self, source: str) -> str:
        """The value of a source, or the list of values of one with `[*]`."""
        group, star, _ = source.partition("[*]")
        return f"[g({starred(source)}, '') for k in {self.numbers(group)}]" if star else self.get(source)

    def get(self, source: str) -> str:
        """Expression for a leaf's value."""
        return f"g({self.leaf(source)})" if self.repeats(source) else f"\0{source}\0"

    def written(self) -> list[str]:
        """The lines, with a variable for all that is asked for more than once, which is got before all else."""
        lines = [line for line in self.lines if not line.isspace()]
        uses = Counter(path for line in lines for path in _VALUE.findall(line))
        names = {path: _variable(path) for path, number in uses.items() if number > 1}
        got = [f"    {name} = {_got(path)}" for path, name in names.items()]
        first, *rest = [_VALUE.sub(lambda at: names.get(at[1]) or _got(at[1]), line) for line in lines]
        return [first, *got, *rest]


def _variable(path: str) -> str:
    group, star, _ = path.partition("[*]")
    return ("all_" if star else "v_") + re.sub(r"\W", "__", group)


def _got(path: str) -> str:
    group, star, _ = path.partition("[*]")
    return f"range(1, count({group!r}, 0) + 1)" if star else f"g({path!r})"


def starred(path: str) -> str:
    """Expression for the leaf of repetition `k`."""
    return f"f{path.replace('[*]', '[{k}]')!r}"
