"""Referrals that share an episode or a letter id: found by what else they have in common with an answer, in any number.

A careless sender may write the same episode into every letter, so no step may look at all members for each answer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from converter.flows.messages import Message

Feature = Callable[[Message], Any]
_minute = attrgetter("minute")


class Crowd:
    """Some referrals, and their parts by a feature; each part is made once, when it is first asked for."""

    __slots__ = ("_ordered", "_parts", "members")

    def __init__(self) -> None:
        self.members: list[Message] = []
        self._parts: dict[Feature, dict[Any, Crowd]] = {}
        self._ordered = False

    def add(self, member: Message) -> None:
        """Take a referral, before anybody asks for parts."""
        self.members.append(member)

    def having(self, feature: Feature, value: Any) -> Crowd | None:
        """The members of which the feature has that value; None if there are none."""
        if len(self.members) == 1:
            return self if feature(self.members[0]) == value else None
        if feature not in self._parts:
            parts: dict[Any, Crowd] = {}
            for member in self.members:
                parts.setdefault(feature(member), Crowd()).add(member)
            self._parts[feature] = parts
        return self._parts[feature].get(value)

    def latest(self, minute: int) -> tuple[Message, int]:
        """The last member that was written by then, else the first one after; and how many were written with it."""
        if not self._ordered:
            self.members.sort(key=_minute)
            self._ordered = True
        end = bisect_right(self.members, minute, key=_minute) if minute else len(self.members)
        found = self.members[max(end - 1, 0)]
        first = bisect_left(self.members, found.minute, key=_minute)
        return self.members[first], bisect_right(self.members, found.minute, key=_minute) - first
