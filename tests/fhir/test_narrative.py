"""Narratives: every obliged element is represented, by templates that only show, in the place where `text` belongs."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jinja2 import ChainableUndefined, Undefined
from markupsafe import Markup

from converter.errors import ConverterError
from converter.fhir import rendering
from converter.fhir.bundle import leaves, write_json
from converter.fhir.narrative import FOLDER, SECTION, SUFFIX, Narratives, template_environment
from converter.fhir.wording import FILTERS, IN_LINE, LABELLED, Labels, Wording, by_url, tables
from tests.fhir.narrative_samples import MESSAGE_HEADER, NAMES, OBLIGED, SAMPLES, everything, missing, seen, told


@pytest.fixture(scope="module")
def narratives() -> Narratives:
    return Narratives.load()


def by_jinja(source: str, resource: dict[str, Any], bundle: dict[str, Any]) -> str:
    """What jinja2 itself makes of a template: an independent reading of it. Absent elements say nothing there, too."""
    labels = Labels(json.loads((FOLDER / "labels.json").read_text(encoding="utf-8")))
    wording = Wording(labels, bundle)

    def markup(said: Any) -> Any:
        if isinstance(said, str):
            return Markup(said)
        return [tuple(map(markup, item)) if isinstance(item, tuple) else item for item in said]

    def asked(filter_: Callable[..., Any]) -> Callable[..., Any]:
        return lambda value, *rest: "" if isinstance(value, Undefined) else markup(filter_(value, *rest))

    def looked_up(table: Callable[..., Any]) -> Callable[..., Any]:
        return lambda value, *rest: table(*rest)[0].get(value) or (table(*rest)[1] or (lambda _: ""))(value)

    def extension(found: list[Any], url: str) -> str:
        return "".join([wording.value(extension) for extension in found if extension["url"] == url])

    environment = template_environment(FOLDER)
    environment.undefined = ChainableUndefined
    methods = {name: getattr(wording, name) for name in vars(Wording) if not name.startswith("_")}
    filters = FILTERS | methods | {name: looked_up(table) for name, table in tables(labels).items()}
    filters["extension"] = extension
    environment.filters |= {name: asked(f) for name, f in filters.items() if callable(f)}
    environment.filters["lines"] = lambda text: Markup("<br/>").join(re.split("\r\n|\r|\n", str(text)))
    return environment.from_string(source).render(resource=resource)


# Obligations


@pytest.mark.parametrize("kind", NAMES)
def test_every_obliged_element_is_represented(narratives: Narratives, kind: str) -> None:
    bundle = everything()
    narratives.add(bundle)
    text = told(bundle)[kind]["text"]
    assert text["status"] == "generated"
    assert missing(kind, seen(text["div"])) == []


def expressions() -> Iterator[tuple[str, int, str]]:
    for kind in NAMES:
        source = (FOLDER / (kind + SUFFIX)).read_text(encoding="utf-8")
        for number, match in enumerate(re.finditer(r"\{\{.*?\}\}", source)):
            yield kind, number, match[0]


@pytest.mark.parametrize(
    ("kind", "number"), [e[:2] for e in expressions()], ids=[f"{e[0]} {e[2]}" for e in expressions()]
)
def test_negative_control_a_template_that_leaves_one_thing_out_is_caught(
    narratives: Narratives, kind: str, number: int
) -> None:
    source = (FOLDER / (kind + SUFFIX)).read_text(encoding="utf-8")
    match = list(re.finditer(r"\{\{.*?\}\}", source))[number]
    bundle = everything()
    spoilt = by_jinja(source[: match.start()] + source[match.end() :], told(bundle)[kind], bundle)
    assert missing(kind, seen(spoilt))


def obligations(folder: Path) -> dict[str, str]:
    """Element ids that a package of profiles wants in narratives, each with its resource type."""
    found = {}
    for path in folder.rglob("StructureDefinition-*.json"):
        definition = json.loads(path.read_text(encoding="utf-8"))
        if definition["type"] not in SAMPLES or "snapshot" not in definition:
            continue
        for element in definition["snapshot"]["element"]:
            codes = [
                part.get("valueCode")
                for extension in element.get("extension", ())
                if extension["url"].endswith("/obligation")
                for part in extension.get("extension", ())
            ]
            if "SHALL:in-narrative" in codes:
                found[element["id"]] = definition["type"]
    return found


@pytest.mark.parametrize(
    "package", ["medcom.fhir.dk.carecommunication#5.0.2", "medcom.fhir.dk.core#3.0.1", "medcom.fhir.dk.messaging#4.0.2"]
)
def test_the_obligations_of_the_packages_are_those_tested_here(shared: Path, package: str) -> None:
    wanted = obligations(shared / "fhir" / "packages" / package)
    assert len(wanted) > 10
    assert {element for element, kind in wanted.items() if element not in OBLIGED[kind]} == set()


def test_what_is_tested_here_is_no_more_than_the_packages_oblige(shared: Path) -> None:
    wanted: dict[str, str] = {}
    for package in ("carecommunication#5.0.2", "core#3.0.1", "messaging#4.0.2"):
        wanted |= obligations(shared / "fhir" / "packages" / f"medcom.fhir.dk.{package}")
    assert {element for kind in OBLIGED if kind != "other" for element in OBLIGED[kind]} == set(wanted)


# Templates


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*" + SUFFIX)), ids=lambda path: path.name)
def test_templates_only_loop_ask_and_show(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert set(re.findall(r"\{%-?\s*(\w+)", source)) <= {"if", "endif", "for", "endfor"}
    elements = set(re.findall(r'(?:code|label)\("([^"]+)"\)', source))
    assert elements <= LABELLED
    # What an `if` asks is what it shows, so that nothing else is asked in vain.
    for asked, shown in re.findall(r"\{%- if (.*?) %\}[^{]*\{\{ (.*?) \}\}", source):
        assert asked == shown


@pytest.mark.parametrize("kind", NAMES)
def test_the_fast_way_to_render_gives_what_jinja2_gives(narratives: Narratives, kind: str) -> None:
    bundle = everything()
    for resource in told(bundle).values():
        resource["id"] += "<&>\"'"
    narratives.add(bundle)
    resource = told(bundle)[kind]
    div = resource.pop("text")["div"]
    assert div == by_jinja((FOLDER / (kind + SUFFIX)).read_text(encoding="utf-8"), resource, bundle)
    bare = {"resourceType": kind}
    narratives.add({"entry": [{"resource": bare}]})
    div = bare.pop("text")["div"]  # type: ignore[attr-defined]
    assert div == by_jinja((FOLDER / (kind + SUFFIX)).read_text(encoding="utf-8"), bare, {})


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{{ resource.name|unheard_of }}", "there is no filter unheard_of"),
        ("{{ resource.name|_value }}", "there is no filter _value"),
        ("{{ somebody.name }}", "Name is not among"),
        ("{% if resource.name %}x{% else %}y{% endif %}", "If is not among"),
        ("{% for x in resource.name if x %}y{% endfor %}", "For is not among"),
        ("{{ resource.name + 1 }}", "Add is not among"),
        ("{% set x = 1 %}", "Assign is not among"),
        ("""{{ resource.name|join('"') }}""", "Filter is not among"),
    ],
)
def test_a_template_with_anything_else_does_not_load(source: str, problem: str) -> None:
    template = template_environment(FOLDER).parse(source)
    filters = rendering.Filters(FILTERS, tables(Labels({})), Wording, IN_LINE, by_url)
    with pytest.raises(ValueError, match=f"line 1: {problem}"):
        rendering.Telling(template, "<test>", filters)


@pytest.mark.parametrize(
    "source",
    [
        "{% if resource.a or resource.b %}{{ resource.a or resource.b }}{% endif %}",
        "{% if resource.a or resource.b %}{% if resource.c %}{{ resource.a or resource.b }}{% endif %}{% endif %}",
        "{% if resource.a and resource.c %}{{ resource.a }}{% endif %}",
        "{{ (resource.d or resource.a)|code('Encounter.status') }}",
        "{% for x in resource.list %}{{ x.a or resource.a }}{% endfor %}",
        "{% for x in resource.texts %}{{ x }}{% endfor %}",
        "{% for x in resource.texts %}{% if x %}{{ x }}{% endif %}{% endfor %}",
    ],
)
def test_a_text_is_escaped_once_wherever_it_is_asked_and_shown(source: str) -> None:
    labels = Labels(json.loads((FOLDER / "labels.json").read_text(encoding="utf-8")))
    filters = rendering.Filters(FILTERS, tables(labels), Wording, IN_LINE, by_url)
    render = rendering.Telling(template_environment(FOLDER).parse(source), "<test>", filters).render
    assert render({"a": "<&>", "c": "x", "list": [{}], "texts": ["<&>"]}, Wording(labels, {})) == "&lt;&amp;&gt;"


WRONG = (KeyError, TypeError, AttributeError)
ODD: list[Any] = ["", "name", 7, None, [], {}, ["item"], [{}], {"reference": "x"}, {"coding": [{"code": "c"}]}]


def straight(kind: str, *without: str) -> tuple[rendering.Telling, dict[str, Any], Wording]:
    """What tells of a kind of resource, with a resource and its Bundle that it has seen several times."""
    labels = Labels(json.loads((FOLDER / "labels.json").read_text(encoding="utf-8")))
    bundle = everything()
    wording = Wording(labels, bundle)
    filters = rendering.Filters(FILTERS, tables(labels), Wording, IN_LINE, by_url)
    template = template_environment(FOLDER).parse((FOLDER / (kind + SUFFIX)).read_text(encoding="utf-8"))
    telling = rendering.Telling(template, f"<test {kind}>", filters)
    resource = {key: value for key, value in told(bundle)[kind].items() if key not in without} | {"meta": {}}
    for _ in range(3):
        telling.by_size[len(resource)](resource, wording)
    return telling, resource, wording


def assert_same(telling: rendering.Telling, resource: dict[str, Any], wording: Wording) -> None:
    """The straight function says the same as the other, or says that it does not know."""
    try:
        said = telling.by_size[len(resource)](resource, wording)
    except WRONG:
        return
    assert said == telling.render(resource, wording)


def odd(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Variants of a resource: with another property in the place of one, or another value."""
    yield resource
    for key, value in resource.items():
        if key != "resourceType":
            others = {k: v for k, v in resource.items() if k != key}
            yield from (
                {**others, other: "x"} for other in ("name", "identifier", "unheardOf") if other not in resource
            )
            yield from ({**resource, key: other} for other in ODD)
            if isinstance(value, list):
                yield from ({**resource, key: [other]} for other in ODD)


@pytest.mark.parametrize("kind", [kind for kind in NAMES if kind != "other"])
def test_a_usual_resource_is_told_straight_and_the_same(kind: str) -> None:
    telling, resource, wording = straight(kind)
    assert "properties" in telling.by_size[len(resource)].__code__.co_filename  # type: ignore[attr-defined]
    for variant in odd(resource):
        assert_same(telling, variant, wording)


def test_negative_control_a_property_that_is_not_missed_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(rendering._Straight):
        def head(self) -> list[str]:
            self._missed = {*self._keys}
            return super().head()

    for printer, passes in ((rendering._Straight, True), (Careless, False)):
        monkeypatch.setattr(rendering, "_Straight", printer)
        telling, resource, wording = straight("Organization", "name")
        variant = {key: value for key, value in resource.items() if key != "meta"} | {"name": "n"}
        same = telling.by_size[len(variant)](variant, wording) == telling.render(variant, wording)
        assert same is passes


def test_every_file_of_the_folder_is_used() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {kind + SUFFIX for kind in (*NAMES, SECTION)} | {"labels.json"}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("Patient.xhtml.j2", None),
        ("Patient.xhtml.j2", "{{ x"),
        ("labels.json", "{}"),
        ("labels.json", "x"),
        ("labels.json", None),
    ],
)
def test_a_folder_that_does_not_load_says_so(tmp_path: Path, file: str, content: str | None) -> None:
    for path in FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    Narratives.load(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(ConverterError, match="do not load"):
        Narratives.load(tmp_path)


def test_a_template_is_compiled_when_something_is_told_by_it(tmp_path: Path) -> None:
    for path in FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / f"Patient{SUFFIX}").write_text("{{ x")
    narratives = Narratives.load(tmp_path, lazily=True)
    narratives.add({"entry": [{"resource": {"resourceType": "Organization", "id": "o"}}]})
    with pytest.raises(ConverterError, match="do not load"):
        narratives.add({"entry": [{"resource": {"resourceType": "Patient", "id": "p"}}]})


# Where narratives stand


def test_text_stands_after_meta_and_replaces_what_was_there(narratives: Narratives) -> None:
    bundle = everything()
    narratives.add(bundle)
    header = bundle["entry"][0]["resource"]
    assert list(header)[:5] == ["resourceType", "id", "meta", "text", "eventCoding"]
    assert {k: v for k, v in header.items() if k != "text"} == MESSAGE_HEADER
    patient = told(bundle)["Patient"]
    assert list(patient)[:3] == ["resourceType", "id", "text"]
    header["text"] = {"status": "empty", "div": "<div/>"}
    before = write_json(bundle).replace(b"code-event", b"")
    narratives.add(bundle)
    assert list(header)[3] == "text"
    assert header["text"]["status"] == "generated"
    assert write_json(bundle) != before


def test_the_same_bundle_gives_the_same_bytes(narratives: Narratives) -> None:
    first, second = everything(), everything()
    narratives.add(first)
    Narratives.load().add(second)
    assert write_json(first) == write_json(second)
    narratives.add(first)
    assert write_json(first) == write_json(second)


@pytest.mark.parametrize("kind", ["Binary", "Parameters", "Bundle"])
def test_resources_that_cannot_have_a_narrative_get_none(narratives: Narratives, kind: str) -> None:
    resource = {"resourceType": kind, "id": "x"}
    narratives.add({"resourceType": "Bundle", "entry": [{"resource": resource}]})
    assert "text" not in resource


# Third-party examples


def test_official_examples_are_told(narratives: Narratives, shared: Path) -> None:
    paths = sorted((shared / "fhir" / "examples" / "carecommunication-5.0.2").glob("Bundle-*.json"))
    assert len(paths) == 8
    for path in paths:
        bundle = json.loads(path.read_text(encoding="utf-8"))
        narratives.add(bundle)
        for kind, resource in told(bundle).items():
            text = seen(resource["text"]["div"])
            assert resource["id"] in text
            assert "resource." not in text, f"{path.name}: {kind} fell back on the general template"
            for payload in resource.get("payload", ()):
                assert payload.get("contentString", "").replace("\r\n", "\n") in text
            for identifier in resource.get("identifier", ()) if kind in ("Patient", "Organization") else ():
                assert identifier["value"] in text


def test_the_text_of_a_section_is_content_and_stays(narratives: Narratives) -> None:
    bundle = everything()
    sections = copy.deepcopy(told(bundle)["Composition"]["section"])
    narratives.add(bundle)
    assert told(bundle)["Composition"]["section"] == sections
    natures = {
        pointer: by_nature for pointer, _, by_nature in leaves({"entry": [{"resource": told(bundle)["Composition"]}]})
    }
    assert natures["/entry/0/resource/text/div"]
    assert not natures["/entry/0/resource/section/0/text/div"]


def test_a_section_that_only_refers_tells_what_it_refers_to(narratives: Narratives) -> None:
    bundle = everything()
    composition = told(bundle)["Composition"]
    entry = [{"reference": "Procedure/id-procedure"}, {"reference": "DocumentReference/id-document"}]
    composition["section"].append({"title": "Tredje afsnit", "code": {"text": "c"}, "entry": entry})
    narratives.add(bundle)
    section = composition["section"][2]
    assert list(section) == ["title", "code", "text", "entry"]
    text = seen(section["text"]["div"])
    assert "code-procedure-role: Indgrebstekst, 25-12-2038" in text
    assert "Bilagets beskrivelse, https://file.example, Eftersendes på papir: på papir" in text
