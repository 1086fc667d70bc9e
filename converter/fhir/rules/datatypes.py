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
UCUM = "http://unitsofmeasure.org"


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


def _measured(value: Object) -> bool:
    """A value has a code; the system, if there is one, is UCUM's."""
    coded = has(value, "code") or not has(value, "value")
    return coded and (not has(value, "system") or value.get("system") == UCUM)


@native("dis-1/1a8cf666")
def distance_has_unit(value: Object, run: Run) -> bool:
    """A distance has a unit of UCUM."""
    return _measured(value)


@native("drt-1/5e3ef2ef", when="code")
def duration_has_unit(value: Object, run: Run) -> bool:
    """The unit of a duration is of UCUM and has a value."""
    return value.get("system") == UCUM and has(value, "value")


@native("age-1/edab7a03")
def age_is_positive(value: Object, run: Run) -> bool:
    """An age has a unit of UCUM and is above zero."""
    number = _number(value.get("value"))
    return _measured(value) and (number is None or number > 0)


@native("cnt-3/67da9fa2")
def count_is_whole(value: Object, run: Run) -> bool:
    """A count is a whole number without unit."""
    whole = value.get("value") is None or "." not in str(value["value"])
    return _measured(value) and (not has(value, "code") or value.get("code") == "1") and whole


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


@native("tim-9/1e6a2def", when="offset")
def offset_of_an_event(value: Object, run: Run) -> bool:
    """An offset belongs to an event, and meals do not count as one."""
    events = listed(value.get("when"))
    return bool(events) and not any(e in ("C", "CM", "CD", "CV") for e in events)


@native("trd-1/1245848a", when="data")
def data_or_timing(value: Object, run: Run) -> bool:
    """A trigger has data or a timing."""
    return not _choice(value, "timing")


_needs("trd-2/9b9c4fe6", "condition", "data")


@native("trd-3/7fd1176c")
def trigger_has_what_its_type_needs(value: Object, run: Run) -> bool:
    """A named event has a name, a periodic trigger a timing, a trigger on data has data."""
    kind = str(value.get("type", ""))
    named = kind != "named-event" or has(value, "name")
    timed = kind != "periodic" or _choice(value, "timing")
    return named and timed and (not kind.startswith("data-") or has(value, "data"))


@native("app-3/5f8ba047")
def appointment_has_a_time(value: Object, run: Run) -> bool:
    """Only proposed, waiting or cancelled appointments have no time."""
    return (has(value, "start") and has(value, "end")) or value.get("status") in ("proposed", "cancelled", "waitlist")


@native("app-4/ce2ccf29", when="cancelationReason")
def reason_of_cancellation(value: Object, run: Run) -> bool:
    """Only appointments that did not take place have a reason for that."""
    return value.get("status") in ("noshow", "cancelled")


def _coded(concept: Any, system: str, *codes: str) -> bool:
    codings = objects(concept.get("coding")) if isinstance(concept, dict) else ()
    return any(c.get("system") == system and c.get("code") in codes for c in codings)


_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


@native("con-3/3d16cb29")
def condition_has_status(value: Object, run: Run) -> bool:
    """A condition of some category has a clinical status, unless it was entered in error (a warning)."""
    error = _coded(value.get("verificationStatus"), _VERIFICATION, "entered-in-error")
    return has(value, "clinicalStatus") or error or not has(value, "category")


@native("con-4/cc2e6f6b")
def abated_condition_is_over(value: Object, run: Run) -> bool:
    """A condition that abated is resolved, in remission or inactive."""
    over = _coded(value.get("clinicalStatus"), _CLINICAL, "resolved", "remission", "inactive")
    return over or not _choice(value, "abatement")


@native("con-5/ab868a57", when="clinicalStatus")
def error_has_no_status(value: Object, run: Run) -> bool:
    """A condition entered in error has no clinical status."""
    return not _coded(value.get("verificationStatus"), _VERIFICATION, "entered-in-error")


@native("obs-7/a8ebd6e8", when="component")
def components_differ_from_whole(value: Object, run: Run) -> bool:
    """An observation with a value has no component of the same code."""
    code = value.get("code")
    codings = listed(code.get("coding")) if isinstance(code, dict) else []
    parts = (part.get("code") for part in objects(value.get("component")))
    same = any(c in codings for p in parts if isinstance(p, dict) for c in listed(p.get("coding")))
    return not same or not _choice(value, "value")
