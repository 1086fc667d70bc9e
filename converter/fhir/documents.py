"""A message as a FHIR document: the Composition first, behind it what it refers to, and no envelope.

What becomes of which message stands in `mappings/fhir/documents/*.yaml`; nothing here knows a type of letter.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.errors import MappingError
from converter.fhir.bundle import Resource, index, resolve
from converter.issues import Issue, Severity, declare
from converter.yamlfile import Map, Seq, Str, fault, load

BAD_DOCUMENT = declare(
    "LNT070",
    "document-form",
    Severity.ERROR,
    "{problem}",
    why="The message could not be turned into a document.",
    help="A file of fhir/documents has `document`, `of`, `profile`, `focus`, `without` and `nest`.",
)
NO_DOCUMENT = declare(
    "MAP008",
    "no-document",
    Severity.ERROR,
    "not made into a document: {problem}",
    why="A FHIR document begins with a Composition, and a file of mappings/fhir/documents must say how it is made.",
    help="Convert without --to-document; discharge letters are the messages that can become documents today.",
)
LEFT_OUT = declare(
    "MAP009",
    "document-leaves-out",
    Severity.WARNING,
    "the document leaves out {number} {type}, to which its Composition does not lead",
    why="A document holds only what its Composition refers to; the message holds it.",
    help="Send or keep the message beside the document if this matters.",
)
FOLDER = Path("fhir") / "documents"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://medcom-fhir.org/ids/document")
_KEYS = ("document", "of", "profile", "focus", "without", "nest")


@dataclass(frozen=True, slots=True)
class Plan:
    """How messages of one Bundle profile become documents.

    `focus` is the element of the first entry that refers to the Composition; resources of the types `without` are left
    out; sections whose code is one of `nest` and that stand several times become parts of one section.
    """

    name: str
    of: str
    profile: str
    focus: str
    without: frozenset[str]
    nest: frozenset[str]


@dataclass(slots=True)
class Made:
    """A document, where the values of the message went (by the beginnings of their pointers), and what was left out."""

    bundle: Resource
    moves: dict[str, str]
    left_out: list[str]

    def moved(self, pointer: str) -> str:
        """The place in the document of a value of the message; empty for what was left out."""
        for start in sorted(self.moves, key=len, reverse=True):
            if pointer == start or pointer.startswith(start + "/"):
                return self.moves[start] + pointer[len(start) :]
        return ""


class Documents:
    """All plans of a folder of mapping files."""

    def __init__(self, plans: list[Plan]) -> None:
        self.plans = plans

    @classmethod
    def load(cls, folder: Path) -> Documents:
        """Load `fhir/documents/*.yaml`. Raises `MappingError` with all faults."""
        faults: list[Issue] = []
        plans: list[Plan] = []
        for path in sorted((folder / FOLDER).glob("*.yaml")):
            try:
                plans.append(_plan(load(path, name=path.relative_to(folder).as_posix())))
            except MappingError as error:
                faults.extend(error.issues)
        if faults:
            raise MappingError("documents do not load", faults)
        return cls(plans)

    def plan(self, bundle: Mapping[str, Any]) -> Plan | None:
        """The plan for a message, by the profiles that its Bundle names."""
        meta = bundle.get("meta")
        named = meta.get("profile") if isinstance(meta, dict) else None
        bare = {str(url).partition("|")[0] for url in named} if isinstance(named, list) else set()
        return next((plan for plan in self.plans if plan.of in bare), None)


def _plan(file: Map) -> Plan:
    lists = [file.get(key) for key in ("without", "nest")]
    texts = [file.get(key) for key in ("document", "of", "profile", "focus")]
    if set(file) != set(_KEYS) or not all(isinstance(t, Str) for t in texts):
        problem = f"exactly these keys are needed: {', '.join(_KEYS)}"
        raise MappingError(problem, [fault(BAD_DOCUMENT, file, problem=problem)])
    if not all(isinstance(one, Seq) for one in lists):
        problem = "`without` and `nest` are lists"
        raise MappingError(problem, [fault(BAD_DOCUMENT, file, problem=problem)])
    without, nest = (frozenset(map(str, one or ())) for one in lists)
    name, of, profile, focus = map(str, texts)
    return Plan(name, of, profile, focus, without, nest)


def document(message: Resource, plan: Plan) -> Made | None:
    """The document of a message Bundle, without the texts of new sections; None if no Composition is in its focus.

    The parts of the message are used, not copied. Ids follow from the message's, so that it gives one document.
    """
    indexed = index(message)
    entries = [e for e in message.get("entry") or () if isinstance(e, dict) and isinstance(e.get("resource"), dict)]
    composition = _focus(entries[0]["resource"], plan.focus, indexed) if entries else None
    if composition is None or composition.get("resourceType") != "Composition":
        return None
    led_to = _led_to(composition, indexed, plan.without)
    chosen = [e for e in entries if id(e["resource"]) in led_to and e["resource"] is not composition]
    chosen = [e for e in entries if e["resource"] is composition][:1] + chosen
    places = {id(e): n for n, e in enumerate(message["entry"])}
    moves = {f"/entry/{places[id(e)]}": f"/entry/{n}" for n, e in enumerate(chosen)}
    start = f"/entry/{places[id(chosen[0])]}/resource"
    told = {**composition, **_identified(message, moves)}
    if isinstance(composition.get("section"), list):
        told["section"] = _nested(composition["section"], plan.nest, start, moves)
    made = str(uuid.uuid5(_NAMESPACE, str(message.get("id", ""))))
    bundle: Resource = {
        "resourceType": "Bundle",
        "id": made,
        "meta": {"profile": [plan.profile]},
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{made}"},
        "type": "document",
        **({"timestamp": message["timestamp"]} if "timestamp" in message else {}),
        "entry": [{**chosen[0], "resource": told}, *chosen[1:]],
    }
    moves["/timestamp"] = "/timestamp"
    known = {id(e) for e in chosen}
    others = [e["resource"] for e in entries if id(e) not in known]
    return Made(bundle, moves, sorted(str(r["resourceType"]) for r in others if r["resourceType"] not in plan.without))


def _focus(header: Resource, path: str, indexed: Mapping[str, Resource]) -> Resource | None:
    value = header.get(path)
    first = value[0] if isinstance(value, list) and value else value
    return resolve(indexed, first) if isinstance(first, dict) else None


def _led_to(composition: Resource, indexed: Mapping[str, Resource], without: frozenset[str]) -> set[int]:
    """The identities of all resources that references lead to from the Composition, over any number of steps."""
    found, waiting = {id(composition)}, [composition]
    while waiting:
        for reference in _references(waiting.pop()):
            target = resolve(indexed, reference)
            if target is not None and id(target) not in found and target.get("resourceType") not in without:
                found.add(id(target))
                waiting.append(target)
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)


def _identified(message: Resource, moves: dict[str, str]) -> Resource:
    """What identified the message identifies its text: a document Bundle has an identifier of its own."""
    if "identifier" not in message:
        return {}
    moves["/identifier"] = "/entry/0/resource/identifier"
    return {"identifier": message["identifier"]}


def _nested(sections: list[Any], nest: frozenset[str], start: str, moves: dict[str, str]) -> list[Any]:
    """The sections, those that stand several times as parts of one. Their text is not repeated above them."""
    several: dict[str, list[int]] = {}
    for number, section in enumerate(sections):
        several.setdefault(_code(section), []).append(number)
    result: list[Any] = []
    for number, section in enumerate(sections):
        together = several[_code(section)]
        code = _code(section)
        if code not in nest or len(together) == 1:
            result.append(section)
            moves[f"{start}/section/{number}"] = f"/entry/0/resource/section/{len(result) - 1}"
        elif number == together[0]:
            parts = [{**sections[n], "title": f"{sections[n].get('title', '')} {i}"} for i, n in enumerate(together, 1)]
            result.append({key: section[key] for key in ("title", "code") if key in section} | {"section": parts})
            place = f"/entry/0/resource/section/{len(result) - 1}/section"
            moves.update({f"{start}/section/{n}": f"{place}/{i}" for i, n in enumerate(together)})
    return result


def _code(section: Any) -> str:
    code = section.get("code") if isinstance(section, dict) else None
    codings = code.get("coding") if isinstance(code, dict) else None
    first = codings[0] if isinstance(codings, list) and codings else None
    return str(first.get("code", "")) if isinstance(first, dict) else ""
