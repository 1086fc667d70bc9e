"""Making FHIR definitions of a guide in source form: StructureDefinitions with snapshots, code systems, value sets.

Names are resolved here, and every line is applied to the parent's elements, so that a line that widens its parent or
names something unknown is found at its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from converter.errors import ProfileError
from converter.fhir.expressions import parse
from converter.fhir.guides import CARDINALITY, WRONG_VALUE, Guide, Reader
from converter.fhir.packages import Closure, read_dependencies
from converter.fhir.snapshot import Definition, Element, Refused, Snapshot
from converter.issues import IssueLog, Severity, declare
from converter.yamlfile import Map, Seq, Str, load, place

UNKNOWN_NAME = declare(
    "LNT212",
    "profile-source-name",
    Severity.ERROR,
    "{what} {name!r} is neither in this folder nor in the packages of the guide",
    why="A profile that names something unknown cannot be checked.",
    help="Correct the name, or add the package that defines it to `dependencies`.",
)
NOT_NARROWER = declare(
    "LNT213",
    "profile-not-narrower",
    Severity.ERROR,
    "{element} {reason}",
    why="A profile may only narrow its parent: a message that meets the profile must meet the parent too.",
    help="Compare with the parent's element.",
    source="FHIR R4, Profiling",
)
EXPRESSION = declare(
    "LNT214",
    "profile-expression",
    Severity.ERROR,
    "the expression of {key} is not FHIRPath",
    why="The rule could never be evaluated.",
    help="Correct the expression.",
)

_INTEGERS = ("integer", "positiveInt", "unsignedInt")


def draft_closure(guide: Guide, packages: Path) -> Closure:
    """The guide with its dependencies of the folder `packages`, its own definitions made from their source form.

    Raises ProfileError if a package is missing, MappingError with the faults of the sources.
    """
    closure = read_dependencies(guide.name, str(guide.facts["licence"]), guide.dependencies, packages)
    wanted = [f"{n}#{v}" for n, v in guide.dependencies.items()]
    missing = [name for name in wanted if name in closure.missing]
    if missing:
        raise ProfileError(
            f"{guide.name} builds on {', '.join(missing)}, which the folder {packages} does not hold; "
            "name the folder of FHIR packages with --packages"
        )
    builder = _Builder(guide, closure)
    closure.include(builder.build())
    return closure


class _Builder:
    """Makes definitions of the sources of a guide."""

    def __init__(self, guide: Guide, closure: Closure) -> None:
        self.guide = guide
        self.closure = closure
        self.log = IssueLog()
        self.made: dict[str, Definition] = {}
        self._making: list[str] = []
        self._by_name = {d["id"]: d["url"] for d in closure.of_kind("StructureDefinition")}

    def build(self) -> list[Definition]:
        """All definitions, sorted by URL."""
        makers: list[tuple[str, Callable[[Str, Map], Definition]]] = [
            ("codesystems", self._code_system),
            ("valuesets", self._value_set),
            ("conceptmaps", self._concept_map),
        ]
        for kind, make in makers:
            for name, form in self.guide.sources[kind].items():
                self._keep(make(name, form))
        for name, form in self.guide.sources["codesystems"].items():
            if name not in self.guide.sources["valuesets"]:
                self._keep(self._whole_system(name, form))
        for kind in ("extensions", "profiles"):
            for name in self.guide.sources[kind]:
                self._structure(name)
        Reader(self.log).stop(f"the profiles of {self.guide.folder} do not compile")
        return [self.made[url] for url in sorted(self.made)]

    def _keep(self, definition: Definition) -> Definition:
        self.made[definition["url"]] = definition
        return definition

    # -- names ---------------------------------------------------------------------------------------------------

    def find(self, canonical: str) -> Definition | None:
        """A definition with its snapshot: our own (made when first asked for), else one of the packages."""
        base = self.guide.url("StructureDefinition", "")
        if canonical in self.made:
            return self.made[canonical]
        if canonical.startswith(base) and self._source(canonical[len(base) :]):
            return self._structure(canonical[len(base) :])
        return self.closure.find(canonical)

    def line(self, canonical: str) -> list[str]:
        """The URLs of a profile and of those that it is derived from."""
        found: list[str] = []
        base = self.guide.url("StructureDefinition", "")
        while canonical and canonical not in found:
            found.append(canonical.partition("|")[0])
            source = self._source(canonical[len(base) :]) if canonical.startswith(base) else None
            definition = None if source else self.closure.find(canonical)
            canonical = str(definition.get("baseDefinition", "")) if definition else ""
            if source and "parent" in source[2]:
                canonical = self._canonical(source[2]["parent"], "the parent")
        return found

    def _source(self, name: str) -> tuple[str, Str, Map] | None:
        for kind in ("profiles", "extensions"):
            for have, form in self.guide.sources[kind].items():
                if have == name:
                    return kind, have, form
        return None

    def _canonical(self, name: Str, what: str) -> str:
        """The URL of a profile or extension that the sources name by id (or by URL)."""
        source = self._source(name)
        if source:
            return str(source[2].get("url", self.guide.url("StructureDefinition", name)))
        url = self._by_name.get(name, name)
        if self.closure.find(url) is None:
            self.log.add(UNKNOWN_NAME, place(name), what=what, name=str(name))
        return str(url)

    def _system(self, name: Str) -> str:
        """The URL of a code system: of ours by name, of others by URL."""
        if name in self.guide.sources["codesystems"]:
            return self.guide.url("CodeSystem", name)
        if ":" not in name:
            self.log.add(UNKNOWN_NAME, place(name), what="the code system", name=str(name))
        return str(name)

    def _codes(self, name: Str) -> str:
        """The URL of a value set: of ours by name, of a whole code system by its name, of others by URL or id."""
        if name in self.guide.sources["valuesets"] or name in self.guide.sources["codesystems"]:
            return self.guide.url("ValueSet", name)
        found = self.closure.find(name) or next((d for d in self.closure.of_kind("ValueSet") if d["id"] == name), None)
        if found is None:
            self.log.add(UNKNOWN_NAME, place(name), what="the value set", name=str(name))
            return str(name)
        return str(found["url"])

    # -- definitions ---------------------------------------------------------------------------------------------

    def _head(self, kind: str, name: Str, form: Map) -> Definition:
        facts = self.guide.facts
        head = {
            "resourceType": kind,
            "id": str(name),
            "url": str(form.get("url", self.guide.url(kind, name))),
            "version": str(facts["version"]),
            "name": "".join(part.capitalize() for part in re.split(r"[-.]", name)),
            "title": str(form.get("title", name)),
            "status": "draft",
            "date": str(facts["date"]),
            "publisher": str(facts.get("publisher", facts["guide"])),
        }
        if "description" in form:
            head["description"] = str(form["description"])
        return head

    def _code_system(self, name: Str, form: Map) -> Definition:
        head = {**self._head("CodeSystem", name, form), "caseSensitive": True}
        if "content" in form:
            return {**head, "content": str(form["content"])}
        codes = form.get("codes") or self._codes_of_letters(form)
        concepts = [{"code": str(c), **({"display": str(d)} if d else {})} for c, d in codes.items()]
        return {**head, "content": "complete", "count": len(concepts), "concept": concepts}

    def _codes_of_letters(self, form: Map) -> dict[str, str]:
        """Codes that stand in a code table of the letter definitions (`FILE#TABLE`), so that they stand once."""
        file, _, table = form["codes_from"].partition("#")
        path = self.guide.folder.parent.parent / file
        rows = load(path).get(table) if path.is_file() else None
        if not isinstance(rows, Map):
            self.log.add(UNKNOWN_NAME, place(form["codes_from"]), what="the code table", name=str(form["codes_from"]))
            return {}
        # MedCom's schemas have a code with a blank at its end, which no FHIR code may have.
        return {code.strip(): "" for code in rows if not code.startswith("$")}

    def _value_set(self, name: Str, form: Map) -> Definition:
        include = []
        for part in form["include"]:
            made: dict[str, Any] = {}
            if "system" in part:
                made["system"] = self._system(part["system"])
            if "codes" in part:
                made["concept"] = [{"code": str(c)} for c in part["codes"]]
            if "valueset" in part:
                made["valueSet"] = [self._codes(part["valueset"])]
            include.append(made)
        return {**self._head("ValueSet", name, form), "compose": {"include": include}}

    def _whole_system(self, name: Str, form: Map) -> Definition:
        """Every code system of ours has a value set of the same name: all its codes."""
        head = self._head("ValueSet", name, form)
        return {**head, "compose": {"include": [{"system": self.guide.url("CodeSystem", name)}]}}

    def _concept_map(self, name: Str, form: Map) -> Definition:
        rows = []
        for code, targets in form["map"].items():
            rows.append({"code": str(code), "target": [self._concept_target(t, form) for t in targets]})
        group = {"source": self._system(form["source"]), "target": str(form["target"]), "element": rows}
        return {**self._head("ConceptMap", name, form), "group": [group]}

    def _concept_target(self, target: Map, form: Map) -> dict[str, Any]:
        made: dict[str, Any] = {"code": str(target["to"]), "equivalence": str(target.get("equivalence", "equivalent"))}
        if "when" in target:
            element, system = (str(form["depends_on"][key]) for key in ("property", "system"))
            made["dependsOn"] = [{"property": element, "system": system, "value": str(target["when"])}]
        return made

    def _structure(self, name: str) -> Definition | None:
        """A profile or an extension; None if it could not be made (the fault is in the log)."""
        source = self._source(name)
        assert source
        kind, key, form = source
        url = str(form.get("url", self.guide.url("StructureDefinition", name)))
        if url in self.made:
            return self.made[url]
        if name in self._making:
            self.log.add(WRONG_VALUE, place(key), what=f"the parent of {name}", expected="another profile")
            return None
        self._making.append(name)
        parent_name = form.get("parent", Str("Extension", place(key)))
        parent = self.find(self._canonical(parent_name, "the parent"))
        if parent is not None:
            changes = _Changes(self, parent, form, url, kind)
            self._keep(
                {
                    **self._head("StructureDefinition", key, form),
                    "fhirVersion": "4.0.1",
                    "kind": parent["kind"],
                    "abstract": form.get("abstract") == "yes",
                    **(
                        {"context": [{"type": "element", "expression": str(c)} for c in form["context"]]}
                        if "context" in form
                        else {}
                    ),
                    "type": parent["type"],
                    "baseDefinition": parent["url"],
                    "derivation": "constraint",
                    "snapshot": {"element": changes.snapshot.elements},
                    "differential": {"element": changes.differential()},
                }
            )
        self._making.pop()
        return self.made.get(url)


class _Changes:
    """The differential of one profile, applied line by line so that each line knows the types of its element."""

    def __init__(self, builder: _Builder, parent: Definition, form: Map, url: str, kind: str) -> None:
        self.builder = builder
        self.log = builder.log
        self.url = url
        self.type = parent["type"]
        self.snapshot = Snapshot(parent, builder.find, builder.line)
        self.lines: dict[str, Element] = {}
        root = {"short": str(form["title"])} if "title" in form else {}
        self._line(self.type, root, place(form))
        if kind == "extensions":
            self._extension(form)
        else:
            self._below(self.type, form)
            self._invariants(form)

    def differential(self) -> list[Element]:
        """The lines in the order of the snapshot."""
        order = self.snapshot.order()
        return [self.lines[key] for key in sorted((k for k in self.lines if k in order), key=order.__getitem__)]

    def _line(self, name: str, change: Element, at: Any) -> None:
        """Apply a change to an element and keep it for the differential; a fault goes to the log."""
        path = ".".join(part.partition(":")[0] for part in name.split("."))
        line = {"id": name, "path": path, **change}
        try:
            self.snapshot.apply(line)
        except Refused as refused:
            self.log.add(NOT_NARROWER, at, element=refused.element, reason=refused.reason)
            return
        known = self.lines.setdefault(name, line)
        if known is not line:
            rules = [*known.get("constraint", ()), *line.get("constraint", ())]
            known.update(line)
            if rules:
                known["constraint"] = rules

    def _below(self, name: str, form: Map) -> None:
        """The extensions and elements under an element."""
        if form.get("extensions"):
            self._extensions(name, form["extensions"])
        for path, below in form.get("elements", Map()).items():
            self._element(f"{name}.{path}", path, below)

    def _extensions(self, name: str, entries: Map) -> None:
        self._sliced(f"{name}.extension", [{"type": "value", "path": "url"}], "open", place(entries))
        for short, form in entries.items():
            url = self.builder._canonical(short, "the extension")
            change = {"sliceName": str(short), **self._cardinality(form)}
            self._line(
                f"{name}.extension:{short}",
                {**change, "type": [{"code": "Extension", "profile": [url]}]},
                place(short),
            )
            if isinstance(form, Map):
                self._below(f"{name}.extension:{short}", form)

    def _sliced(self, name: str, by: list[dict[str, str]], rules: str, at: Any) -> None:
        """Declare a slicing unless the parent has one already."""
        try:
            known = "slicing" in self.snapshot.element(name)
        except Refused as refused:
            self.log.add(NOT_NARROWER, at, element=refused.element, reason=refused.reason)
            return
        if not known:
            self._line(name, {"slicing": {"discriminator": by, "ordered": False, "rules": rules}}, at)

    def _element(self, name: str, key: Str, form: Any, slice_name: str = "") -> None:
        change: Element = {"sliceName": slice_name} if slice_name else {}
        change.update(self._cardinality(form))
        if isinstance(form, Map):
            if "short" in form:
                change["short"] = str(form["short"])
            if "length" in form:
                change["maxLength"] = int(form["length"])
            self._types(name, form, change)
            if "binding" in form:
                strength = str(form.get("strength", "required"))
                change["binding"] = {"strength": strength, "valueSet": self.builder._codes(form["binding"])}
            if "slicing" in form:
                by = [{"type": str(kind), "path": str(path)} for kind, path in form["slicing"].items()]
                rules = "closed" if form.get("closed") == "yes" else "open"
                change["slicing"] = {"discriminator": by, "ordered": False, "rules": rules}
        self._line(name, change, place(key))
        if isinstance(form, Map):
            self._values(name, form)
            self._below(name, form)
            for short, part in form.get("slices", Map()).items():
                self._element(f"{name}:{short}", short, part, str(short))

    def _cardinality(self, form: Any) -> Element:
        text = form.get("cardinality") if isinstance(form, Map) else form
        found = CARDINALITY.match(text) if text else None
        return {"min": int(found[1]), "max": found[2]} if found else {}

    def _types(self, name: str, form: Map, change: Element) -> None:
        """`type`, `profile`, `targets` and `aggregation` as types of the element."""
        if not any(key in form for key in ("type", "profile", "targets")):
            return
        code = str(form.get("type", "Reference" if "targets" in form else ""))
        if not code:
            codes = [t["code"] for t in self._element_of(name).get("type", ())]
            code = codes[0] if len(codes) == 1 else ""
        kind: dict[str, Any] = {"code": code}
        for key, word in (("profile", "profile"), ("targets", "targetProfile")):
            if key in form:
                named = form[key] if isinstance(form[key], Seq) else [form[key]]
                kind[word] = [self.builder._canonical(n, "the profile") for n in named]
        if "aggregation" in form:
            kind["aggregation"] = [str(form["aggregation"])]
        change["type"] = [kind]

    def _element_of(self, name: str) -> Element:
        try:
            return self.snapshot.element(name)
        except Refused:
            return {}  # reported when the line is applied

    def _values(self, name: str, form: Map) -> None:
        """`fixed` and `pattern`, once the element's type is known."""
        for word in ("fixed", "pattern"):
            if word not in form:
                continue
            types = self._element_of(name).get("type", [])
            if len(types) != 1:
                self.log.add(WRONG_VALUE, place(form[word]), what=word, expected="on an element of one type")
                continue
            code = types[0]["code"].rpartition(".")[2]
            code = code[0].lower() + code[1:] if types[0]["code"].startswith("http:") else code
            value = self._plain(form[word], code)
            self._line(name, {word + code[0].upper() + code[1:]: value}, place(form[word]))

    def _plain(self, value: Any, code: str = "") -> Any:
        """A value of the source as JSON."""
        if isinstance(value, Map):
            return {str(k): self._plain(v) for k, v in value.items()}
        if isinstance(value, Seq):
            return [self._plain(v) for v in value]
        if code == "boolean":
            return value == "true"
        if isinstance(value, Str) and code in ("", "uri") and value in self.builder.guide.sources["codesystems"]:
            return self.builder.guide.url("CodeSystem", value)
        return int(value) if code in _INTEGERS else str(value)

    def _invariants(self, form: Map) -> None:
        for key, rule in form.get("invariants", Map()).items():
            try:
                parse(str(rule["expression"]))
            except ProfileError:
                self.log.add(EXPRESSION, place(rule["expression"]), key=str(key))
                continue
            made = {
                "key": str(key),
                "severity": str(rule.get("severity", "error")),
                "human": str(rule["human"]),
                "expression": " ".join(str(rule["expression"]).split()),
                "source": self.url,
            }
            at = f"{self.type}.{rule['at']}" if "at" in rule else self.type
            self._line(at, {"constraint": [made]}, place(key))

    def _extension(self, form: Map) -> None:
        """The elements of an extension: its URL and a value, or parts that are extensions themselves."""
        at = place(form)
        self._line("Extension", {"definition": str(form.get("description", form.get("title", self.url)))}, at)
        if "parts" not in form:
            self._line("Extension.extension", {"max": "0"}, at)
        else:
            self._sliced("Extension.extension", [{"type": "value", "path": "url"}], "open", at)
            for part, value in form["parts"].items():
                self._part(part, value)
        self._line("Extension.url", {"fixedUri": self.url}, at)
        if "parts" in form:
            self._line("Extension.value[x]", {"max": "0"}, at)
        else:
            self._value("Extension.value[x]", form["value"])

    def _part(self, name: Str, value: Any) -> None:
        own = f"Extension.extension:{name}"
        counts = self._cardinality(value) if isinstance(value, Map) else {}
        self._line(own, {"sliceName": str(name), "min": 0, "max": "1", **counts}, place(name))
        self._line(f"{own}.extension", {"max": "0"}, place(name))
        self._line(f"{own}.url", {"fixedUri": str(name)}, place(name))
        self._value(f"{own}.value[x]", value)

    def _value(self, name: str, value: Any) -> None:
        form = Map({"type": value}) if isinstance(value, Str) else Map(value)
        form.at = place(value)
        form["cardinality"] = Str("1..1", place(value))
        self._element(name, Str("value", place(value)), form)
