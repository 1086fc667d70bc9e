"""Compares a letter that was read quickly with what the careful reader made of the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

from converter.issues import IssueLog
from converter.letter import Letter


def differing(found: Letter, letters: Sequence[Letter], log: IssueLog) -> list[str]:
    """What is not the same in a letter and in those of another reader, which has one and finds nothing."""
    if len(letters) != 1 or len(log):
        return [f"{len(letters)} letters, {len(log)} findings"]
    other = letters[0]
    same = {
        "type": (found.type, found.version, found.syntax) == (other.type, other.version, other.syntax),
        "values": list(found.values.items()) == list(other.values.items()),
        "counts": found.counts == other.counts,
        "places": found.places == other.places,
        "locations": [found.locate(leaf) for leaf in found.places] == [other.locate(leaf) for leaf in other.places],
        "rest": (found.extras, found.refused, found.identity) == (other.extras, other.refused, other.identity),
    }
    return [name for name, equal in same.items() if not equal]
