"""Invariants (ElementDefinition.constraint): which ones run natively, and the report of a broken one.

A native rule is a small function registered under the invariant's key *and* the digest of its expression, since the
same key stands for different expressions in different versions. What is not registered is counted as *not checked*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from converter.fhir.elements import Site
from converter.fhir.run import Run
from converter.issues import Severity, declare

if TYPE_CHECKING:
    from converter.fhir.source import Source

BROKEN = declare(
    "PRO042",
    "invariant-broken",
    Severity.ERROR,
    "the rule {key} of {element} is broken",
    why="The profile makes this rule because receivers rely on it.",
    help="Read the rule under its key in the guide; the finding names the profile and the element.",
    source="FHIR R4, ElementDefinition.constraint",
)

Check = Callable[[Any, Run], bool]
_native: dict[tuple[str, str], tuple[Check, str]] = {}


def native(*keys: str, when: str = "") -> Callable[[Check], Check]:
    """Register a function as an invariant. Each key is `key/digest`; a result of False breaks the rule.

    `when` names an element without which the rule holds, so that the function need not be called.

    The function gets the value of the element (an object, or a primitive; None if a primitive has only extensions) and
    must bear any JSON in it: wrong types are reported elsewhere.
    """

    def register(check: Check) -> Check:
        for text in keys:
            key, _, digest = text.rpartition("/")
            if (key, digest) in _native:
                raise ValueError(f"registered twice: {text}")
            _native[key, digest] = (check, when)
        return check

    return register


def check_of(rule: dict[str, Any]) -> tuple[Check | None, str]:
    """The native function of a rule of a pack, and the element that it speaks of; None if there is no function."""
    return _native.get((rule["key"], rule["digest"]), (None, ""))


def emit_invariant(source: Source, rule: dict[str, Any], value: str, pointer: str, site: Site) -> None:
    """Code that runs a native invariant on `value`, or counts it as not checked."""
    check, when = check_of(rule)
    if check is None:
        source(f"x.skip(UNCHECKED_RULE, {site.profile!r}, {rule['key']!r})")
    elif check is not always:
        here = source.constant(Site(site.profile, site.element, rule["key"]), "S")
        name = source.constant(check, "RULE")
        warning = "" if rule["severity"] == "error" else ", severity=WARNING"
        guard = f"({when!r} in {value} or '_{when}' in {value}) and " if when else ""
        with source.block(f"if {guard}not {name}({value}, x):"):
            source(f"x.add(BROKEN, {pointer}, {here}, key={rule['key']!r}, element={site.leaf!r}{warning})")


def listed(value: Any) -> list[Any]:
    """A repeating element as a list whatever the JSON holds."""
    return value if isinstance(value, list) else []


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a repeating element."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def always(value: Any, run: Run) -> bool:
    """For rules that are checked elsewhere (structure, narrative, Bundle)."""
    return True


# Checked by structure.py (nothing empty), narrative.py (XHTML) and bundles.py (fullUrl).
for _key in ("txt-1/dfc2861c", "txt-2/dfc2861c"):
    native(_key)(always)
