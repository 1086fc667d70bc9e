"""Narratives: what a Danish reader sees of a resource when a system shows its text and nothing else.

MedCom's profiles oblige the sender to represent certain elements there (obligation `SHALL:in-narrative`); no validator
looks. The templates under `templates/narrative/` are ours alone and compiled once; whatever they show is escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from converter.errors import ConverterError
from converter.fhir.bundle import Resource
from converter.fhir.rendering import Render, compiled
from converter.fhir.wording import FILTERS, LABELLED, Labels, Wording

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).resolve().parent.parent / "templates" / "narrative"
SUFFIX = ".xhtml.j2"
TOLD = (
    *("MessageHeader", "Communication", "Patient", "Encounter", "PractitionerRole", "Practitioner", "CareTeam"),
    *("Organization", "Provenance", "Composition", "ServiceRequest", "Condition", "Procedure", "DocumentReference"),
    "RelatedPerson",
)
"""The resource types that have a template of their own."""
OTHER, SECTION = "other", "section"
WITHOUT = ("Bundle", "Binary", "Parameters")
"""The resource types that have no narrative."""

_BEFORE = ("resourceType", "id", "meta")
_BEFORE_IN_SECTIONS = ("title", "code")
Told = tuple[Resource, Render]
"""A resource, or a section of one, and what tells of it."""
_WRONG = (AttributeError, TypeError, KeyError)
"""An element is not what it should be; the profiles will say which."""
# What XML 1.0 has no place for, not even escaped. Text from a message may hold it. Single characters are found faster
# than any of several, and bytes say when to look closer (surrogates begin with ED, U+FFFE with EF).
_CONTROLS = [chr(code) for code in range(0x20) if chr(code) not in "\t\n\r"]
_has_control: Callable[[str], bool] = eval("lambda text: " + " or ".join(f"{c!r} in text" for c in _CONTROLS))  # noqa: S307
_SUSPECT = (b"\xed", b"\xef")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Narratives:
    """The compiled templates and the Danish labels of codes."""

    def __init__(self, templates: dict[str, Render], labels: Labels) -> None:
        self._other, self._section = templates.pop(OTHER), templates.pop(SECTION)
        self._templates: dict[str, Render | None] = {**templates, **dict.fromkeys(WITHOUT)}
        self._labels = labels

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Narratives:
        """Compile the templates of a folder. Raises `ConverterError` if one is absent or wrong."""
        from jinja2 import TemplateError

        environment = template_environment(folder)
        try:
            labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
            if absent := sorted(LABELLED - labels.keys()):
                raise ValueError(f"labels.json has no {', '.join(absent)}")
            templates = {name: _compiled(environment, name + SUFFIX) for name in (*TOLD, OTHER, SECTION)}
        except (TemplateError, OSError, ValueError) as error:
            raise ConverterError(f"the narrative templates in {folder} do not load: {error}") from error
        return cls(templates, by_code(labels))

    def add(self, bundle: Resource) -> None:
        """Give every resource of a Bundle its `text`, directly after `meta`; a `text` that is there is replaced.

        Sections that only refer to resources get one too, where they have none.
        """
        entries = bundle.get("entry")
        if type(entries) is not list:
            return
        told: list[Told] = []
        sections: list[Told] = []
        near: dict[str, Resource] = {}
        for entry in entries:
            try:
                resource = entry["resource"]
                kind = resource["resourceType"]
                name = f"{kind}/{resource['id']}"
                render = self._templates.get(kind, self._other)
            except _WRONG:
                resource = entry.get("resource") if type(entry) is dict else None
                if type(resource) is not dict:
                    continue
                kind = resource.get("resourceType")
                name = f"{kind}/{resource.get('id')}"
                render = self._templates.get(kind, self._other) if type(kind) is str else self._other
            if name not in near:
                near[name] = resource
            if render is not None:
                told.append((resource, render))
                if "section" in resource:
                    sections += [(section, self._section) for section in _textless(resource)]
        self._tell(told + sections, Wording(self._labels, bundle, near))

    def _tell(self, told: list[Told], wording: Wording) -> None:
        divs = []
        for resource, render in told:
            try:
                div = render(resource, wording)
            except _WRONG:
                div = self._other(resource, wording)
            divs.append(div)
            if "text" in resource:
                resource["text"] = {"status": "generated", "div": div}
            else:
                _place(resource, {"status": "generated", "div": div})
        if not _is_xml("".join(divs)):
            for resource, _ in told:
                text = resource["text"]
                text["div"] = _NOT_XML.sub("\ufffd", text["div"])


def by_code(labels: Mapping[str, Mapping[str, str]]) -> Labels:
    """The labels of `labels.json`."""
    return {(system, code): label for system, codes in labels.items() for code, label in codes.items()}


def _textless(resource: Resource) -> list[Resource]:
    """The sections without a text of their own: it says what they refer to. A text that is there is content."""
    found = resource.get("section")
    return (
        [s for s in found if type(s) is dict and "text" not in s and ("entry" in s or "section" in s)]
        if type(found) is list
        else []
    )


def template_environment(folder: Path) -> Environment:
    """jinja2 as we use it: templates of this folder only, which are parsed and not run."""
    from jinja2 import Environment, FileSystemLoader

    return Environment(loader=FileSystemLoader(folder), autoescape=True)


def _compiled(environment: Environment, name: str) -> Render:
    assert environment.loader is not None
    source, file, _ = environment.loader.get_source(environment, name)
    return compiled(environment.parse(source, name), f"<narrative {file}>", FILTERS, Wording)


def _is_xml(text: str) -> bool:
    """Whether XML can hold all of this text; False also for some that it can hold."""
    if _has_control(text):
        return False
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        seen = text.encode("utf-8", "surrogatepass")
        return not any(map(seen.__contains__, _SUSPECT))
    return True


def _place(resource: Resource, text: dict[str, str]) -> None:
    """Give a resource a `text` after `meta` (a section after `code`): all is put in again."""
    old = resource.copy()
    resource.clear()
    for key in _BEFORE if "resourceType" in old else _BEFORE_IN_SECTIONS:
        if key in old:
            resource[key] = old[key]
    resource["text"] = text
    resource.update(old)
