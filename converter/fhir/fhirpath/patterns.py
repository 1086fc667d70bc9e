"""Regular expressions of rules, matched in time that grows linearly with the text.

Python's `re` backtracks: `(a+)+b` takes for ever on a long text of a. A pattern runs on `re` only if its shape rules
that out; any other runs on a machine that reads each character once and keeps the set of places where it may be. What
the machine does not know (back-references, look-around with no bound) raises Undecided: the rule is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from converter.fhir.fhirpath.values import Undecided

Test = Callable[[str], bool]
_MOST_WAYS = 4096
_MOST_STEPS = 20_000
_MOST_STATES = 2_000
_prepared: dict[str, Callable[[str], object]] = {}


def find(pattern: str, text: str) -> bool:
    """Whether the pattern occurs in the text (a partial match unless it is anchored)."""
    return bool((_prepared.get(pattern) or _searcher(pattern))(text))


def full(pattern: str, text: str) -> bool:
    """Whether the pattern matches the whole text."""
    return find(whole(pattern), text)


def whole(pattern: str) -> str:
    """The pattern that matches where this one matches from end to end."""
    return rf"\A(?:{pattern})\Z"


def replace_all(pattern: str, new: str, text: str) -> str:
    """Every match replaced; `$1` stands for a group."""
    tree = _parse(pattern)
    if not _safe(tree):
        raise Undecided(f"pattern {pattern}")
    return re.sub(pattern, re.sub(r"\$(\d)", r"\\\1", new.replace("\\", r"\\")), text, flags=re.DOTALL)


def searcher(pattern: str) -> Callable[[str], object]:
    """A function whose result is truthy if the pattern occurs in a text. Only for patterns that stand in a rule: it is
    kept, and what stands in a message must not be."""
    if pattern not in _prepared:
        _prepared[pattern] = _searcher(pattern)
    return _prepared[pattern]


def _searcher(pattern: str) -> Callable[[str], object]:
    tree = _parse(pattern)
    if _safe(tree):
        # `$` is the strict end: a line break after a number is no part of it.
        return re.compile(_strict_end(pattern), re.DOTALL).search
    return _Machine(pattern, tree).search


def _parse(pattern: str) -> Any:
    try:
        return parser.parse(pattern, re.DOTALL)
    except (re.error, RecursionError, OverflowError) as error:
        raise Undecided(f"pattern {pattern}") from error


def _strict_end(pattern: str) -> str:
    """The pattern with `\\Z` for every unescaped `$` outside of a class."""
    parts = re.findall(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", pattern, re.DOTALL)
    return "".join(r"\Z" if p == "$" else p for p in parts)


def _safe(tree: Any) -> bool:
    """Whether backtracking is bounded: few ways to match, or one endless run of a class after an anchor."""
    anchored = bool(tree) and tree[0][0] is op.AT and tree[0][1] in (op.AT_BEGINNING, op.AT_BEGINNING_STRING)
    ways, endless = _ways(tree)
    return ways <= _MOST_WAYS and endless <= (1 if anchored else 0)


def _ways(tree: Any) -> tuple[int, int]:
    """In how many ways bounded parts can match one place, and how many endless repetitions there are."""
    ways, endless = 1, 0
    for kind, value in tree:
        more, ends = 1, 0
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            least, most, inner = value
            more, ends = _ways(inner)
            if most is parser.MAXREPEAT:
                # Endless around anything that can itself match in several ways: never.
                ends = 1 if more == 1 and not ends and _width(inner) == 1 else 99
            else:
                ends *= max(1, most)
                more = min(_MOST_WAYS + 1, more ** min(most, 99) * (most - least + 1))
        elif kind is op.BRANCH:
            branches = [_ways(b) for b in value[1]]
            more, ends = sum(b[0] for b in branches), max(b[1] for b in branches)
        elif kind is op.SUBPATTERN:
            more, ends = _ways(value[3])
        elif kind in (op.ASSERT, op.ASSERT_NOT):
            more, ends = _ways(value[1])
        elif kind not in _SIMPLE:
            ends = 99  # back-references, possessive repetition: left to those who know
        ways, endless = min(_MOST_WAYS + 1, ways * more), endless + ends
    return ways, endless


_SIMPLE = (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN, op.AT)


def _width(tree: Any) -> int:
    """The width of a pattern that always takes the same number of characters; 0 if it may be none, -1 if it varies."""
    low, high = tree.getwidth()
    return int(low) if low == high else -1


class _Machine:
    """A pattern as steps: a test of one character and where it leads, or a fork without a character."""

    def __init__(self, pattern: str, tree: Any) -> None:
        self.pattern = pattern
        self.fold = bool(tree.state.flags & re.IGNORECASE)
        self.tests: list[Test | None] = []
        self.forks: list[list[int]] = []
        self.marks: dict[int, str] = {}
        self.end = self._step()
        self.begin = self._compile(tree, self.end)
        self._moves: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        self._start = self._reach({self.begin}, first=True)
        self._again = self._reach({self.begin}, first=False)

    def search(self, text: str) -> bool:
        """Whether the pattern occurs in the text."""
        state = self._start
        for character in text:
            if self.end in state:
                return True
            after = self._moves.get((state, character))
            if after is None:
                after = self._move(state, character)
            state = after
        return self.end in self._reach(set(state), first=not text, last=True)

    def _move(self, state: frozenset[int], character: str) -> frozenset[int]:
        ahead = set()
        for number in state:
            test = self.tests[number]
            if test is not None and test(character):
                ahead.update(self.forks[number])
        after = self._reach(ahead, first=False) | self._again
        if len(self._moves) >= _MOST_STATES:
            self._moves.clear()
        self._moves[state, character] = after
        return after

    def _reach(self, numbers: set[int], *, first: bool, last: bool = False) -> frozenset[int]:
        found: set[int] = set()
        waiting = list(numbers)
        while waiting:
            number = waiting.pop()
            if number in found:
                continue
            found.add(number)
            mark = self.marks.get(number)
            if mark == "begin" and not first:
                continue
            if mark == "end" and not last:
                continue
            if self.tests[number] is None:
                waiting.extend(self.forks[number])
        return frozenset(found)

    def _step(self, test: Test | None = None, *following: int) -> int:
        if len(self.tests) >= _MOST_STEPS:
            raise Undecided(f"pattern {self.pattern}")
        self.tests.append(test)
        self.forks.append(list(following))
        return len(self.tests) - 1

    def _compile(self, tree: Any, following: int) -> int:
        """The steps of a sequence, built from its end; returns the first."""
        for kind, value in reversed(list(tree)):
            following = self._one(kind, value, following)
        return following

    def _one(self, kind: Any, value: Any, following: int) -> int:
        if kind is op.SUBPATTERN:
            return self._compile(value[3], following)
        if kind is op.BRANCH:
            return self._step(None, *(self._compile(b, following) for b in value[1]))
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            return self._repeat(value, following)
        if kind is op.AT:
            return self._anchor(value, following)
        if kind in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            return self._step(self._test(kind, value), following)
        raise Undecided(f"pattern {self.pattern}")

    def _repeat(self, value: Any, following: int) -> int:
        least, most, inner = value
        if most is parser.MAXREPEAT:
            loop = self._step(None, following)
            self.forks[loop].append(self._compile(inner, loop))
            following = loop
        else:
            skip = following
            for _ in range(most - least):
                following = self._step(None, skip, self._compile(inner, following))
        for _ in range(least):
            following = self._compile(inner, following)
        return following

    def _anchor(self, value: Any, following: int) -> int:
        marks = {op.AT_BEGINNING: "begin", op.AT_BEGINNING_STRING: "begin", op.AT_END: "end", op.AT_END_STRING: "end"}
        if value not in marks:
            raise Undecided(f"pattern {self.pattern}")
        number = self._step(None, following)
        self.marks[number] = marks[value]
        return number

    def _test(self, kind: Any, value: Any) -> Test:
        plain = _character(kind, value)
        if not self.fold:
            return plain
        return lambda c: plain(c) or plain(c.lower()) or plain(c.upper())


_CATEGORIES: dict[Any, Test] = {
    op.CATEGORY_DIGIT: str.isdecimal,
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
}
_NEGATED = {
    op.CATEGORY_NOT_DIGIT: op.CATEGORY_DIGIT,
    op.CATEGORY_NOT_SPACE: op.CATEGORY_SPACE,
    op.CATEGORY_NOT_WORD: op.CATEGORY_WORD,
}


def _character(kind: Any, value: Any) -> Test:
    """A test of one character."""
    if kind is op.ANY:
        return lambda c: True
    if kind in (op.LITERAL, op.NOT_LITERAL):
        wanted, yes = chr(value), kind is op.LITERAL
        return lambda c: (c == wanted) is yes
    if kind is op.RANGE:
        low, high = chr(value[0]), chr(value[1])
        return lambda c: low <= c <= high
    if kind is op.CATEGORY:
        category = _CATEGORIES[_NEGATED.get(value, value)]
        return category if value not in _NEGATED else lambda c: not category(c)
    negated = value[0][0] is op.NEGATE
    tests = [_character(k, v) for k, v in value if k is not op.NEGATE]
    return lambda c: any(t(c) for t in tests) is not negated
