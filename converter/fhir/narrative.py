"""Narratives: what a Danish reader sees of a resource when a system shows its text and nothing else.

MedCom's profiles oblige the sender to represent certain elements there (obligation `SHALL:in-narrative`); no validator
looks. The templates under `templates/narrative/` are ours alone and compiled once; whatever they show is escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.errors import ConverterError
from converter.fhir.bundle import Resource
from converter.fhir.characters import has_control
from converter.fhir.rendering import MOST, Filters, Render, Telling
from converter.fhir.wording import FILTERS, IN_LINE, LABELLED, Labels, Wording, by_url, tables

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
_WRONG = (AttributeError, TypeError, KeyError)
"""An element is not what it should be; the profiles will say which."""
# What XML 1.0 has no place for, not even escaped. Text from a message may hold it. Bytes say when to look closer
# (surrogates begin with ED, U+FFFE with EF).
_SUSPECT = (b"\xed", b"\xef")
_NOT_XML = "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # dear to compile, and rarely needed


class Narratives:
    """The compiled templates and the Danish labels of codes."""

    def __init__(self, folder: Path, labels: Labels) -> None:
        self._folder, self._labels = folder, labels
        self._filters = Filters(FILTERS, tables(labels), Wording, IN_LINE, by_url)
        self._by_size: dict[str, list[Render]] = {kind: [self._first] * MOST for kind in TOLD}
        self._any: dict[str, Render] = dict.fromkeys(TOLD, self._first)

    @classmethod
    def load(cls, folder: Path = FOLDER, *, lazily: bool = False) -> Narratives:
        """The templates of a folder, compiled, or `lazily`: each when something is to be told by it.

        Raises `ConverterError` if one is absent or wrong; so does what is asked of templates that were not compiled.
        """
        try:
            labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
            if absent := sorted(LABELLED - labels.keys()):
                raise ValueError(f"labels.json has no {', '.join(absent)}")
        except (OSError, ValueError) as error:
            raise _not_loaded(folder, error) from error
        narratives = cls(folder, Labels(labels))
        if not lazily:
            for kind in TOLD:
                narratives._compile(kind)
            _ = narratives._other, narratives._section
        return narratives

    def _compile(self, kind: str) -> None:
        told = self._telling(kind)
        self._by_size[kind], self._any[kind] = told.by_size, told.render

    def _first(self, resource: Mapping[str, Any], wording: Wording) -> str:
        self._compile(resource["resourceType"])
        return self._any[resource["resourceType"]](resource, wording)

    @cached_property
    def _other(self) -> Render:
        return self._telling(OTHER).render

    @cached_property
    def _section(self) -> Render:
        return self._telling(SECTION).render

    @cached_property
    def _environment(self) -> Environment:
        return template_environment(self._folder)

    def _telling(self, name: str) -> Telling:
        from jinja2 import TemplateError

        try:
            return _compiled(self._environment, name + SUFFIX, self._filters)
        except (TemplateError, OSError, ValueError) as error:
            raise _not_loaded(self._folder, error) from error

    def add(self, bundle: Resource) -> None:
        """Give every resource of a Bundle its `text`, directly after `meta`; a `text` that is there is replaced.

        Sections that only refer to resources get one too, where they have none.
        """
        if type(bundle.get("entry")) is not list:
            return
        wording = Wording(self._labels, bundle)
        resources = wording.resources
        divs, sections = self._tell(resources, wording)
        for section in sections:
            divs.append(div := self._div(section, wording))
            _place(section, {"status": "generated", "div": div})
        if not _is_xml("".join(divs)):
            for told in (*resources, *sections):
                if told.get("resourceType") not in WITHOUT:
                    text = told["text"]
                    text["div"] = re.sub(_NOT_XML, "\ufffd", text["div"])

    def _tell(self, resources: list[Resource], wording: Wording) -> tuple[list[str], list[Resource]]:
        """Give resources their texts. What these say, and the sections that want a text as well."""
        by_size = self._by_size
        divs: list[str] = []
        sections: list[Resource] = []
        for resource in resources:
            try:
                div = by_size[resource["resourceType"]][len(resource)](resource, wording)
            except (*_WRONG, IndexError):  # or another type, or more properties than any
                if resource.get("resourceType") in WITHOUT:
                    continue
                div = self._exactly(resource, wording)
            divs.append(div)
            if "section" in resource:
                sections += _textless(resource)
            if "text" in resource:
                resource["text"] = {"status": "generated", "div": div}
            else:
                _place(resource, {"status": "generated", "div": div})
        return divs, sections

    def _exactly(self, resource: Resource, wording: Wording) -> str:
        try:
            return self._any[resource["resourceType"]](resource, wording)
        except _WRONG:
            return self._other(resource, wording)

    def _div(self, section: Resource, wording: Wording) -> str:
        try:
            return self._section(section, wording)
        except _WRONG:
            return self._other(section, wording)


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


def _not_loaded(folder: Path, error: Exception) -> ConverterError:
    return ConverterError(f"the narrative templates in {folder} do not load: {error}")


def _compiled(environment: Environment, name: str, filters: Filters) -> Telling:
    assert environment.loader is not None
    source, file, _ = environment.loader.get_source(environment, name)
    return Telling(environment.parse(source, name), f"<narrative {file}>", filters)


def _is_xml(text: str) -> bool:
    """Whether XML can hold all of this text; False also for some that it can hold."""
    if has_control(text):
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
