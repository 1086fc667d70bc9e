"""What a narrative says about the elements of a resource: the filters of the templates, each of which gives markup.

Codes are told by their display, else by our own Danish label (`templates/narrative/labels.json`), else as they are;
references by what they point to; dates as day-month-year. Text is escaped where it is taken from an element, so that
what is told several times, as the name of a sender is, is escaped once.

The filters take elements as valid FHIR and are written for speed: one of a wrong shape raises `AttributeError`,
`TypeError` or `KeyError`, and the caller falls back on the template `other`, which takes whatever comes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from converter.fhir.bundle import Resource, index, place, resolve, steps
from converter.fhir.rendering import Table, escape

DIAGNOSIS_ROLE = "https://medcom-fhir.org/fhir/StructureDefinition/diagnosis-role"
IDENTIFIER, EXTENSION = "Identifier.system", "Extension.url"
LABELLED = frozenset(
    {
        *("Communication.status", "Communication.priority", "Encounter.status", "Provenance.entity.role"),
        *("ContactPoint.system", "ServiceRequest.status", "Composition.status", IDENTIFIER, EXTENSION),
    }
)
"""The elements whose codes have labels under the element's path, not under a code system."""


_REMEMBERED = 1000
_LONGEST_CODE = 10


class Labels:
    """Our own labels of codes, as markup. Plain dicts: others answer several times as slowly."""

    __slots__ = ("_limit", "codes", "elements", "extensions", "identifiers")

    def __init__(self, labels: Mapping[str, Mapping[str, str]]) -> None:
        """`labels` are those of `labels.json`: by code system, or by the element that has the code."""
        self.elements = {of: {code: escape(label) for code, label in codes.items()} for of, codes in labels.items()}
        self.extensions = self.elements.get(EXTENSION, {})
        self.identifiers = self.elements.get(IDENTIFIER, {})
        self.codes = {(system, code): said for system, codes in self.elements.items() for code, said in codes.items()}
        self._limit = len(self.codes) + _REMEMBERED

    def unlabelled(self, system: Any, code: Any) -> str:
        """A code without a label is its own. Short ones are remembered: a message names them several times.

        A thousand at most; what is longer might be a person's number, what has no digit a name.
        """
        said = escape("" + code)
        if len(code) < _LONGEST_CODE and not code.isalpha() and type(system) is str and len(self.codes) < self._limit:
            self.codes[system, code] = said
        return said


_NOTHING: Mapping[str, Any] = {}
_WRONG = (AttributeError, TypeError, KeyError)
"""An element is not what it should be; the profiles will say which."""
_DANISH = frozenset({":00+01:00", ":00+02:00"})
_LONGEST = len("2031-05-17T09:41:05.123456+02:00") + 1
_BREAK = re.compile(r"<br\b[^>]*>|</(?:p|div|li|tr|h[1-6])>(?=.)", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_NOT_TOLD = ("text", "meta")
_words: set[str] = set()
"""Properties that are told by their names, as far as they have been met: a thousand at most."""


moments: dict[str, str] = {}
"""What `moment` has said: a message names one several times. A thousand at most."""


def moment(value: str) -> str:
    """A date or time as `17-05-2031 kl. 09:41`, with its zone unless that is Danish time; other text as it is."""
    if value in moments:
        return moments[value]
    told = _moment(value)
    said = escape(told)
    if told is not value and len(value) < _LONGEST:  # no other text is kept
        if len(moments) >= _REMEMBERED:
            moments.clear()
        moments[value] = said
    return said


def _moment(value: str) -> str:
    if len(value) < 10 or value[4] != "-" or value[7] != "-":
        return value
    day = f"{value[8:10]}-{value[5:7]}-{value[:4]}"
    if value[16:] in _DANISH:
        return f"{day} kl. {value[11:16]}"
    if len(value) < 16:
        return day
    clock, zone = (value[11:-1], "+00:00") if value[-1] == "Z" else (value[11:-6], value[-6:])
    if zone[0] not in "+-":
        clock, zone = value[11:], ""
    clock = clock[:5] if clock[5:] in ("", ":00") else clock
    return f"{day} kl. {clock}" if zone in ("+01:00", "+02:00", "") else f"{day} kl. {clock} (UTC{zone})"


def lines(text: str) -> str:
    """Text that keeps its line breaks."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    # Single characters are found faster in a long text than `escape` reads it.
    if "&" in text or "<" in text or ">" in text or '"' in text or "'" in text:
        text = escape("" + text)
    return text.replace("\n", "<br/>")


def person(name: Resource) -> str:
    """A HumanName in one line."""
    if "text" in name and (said := name["text"]):
        return escape("" + said)
    if "family" in name and "prefix" not in name:
        family = name["family"]
        return escape(" ".join([*name["given"], family])) if "given" in name else escape("" + family)
    parts = [*name.get("prefix", ()), *name.get("given", ())]
    return escape(" ".join([*parts, name["family"]] if "family" in name else parts))


def plain(div: str) -> str:
    """The lines of formatted text: XHTML without its tags."""
    text = div.replace("<br/>", "\n")
    if text.startswith("<div") and text.endswith("</div>"):
        text = text[text.index(">") + 1 : -len("</div>")]
        if "<" not in text:  # as our own codec writes it
            return lines(html.unescape(text) if "&" in text else text)
    return lines(html.unescape(_TAG.sub("", _BREAK.sub("\n", div.replace("<br/>", "\n")))))


def join(texts: list[str], between: str) -> str:
    """All texts of a list."""
    return escape(between.join(texts))


def yes_or_no(value: bool | None) -> str:
    """A boolean."""
    return "" if value is None else "ja" if value else "nej"


def kind(resource: Resource) -> str:
    """The type of a resource of any type, or of what is none."""
    return escape(str(resource.get("resourceType", "")).strip()) or "Ressource"


def anything(resource: Resource) -> list[tuple[str, str]]:
    """Each leaf of a resource of any type, or of an unexpected shape, with its path (which needs no escaping)."""
    found: list[tuple[str, str]] = []
    _tell({key: None if key in _NOT_TOLD and type(v) in (dict, list) else v for key, v in resource.items()}, "", found)
    return found


def _tell(node: Resource, path: str, found: list[tuple[str, str]]) -> None:
    for key, value in node.items():
        if type(value) is str and key in _words:
            found.append((path + key, escape(value)))
        elif value is not None and (key != "resourceType" or type(value) is not str):
            step = (steps[key] or place(node, key))[1:]
            if type(value) is dict:
                _tell(value, f"{path}{step}.", found)
            elif type(value) is list:
                _tell_each(value, f"{path}{step}.", found)
            else:
                found.append((path + step, "…" if key == "data" else escape(str(value))))
                if type(value) is str and step == key != "data" and len(_words) < _REMEMBERED:
                    _words.add(key)


def _tell_each(items: list[Any], path: str, found: list[tuple[str, str]]) -> None:
    for number, item in enumerate(items):
        if type(item) is dict:
            _tell(item, f"{path}{number}.", found)
        elif type(item) is list:
            _tell_each(item, f"{path}{number}.", found)
        elif item is not None:
            found.append((f"{path}{number}", escape(str(item))))


FILTERS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (lines, person, plain, join, yes_or_no, kind, anything)
}
"""What templates can ask of a value alone; what needs the labels or the Bundle is a method of `Wording`."""


def tables(labels: Labels) -> dict[str, Callable[..., Table]]:
    """What templates look up, by filter: a `code` or its `label` (if any) by the element that has it, a `moment`."""
    return {
        "code": lambda element: (labels.elements[element], as_it_is),
        "label": lambda element: (labels.elements[element], None),
        "moment": lambda: (moments, moment),
    }


def as_it_is(code: str) -> str:
    """A code without a label."""
    return escape("" + code)


def by_url(found: list[Resource]) -> dict[Any, Resource]:
    """The extensions of an element by URL; of several with one URL the last."""
    extensions = {}
    for extension in found:
        extensions[extension.get("url")] = extension
    return extensions


IN_LINE = {
    "reference": (
        "wording.names[{0}['reference']]",
        "(wording.names.get({0}.get('reference')) or wording.reference({0}))",
    )
}
"""How filters are printed where their usual case is told without a call."""


class Wording:
    """Says what codes and references mean, in one Bundle. The public methods are filters of the templates."""

    __slots__ = ("_bundle", "_extensions", "_indexed", "_parted", "labels", "names", "near", "resources")

    def __init__(self, labels: Labels, bundle: Mapping[str, Any]) -> None:
        """Look for what a Bundle holds: its `resources`, in order, and those `near` by `Type/id`."""
        self.labels = labels
        self.near: dict[Any, Resource] = {}
        self.names: dict[Any, str] = {}
        self.resources: list[Resource] = []
        self._bundle, self._indexed = bundle, _NOTHING
        self._extensions: dict[int, tuple[Any, list[tuple[str, str]]]] = {}
        self._parted: tuple[Any, list[Resource], list[Resource]] = (None, [], [])
        entries = bundle.get("entry", [])
        try:
            self._name_all(entries)
            if len(self.near) == len(entries):
                return
        except _WRONG:
            pass
        self.resources = [r for entry in entries if type(entry) is dict and type(r := entry.get("resource")) is dict]
        # Of several with one name the first.
        self.near = {f"{r.get('resourceType')}/{r.get('id')}": r for r in reversed(self.resources)}
        self.names.clear()
        for target, found in self.near.items():
            if target not in self.names:
                self._name(target, found)

    def _name_all(self, entries: list[Any]) -> None:
        """Name all resources, as others ask for nearly all of them; those that name others when these have names."""
        resources, near, names = self.resources, self.near, self.names
        following = []
        for entry in entries:
            resource = entry["resource"]
            kind = resource["resourceType"]
            near[target := f"{kind}/{resource['id']}"] = resource
            resources.append(resource)
            if kind in _FOLLOWING:
                following.append(target)
            else:
                names[target] = (kind in NAMES and NAMES[kind](resource, self)) or escape(target)
        for target in following:
            if target not in names:
                self._name(target, near[target])

    def _name(self, target: str, found: Resource) -> str:
        """What a resource is called where others point to it."""
        try:
            kind = found["resourceType"]
            if kind in _FOLLOWING:
                self.names[target] = escape(target)  # while we ask: references can go in circles
            tell = NAMES.get(kind)
            said = (tell and tell(found, self)) or escape(target)
        except _WRONG:
            said = escape(target)
        self.names[target] = said
        return said

    def reference(self, reference: Resource) -> str:
        """What a Reference points to; for something outside the Bundle its display, identifier and address."""
        target: Any = reference.get("reference")
        if target in self.names:
            return self.names[target]
        found = self.near.get(target) or self._far(target)
        if found is not None:
            return self._name(target, found)
        own = (reference.get("display"), reference.get("identifier", _NOTHING).get("value"), target)
        return escape(", ".join(filter(None, own)))

    def coding(self, coding: Mapping[str, Any]) -> str:
        """A Coding."""
        if "display" in coding and (display := coding["display"]):
            return escape(str(display))
        code: str = coding.get("code", "")
        if "system" not in coding:
            return escape("" + code)
        system = coding["system"]
        return self.labels.codes.get((system, code)) or self.labels.unlabelled(system, code)

    def concept(self, concept: Mapping[str, Any]) -> str:
        """A CodeableConcept: its text, and its codings if they say anything else."""
        if "coding" not in concept:
            return escape("" + concept.get("text", ""))
        codings = concept["coding"]
        said = self.coding(codings[0]) if len(codings) == 1 else ", ".join(map(self.coding, codings))
        if "text" not in concept:
            return said
        own = escape("" + concept["text"])
        return f"{own} ({said})" if own and own != said else said

    def concepts(self, found: list[Resource]) -> str:
        """All CodeableConcepts of a list."""
        return self.concept(found[0]) if len(found) == 1 else ", ".join(map(self.concept, found))

    def extensions(self, found: list[Resource]) -> list[tuple[str, str]]:
        """The extensions that we have a label for and that hold one value, as label and value."""
        known = self._extensions.get(id(found))  # the name of a resource says them, and its narrative
        if known is not None:
            return known[1]
        labels = self.labels.extensions
        told = []
        for extension in found:
            if said := labels.get(extension.get("url", "")):
                told.append((said, self.value(extension)))
        self._extensions[id(found)] = found, told  # kept with it, so that no other list gets its id
        return told

    def all_extensions(self, found: list[Resource]) -> str:
        """What the extensions say that we have a label for."""
        return ", ".join([said for _, said in self.extensions(found)])

    def value(self, extension: Resource) -> str:
        """What an extension says that holds one value."""
        if "valueCoding" in extension:
            return self.coding(extension["valueCoding"])
        if "valueReference" in extension:
            return self.reference(extension["valueReference"])
        if "valueDateTime" in extension:
            return moment(extension["valueDateTime"])
        if "valueContactPoint" in extension:
            return escape("" + extension["valueContactPoint"].get("value", ""))
        return escape("" + extension["valueString" if "valueString" in extension else "valueCode"])

    def compositions(self, found: list[Resource]) -> list[Resource]:
        """The Compositions among what the References of a list point to."""
        return self._part(found)[1]

    def others(self, found: list[Resource]) -> list[Resource]:
        """The References of a list that point to anything but Compositions."""
        return self._part(found)[2]

    def _part(self, found: list[Resource]) -> tuple[Any, list[Resource], list[Resource]]:
        if self._parted[0] is not found:
            compositions, others = [], []
            for reference in found:
                name = reference.get("reference")
                target = self.near.get(name) or self._far(name)
                if target is not None and target.get("resourceType") == "Composition":
                    compositions.append(target)
                else:
                    others.append(reference)
            self._parted = found, compositions, others
        return self._parted

    def _far(self, target: str | None) -> Resource | None:
        """What any other reference points to; the Bundle is only indexed for such."""
        if not target:
            return None
        if not self._indexed:
            self._indexed = index(self._bundle)
        return resolve(self._indexed, target)


# How a resource is called where another one points to it


def _organization_name(resource: Resource, wording: Wording) -> str:
    name = resource.get("name", "")
    return escape("" + name) if name else _identifiers(resource, wording)


def _identifiers(resource: Resource, wording: Wording) -> str:
    label = wording.labels.identifiers.get
    said = [
        f"{label(identifier.get('system'), 'Id')} {escape('' + identifier.get('value', ''))}"
        for identifier in resource.get("identifier", ())
    ]
    return ", ".join(said)


def _patient_name(resource: Resource, wording: Wording) -> str:
    names, identifiers = resource.get("name"), resource.get("identifier")
    if not identifiers:
        return person(names[0]) if names else ""
    value = escape("" + identifiers[0].get("value", ""))
    return f"{person(names[0])}, {value}" if names else value


def _practitioner_name(resource: Resource, wording: Wording) -> str:
    names = resource.get("name", ())
    return person(names[0]) if len(names) == 1 else ", ".join(map(person, names))


def _with_concepts(said: str, between: str, concepts: Iterable[Any], wording: Wording) -> str:
    for concept in concepts:
        if name := wording.concept(concept):
            said = f"{said}{between}{name}" if said else name
    return said


def _role_name(resource: Resource, wording: Wording) -> str:
    said = wording.reference(resource["practitioner"]) if "practitioner" in resource else ""
    said = _with_concepts(said, ", ", resource.get("code", ()), wording)
    if "organization" in resource and (name := wording.reference(resource["organization"])):
        said = f"{said}, {name}" if said else name
    return said


def _team_name(resource: Resource, wording: Wording) -> str:
    return escape("" + resource.get("name", ""))


def _encounter_name(resource: Resource, wording: Wording) -> str:
    if episodes := resource.get("episodeOfCare", ()):
        return escape(", ".join([episode.get("identifier", _NOTHING).get("value", "") for episode in episodes]))
    said = (wording.coding(resource.get("class", _NOTHING)), moment(resource.get("period", _NOTHING).get("start", "")))
    return ", ".join(filter(None, said))


def _communication_name(resource: Resource, wording: Wording) -> str:
    said = _with_concepts("", ": ", resource.get("category", ()), wording)
    if "topic" in resource and (name := wording.concept(resource["topic"])):
        said = f"{said}: {name}" if said else name
    return said


def _header_name(resource: Resource, wording: Wording) -> str:
    event = wording.coding(resource.get("eventCoding", _NOTHING))
    return f"{event} {escape('' + resource.get('id', ''))}".strip()


def _coded_name(resource: Resource, wording: Wording) -> str:
    """What it is to the letter, its text and code, what the code adds, and when it was made or done."""
    said = wording.concept(resource.get("code", _NOTHING))
    role = wording.labels.extensions.get(DIAGNOSIS_ROLE)
    for label, value in wording.extensions(resource.get("extension", [])):
        said = f"{value}: {said}" if label == role else f"{said}; {value}"
    when = moment(resource.get("recordedDate", "") or resource.get("performedDateTime", ""))
    return f"{said}, {when}" if when else said


def _request_name(resource: Resource, wording: Wording) -> str:
    said = wording.concept(resource.get("code", _NOTHING))
    return said or ", ".join([escape("" + i.get("value", "")) for i in resource.get("identifier", ())])


def _composition_name(resource: Resource, wording: Wording) -> str:
    title = resource.get("title")
    return escape("" + title) if title else wording.concept(resource.get("type", _NOTHING))


def _document_name(resource: Resource, wording: Wording) -> str:
    said = escape("" + resource.get("description", ""))
    if "content" in resource:
        for content in resource["content"]:
            if url := content.get("attachment", _NOTHING).get("url"):
                said = f"{said}, {escape('' + url)}" if said else escape("" + url)
    if "extension" in resource:
        for label, value in wording.extensions(resource["extension"]):
            said = f"{said}, {label}: {value}" if said else f"{label}: {value}"
    return said


_FOLLOWING = frozenset({"PractitionerRole", "Condition", "Procedure", "DocumentReference"})
"""The types whose names say what they refer to."""
NAMES: dict[str, Callable[[Resource, Wording], str]] = {
    "Organization": _organization_name,
    "Patient": _patient_name,
    "Practitioner": _practitioner_name,
    "PractitionerRole": _role_name,
    "CareTeam": _team_name,
    "Encounter": _encounter_name,
    "Communication": _communication_name,
    "MessageHeader": _header_name,
    "ServiceRequest": _request_name,
    "Condition": _coded_name,
    "Procedure": _coded_name,
    "Composition": _composition_name,
    "DocumentReference": _document_name,
    "RelatedPerson": _practitioner_name,
}
