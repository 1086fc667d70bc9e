"""Invariants of HL7's own datatypes and resources (FHIR R4): small rules about elements of one object."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from converter.fhir.rules.invariants import Check, listed, native, objects
from converter.fhir.rules.references import contained, resolve
from converter.fhir.rules.structure import has
from converter.fhir.run import Run

Object = dict[str, Any]


def _any_of(*names: str) -> Check:
    keys = frozenset(names) | {f"_{n}" for n in names}
    return lambda value, run: not keys.isdisjoint(value)


def _needs(key: str, name: str, other: str) -> None:
    """If `name` is there, `other` must be."""
    native(key, when=name)(lambda value, run: has(value, other))


def _excludes(key: str, name: str, other: str) -> None:
    """If `name` is there, `other` must not be."""
    native(key, when=name)(lambda value, run: not has(value, other))


native("pat-1/f08be19e")(_any_of("name", "telecom", "address", "organization"))
native("app-1/a711b605")(_any_of("type", "actor"))
native("con-1/f8e5eaf7")(_any_of("summary", "assessment"))
native("con-2/d356bbca")(_any_of("code", "detail"))
native("exp-1/af03acfc")(_any_of("expression", "reference"))
native("imr-1/62408527")(_any_of("vaccineCode", "targetDisease"))
native("obs-3/003c1dbb")(_any_of("low", "high", "text"))
native("bdl-5/ef3bec2b")(_any_of("resource", "request", "response"))
native("org-1/5a920052")(_any_of("identifier", "name"))
_needs("att-1/2cb627a7", "data", "contentType")
_needs("cpt-2/4a3a594e", "value", "system")
_needs("qty-3/d9c79955", "code", "system")
_needs("prr-1/cca9d929", "orderDetail", "code")
_needs("tim-1/7ae4fc28", "duration", "durationUnit")
_needs("tim-2/ef81d1e4", "period", "periodUnit")
_needs("tim-6/bade2ef6", "periodMax", "period")
_needs("tim-7/9a86efcc", "durationMax", "duration")
_needs("tim-8/6da97da6", "countMax", "count")
_excludes("tim-10/9bec6215", "timeOfDay", "when")
native("drq-1/f828ebca", "drq-2/f828ebca")(lambda value, run: has(value, "path") != has(value, "searchParam"))
native("app-2/7e8924f8")(lambda value, run: has(value, "start") == has(value, "end"))
native("org-2/40a34f50", "org-3/40a34f50", when="use")(lambda value, run: value.get("use") != "home")
native("sqty-1/8b4c3945", when="comparator")(lambda value, run: False)


def _choice(value: Object, stem: str) -> bool:
    return any(k.lstrip("_").startswith(stem) and k.lstrip("_")[len(stem) :][:1].isupper() for k in value)


@native("ext-1/2af9cdf5")
def extension_or_value(value: Object, run: Run) -> bool:
    """An extension has either a value or extensions, not both and not neither."""
    found = False
    for key in value:
        if key[:5] == "value" or key[:6] == "_value":
            found = True
    return found != ("extension" in value)


@native("obs-6/e50bb5a3")
def value_or_reason(value: Object, run: Run) -> bool:
    """An observation has no reason for an absent value beside a value."""
    return not (has(value, "dataAbsentReason") and _choice(value, "value"))


@native("rat-1/6aa6a360")
def ratio_is_whole(value: Object, run: Run) -> bool:
    """Numerator and denominator stand together; without both there is an extension."""
    numerator, denominator = has(value, "numerator"), has(value, "denominator")
    return numerator == denominator and (numerator or has(value, "extension"))


@native("ref-1/33d7c6a8")
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


def _number(value: Any) -> Decimal | None:
    try:
        return Decimal(str(value)) if value is not None else None
    except InvalidOperation:
        return None


@native("rng-2/49218202", when="high")
def low_before_high(value: Object, run: Run) -> bool:
    """The low end of a range is not above its high end, where both have the same unit."""
    low, high = value.get("low"), value.get("high")
    if not isinstance(low, dict) or not isinstance(high, dict) or low.get("code") != high.get("code"):
        return True
    small, large = _number(low.get("value")), _number(high.get("value"))
    return small is None or large is None or small <= large


@native("tim-4/38fbae08", when="duration")
def duration_not_negative(value: Object, run: Run) -> bool:
    """A duration is not negative."""
    number = _number(value.get("duration"))
    return number is None or number >= 0


@native("tim-5/8046d741", when="period")
def period_not_negative(value: Object, run: Run) -> bool:
    """A period of repetition is not negative."""
    number = _number(value.get("period"))
    return number is None or number >= 0


@native("ctm-1/0e80a648", when="onBehalfOf")
def on_behalf_of_practitioner(value: Object, run: Run) -> bool:
    """Only a practitioner acts in a care team on behalf of an organization."""
    member = value.get("member")
    entry = resolve(run, member.get("reference")) if isinstance(member, dict) else None
    return entry is None or entry.type == "Practitioner"


@native("marital-status-unknown-usage/cb1586d0", when="maritalStatus")
def marital_status_once(value: Object, run: Run) -> bool:
    """Not both "domestic partner" and "annulled" as marital status."""
    status = value.get("maritalStatus")
    system = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"
    codes = (
        [c.get("code") for c in objects((status or {}).get("coding")) if c.get("system") == system]
        if (isinstance(status, dict))
        else []
    )
    return not ("P" in codes and "A" in codes)


@native("dom-2/fbd6c31f", when="contained")
def no_nested_contained(value: Object, run: Run) -> bool:
    """Contained resources contain no resources."""
    return not any("contained" in c for c in objects(value["contained"]))


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


def _meta(value: Object) -> list[Object]:
    return [c["meta"] for c in objects(value.get("contained")) if isinstance(c.get("meta"), dict)]


@native("dom-4/e862db3b", when="contained")
def contained_without_version(value: Object, run: Run) -> bool:
    """Contained resources have no version and no time of change."""
    return not any(has(m, "versionId") or has(m, "lastUpdated") for m in _meta(value))


@native("dom-5/066099c3", when="contained")
def contained_without_security(value: Object, run: Run) -> bool:
    """Contained resources have no security labels of their own."""
    return not any(has(m, "security") for m in _meta(value))


@native("dom-6/dcb8348c")
def has_narrative(value: Object, run: Run) -> bool:
    """A resource has a narrative (a warning: people must be able to read it)."""
    text = value.get("text")
    inside = run.current.resource is not value  # contained resources are told in the narrative of their container
    return inside or (isinstance(text, dict) and "div" in text)


@native("grp-1/d3f4cc3e", when="member")
def members_are_actual(value: Object, run: Run) -> bool:
    """Only a group of actual things lists members."""
    return not listed(value.get("member")) or value.get("actual") is True
