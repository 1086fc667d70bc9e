"""Narratives: what a Danish reader sees of a resource when a system shows its text and nothing else.

MedCom's profiles oblige the sender to represent certain elements there (obligation `SHALL:in-narrative`); no validator
looks. The templates under `templates/narrative/` are ours alone, compiled once, with autoescaping and strict variables.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from converter.errors import ConverterError
from converter.fhir.bundle import Resource
from converter.fhir.rendering import Render, compiled
from converter.fhir.wording import LABELLED, OTHER, VALUES, Labels, Wording, anything, section

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).resolve().parent.parent / "templates" / "narrative"
SUFFIX = ".xhtml.j2"
SECTION = "section"
WITHOUT = ("Bundle", "Binary", "Parameters")
"""The resource types that have no narrative."""

_BEFORE = ("resourceType", "id", "meta")
_BEFORE_IN_SECTIONS = ("title", "code")
# What XML 1.0 has no place for, not even escaped. Text from a message may hold it. Single characters are found faster
# than any of several, and bytes say when to look closer (surrogates begin with ED, U+FFFE with EF).
_CONTROLS = [chr(code) for code in range(0x20) if chr(code) not in "\t\n\r"]
_SUSPECT = (b"\xed", b"\xef")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Narratives:
    """The compiled templates and the Danish labels of codes."""

    def __init__(self, templates: dict[str, Render], labels: Labels) -> None:
        self._templates = templates
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
            templates = {name: _compiled(environment, name + SUFFIX) for name in (*VALUES, SECTION)}
        except (TemplateError, OSError, ValueError) as error:
            raise ConverterError(f"the narrative templates in {folder} do not load: {error}") from error
        return cls(templates, labels)

    def add(self, bundle: Resource) -> None:
        """Give every resource of a Bundle its `text`, directly after `meta`; a `text` that is there is replaced.

        Sections that only refer to resources get one too, where they have none.
        """
        entries = bundle.get("entry")
        if type(entries) is not list:
            return
        wording = Wording(self._labels, bundle)
        resources = [entry.get("resource") for entry in entries if type(entry) is dict]
        told = [r for r in resources if type(r) is dict and r.get("resourceType") not in WITHOUT]
        divs = [self._div(resource, wording) for resource in told]
        textless = [s for r in told if "section" in r for s in _textless(r)]
        divs += [self._section(s, wording) for s in textless]
        if not _is_xml("".join(divs)):
            divs = [_NOT_XML.sub("\ufffd", div) for div in divs]
        for resource, div in zip((*told, *textless), divs, strict=True):
            _place(resource, {"status": "generated", "div": div})

    def _div(self, resource: Resource, wording: Wording) -> str:
        kind = resource.get("resourceType")
        if type(kind) is str and kind in VALUES:
            try:
                values = VALUES[kind](resource, wording)
                values["id"] = resource.get("id", "")
                return self._templates[kind](values)
            except (AttributeError, TypeError, KeyError):
                pass  # an element is not what it should be; the profiles will say which
        return self._templates[OTHER](anything(resource, wording))

    def _section(self, one: Resource, wording: Wording) -> str:
        try:
            return self._templates[SECTION](section(one, wording))
        except (AttributeError, TypeError, KeyError):
            return self._templates[OTHER](anything(one, wording))


def _textless(resource: Resource) -> list[Resource]:
    """The sections without a text of their own: it says what they refer to. A text that is there is content."""
    found = resource.get("section")
    return (
        [s for s in found if type(s) is dict and "text" not in s and ("entry" in s or "section" in s)]
        if type(found) is list
        else []
    )


def template_environment(folder: Path) -> Environment:
    """jinja2 as we use it: templates of this folder only, values escaped, unknown variables an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)


def _compiled(environment: Environment, name: str) -> Render:
    assert environment.loader is not None
    source, file, _ = environment.loader.get_source(environment, name)
    return compiled(environment.parse(source, name), f"<narrative {file}>")


def _is_xml(text: str) -> bool:
    """Whether XML can hold all of this text; False also for some that it can hold."""
    if any(map(text.__contains__, _CONTROLS)):
        return False
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        seen = text.encode("utf-8", "surrogatepass")
        return not any(map(seen.__contains__, _SUSPECT))
    return True


def _place(resource: Resource, text: dict[str, str]) -> None:
    """Set `text`; a resource without one gets it after `meta` (a section after `code`), and all is put in again."""
    if "text" in resource:
        resource["text"] = text
        return
    old = resource.copy()
    resource.clear()
    for key in _BEFORE if "resourceType" in old else _BEFORE_IN_SECTIONS:
        if key in old:
            resource[key] = old[key]
    resource["text"] = text
    resource.update(old)
