"""Tests whose good values are kept: of days, codes and organisations there are few, and they come again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MOST = 4096
"""Values that one test keeps."""


class Values(set[Any]):
    """Values that passed some test. Not for what tells of a person."""

    __slots__ = ()

    def keep(self, value: Any, most: int = MOST) -> None:
        """Remember one more, of so many at most."""
        if len(self) >= most:
            self.clear()
        self.add(value)


class Kept:
    """A test of one value that remembers which values passed. Not for what tells of a person."""

    __slots__ = ("known", "test")

    def __init__(self, test: Callable[[Any], object]) -> None:
        self.test, self.known = test, Values()

    def __call__(self, value: Any) -> bool:
        """Whether the value passes the test."""
        if value in self.known:
            return True
        if not self.test(value):
            return False
        self.known.keep(value)
        return True
