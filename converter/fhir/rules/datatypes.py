"""HL7's own invariants that do not run as they are written.

Some are corrected, as the official validator corrects them; others are called for nearly every object, or walk through
whole resources, and a few lines of Python are much faster than the expression.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from converter.fhir.rules.invariants import native, objects
from converter.fhir.rules.references import contained
from converter.fhir.run import Run

Object = dict[str, Any]


# Beside its url, a sound extension has a value or extensions.
@native("ext-1/2af9cdf5", sure="len({0}) == 2 and 'id' not in {0}")
def extension_or_value(value: Object, run: Run) -> bool:
    """An extension has either a value or extensions, not both and not neither."""
    found = False
    for key in value:
        if key[:5] == "value" or key[:6] == "_value":
            found = True
    return found != ("extension" in value)


@native("ref-1/33d7c6a8", sure="'reference' not in {0} or not {0}['reference'].startswith('#')")
def contained_exists(value: Object, run: Run) -> bool:
    """A reference that starts with # leads to a contained resource (# alone: to the container)."""
    reference = value.get("reference")
    return not isinstance(reference, str) or reference[:1] != "#" or contained(run, reference) is not None


def _moment(text: str) -> datetime | None:
    if "T" not in text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


@native("per-1/fefea1f3", when="end")
def starts_before_end(value: Object, run: Run) -> bool:
    """The start of a period is not after its end. Where precisions differ, only what both say is compared."""
    start, end = value.get("start"), value.get("end")
    if not isinstance(start, str) or not isinstance(end, str):
        return True
    first, last = _moment(start), _moment(end)
    if first and last:
        return first <= last
    common = min(len(start.partition("T")[0]), len(end.partition("T")[0]))
    return start[:common] <= end[:common]


@native("dom-3/13769bd5", when="contained")
def contained_is_used(value: Object, run: Run) -> bool:
    """Every contained resource is referred to, or refers to its container."""
    used = set(_texts({k: v for k, v in value.items() if k != "text"}))
    return all(f"#{c.get('id')}" in used or "#" in set(_texts(c)) for c in objects(value["contained"]))


def _texts(value: Any) -> list[str]:
    """All texts below a value that start with #."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str) and item.startswith("#"):
            found.append(item)
    return found


# Each entry of a plain Bundle has a sound narrative.
@native("dom-6/dcb8348c", sure="x.plain or 'text' in {0}")
def has_narrative(value: Object, run: Run) -> bool:
    """A resource has a narrative (a warning: people must be able to read it)."""
    text = value.get("text")
    inside = run.current.resource is not value  # contained resources are told in the narrative of their container
    return inside or (isinstance(text, dict) and ("div" in text or "_div" in text))
