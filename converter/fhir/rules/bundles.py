"""Bundles: entries and their fullUrls, bdl-1 … bdl-12, and whether every entry can be reached from the header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from converter.fhir.elements import Site
from converter.fhir.fhirpath.reading import FAULTS
from converter.fhir.rules.invariants import listed, native, objects
from converter.fhir.rules.narrative import clean_texts
from converter.fhir.rules.primitives import FAST_NAMES, are_ids
from converter.fhir.rules.references import NOT_BUNDLED, resolve, split_url
from converter.fhir.rules.structure import has
from converter.fhir.run import Entry, Run
from converter.issues import Severity, declare

Object = dict[str, Any]

NO_URL = declare(
    "PRO047",
    "fullurl-missing",
    Severity.ERROR,
    "the entry has no fullUrl",
    why="References between entries are resolved by fullUrl; without one nothing can point here.",
    help="Give every entry an absolute fullUrl that ends in the type and id of its resource, or urn:uuid:.",
    source="FHIR R4, Bundle.entry.fullUrl",
    example='{"resource": {…}} instead of {"fullUrl": "urn:uuid:…", "resource": {…}}',
)
BAD_URL = declare(
    "PRO048",
    "fullurl-wrong",
    Severity.ERROR,
    "the fullUrl of the entry {problem}",
    why="References between entries are resolved by fullUrl; this one leads receivers astray.",
    help="Use an absolute URL that ends in the type and id of the resource, or urn:uuid:.",
    source="FHIR R4, Bundle.entry.fullUrl",
    example='"fullUrl": "Patient/1" instead of "https://example.dk/Patient/1"',
)
UNREACHABLE = declare(
    "PRO051",
    "entry-not-reachable",
    Severity.WARNING,
    "no chain of references connects this entry with the {start}",
    why="Receivers that start there never see it.",
    help="Refer to it from another resource, or leave it out.",
    source="FHIR R4, Messaging (a warning) and Documents (an error); the official validator does the same",
    example="an Organization among the entries that nothing refers to",
)

_ABSOLUTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S+\Z")
_is_name = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}\Z").match
_is_uri = FAST_NAMES["uri_match"]
SITE = Site("Bundle", "Bundle.entry.fullUrl")
MOST_BASES = 100  # bases of fullUrls that a pack remembers as sound
# Provenance points backwards, at the header: FHIR lets it belong to the message by that.
BACKWARDS = frozenset({"Provenance"})
STARTS = {"message": "MessageHeader", "document": "Composition"}
# FHIR R4, Documents: what these elements refer to shall be in the Bundle.
CARRIED = (
    ("subject",),
    ("encounter",),
    ("author",),
    ("attester", "party"),
    ("custodian",),
    ("event", "detail"),
    ("section", "author"),
    ("section", "focus"),
    ("section", "entry"),
)


# Conditions under which rules about Bundles of another type hold: see `native`.
NO_DOCUMENT = "{0}['type'] == 'message'"
NO_EXCHANGE = "x.bare and {0} is x.root and {0}['type'] == 'message'"
# Rules about an entry that a bare Bundle keeps: there is a resource, and the fullUrl has no version.
KEPT_BY_BARE = frozenset({("bdl-5", "ef3bec2b"), ("bdl-8", "864cbc39"), ("bdl-8", "19b21e43")})
# Rules that a plain Bundle keeps: each resource names a profile.
KEPT_BY_PLAIN = frozenset({("letter-message-4", "5f840f0c")})


def index_plainly(run: Run) -> bool:
    """List the entries of a plain Bundle; False, and nothing is done, if it is not certainly one.

    In a plain Bundle every entry is a fullUrl of the same base and a resource; this has a sound id, a sound narrative
    of a plain kind, and nothing in `meta` but one profile, which it must meet. Nobody need look at these again.
    """
    near: dict[str, Entry] = {}
    by_type: dict[str, list[Object]] = {}
    ids, texts, claims, base = [], [], run.pack.claims, ""
    try:
        parts = run.root["entry"]
        # What is no object has no such properties; what is no text does not fit into the fullUrl or a narrative.
        for number, part in enumerate(parts):
            resource = part["resource"]
            meta, text = resource["meta"], resource["text"]
            (profile,) = profiles = meta["profile"]
            claim, kind, wanted, head = claims[profile]
            id_ = resource["id"]
            name = head + id_
            if not number:
                base = _base_of_all(part["fullUrl"], name, run)
            if (
                part["fullUrl"] != base + name
                or resource["resourceType"] != kind
                or text["status"] != "generated"
                or profiles.__class__ is not list
                or len(part) + len(meta) + len(text) != 5  # what was named, and nothing else
            ):
                return False
            ids.append(id_)
            texts.append(text["div"])
            near[name] = entry = Entry()
            entry.number = number
            entry.resource = resource
            entry.type = kind
            entry.base = base
            entry.claim = claim
            entry.wanted = wanted
            entry.links = []
            if kind in by_type:
                by_type[kind].append(resource)
            else:
                by_type[kind] = [resource]
        if not ids or len(near) != len(parts) or not are_ids(ids) or not clean_texts(texts):
            return False
    except FAULTS:
        return False
    run.entries, run.near, run.by_type_id, run.by_type = [*near.values()], near, near, by_type
    run.bare = run.plain = True
    return True


def kept_by_plain(rule: dict[str, Any], value: str) -> str:
    """A condition over a Bundle (the name of its value) under which it has been found to keep a rule; mostly none."""
    return f"(x.plain and {value} is x.root)" if (rule["key"], rule["digest"]) in KEPT_BY_PLAIN else ""


def _base_of_all(url: str, name: str, run: Run) -> str:
    """What stands before `Type/id` in a sound fullUrl. Raises ValueError if it may be unsound."""
    base, known = url[: -len(name)], run.pack.bases
    if base not in known:
        if not base.startswith("http") or base.count("//") != 1 or base[-1] != "/" or "/_history/" in base:
            raise ValueError
        if not _is_uri(base):
            raise ValueError
        if len(known) < MOST_BASES:
            known.add(base)
    return base


def index_entries(run: Run) -> None:
    """List the entries of the Bundle that is validated, and judge their fullUrls."""
    base, bare, strangers = "", True, 0
    entries, by_url, by_type, by_type_id = run.entries, run.by_url, run.by_type, run.by_type_id
    readable = run.pack.readable_types
    for number, part in enumerate(listed(run.root.get("entry"))):
        resource: Any = part.get("resource") if part.__class__ is dict else None
        kind = resource.get("resourceType") if resource.__class__ is dict else None
        if not isinstance(kind, str):
            if part.__class__ is dict and isinstance(part.get("fullUrl"), str):
                run.lost.add(part["fullUrl"])
            bare = False
            continue  # reported by the structure rules
        name = f"{kind}/{resource.get('id')}"
        entry = Entry.of(resource, kind, number, base)
        entries.append(entry)
        by_type_id.setdefault(name, entry)
        if kind in by_type:
            by_type[kind].append(resource)
        else:
            by_type[kind] = [resource]
        url = part.get("fullUrl")
        if len(part) != 2 or kind not in readable:
            bare = False
        if base and url == base + name and _is_name(name):
            by_url.setdefault(url, entry)
        else:
            strangers += 1
            entry.base = base = _index_url(url, entry, "/" + name, f"/entry/{number}", run)
            bare = bare and url.__class__ is str and _is_uri(url) is not None and "/_history/" not in url
    run.bare = bare
    if bare and base and strangers == 1 and 0 not in run.faulty_urls:
        run.near = by_type_id  # all fullUrls are the same base and `Type/id`


def _index_url(url: Any, entry: Entry, tail: str, pointer: str, run: Run) -> str:
    """Judge a fullUrl and remember what it names; returns its base, empty if it is not RESTful."""
    base = ""
    if not isinstance(url, str) or not url:
        run.faulty_urls.add(entry.number)
        if url is None:
            run.add(NO_URL, pointer, SITE)
        return base
    if url.endswith(tail) and url.startswith("http") and url.count("//") == 1:
        base = url[: 1 - len(tail)]
    elif parts := split_url(url):
        base = parts[0]
        # A type that FHIR does not have is reported as that.
        if parts[1:] != (entry.type, entry.resource.get("id")) and run.pack.is_resource(entry.type):
            run.faulty_urls.add(entry.number)
            run.add(BAD_URL, pointer + "/fullUrl", SITE, value=url, problem="does not end in the type and id")
    elif not _ABSOLUTE.match(url):
        run.faulty_urls.add(entry.number)
        run.add(BAD_URL, pointer + "/fullUrl", SITE, value=url, problem="is not absolute")
    run.by_url.setdefault(url, entry)
    return base


def check_reachable(run: Run) -> None:
    """Report entries that no chain of references connects with the MessageHeader (Composition) of a message (document).

    A document may be put together by references in either direction.
    """
    start = STARTS.get(str(run.root.get("type")))
    if start is None or not run.entries or run.entries[0].type != start:
        return  # without a header at its place everything would be out of reach: that has been said
    if not run.plain or run.found:
        _link_unread(run)
    if start == "Composition":
        _check_composition(run)
    # Most often every entry is led to by one before it, or leads to one.
    reached = {run.entries[0].number}
    for entry in run.entries:
        if links := entry.links:
            if entry.number in reached:
                reached.update(links)
            elif entry.type in BACKWARDS and not reached.isdisjoint(links):
                reached.add(entry.number)
    if len(reached) == len(run.entries):
        return
    reached = _reachable(run, start)
    for entry in run.entries:
        if entry.number not in reached:
            severity = Severity.ERROR if start == "Composition" else None
            run.add(UNREACHABLE, entry.pointer, Site("Bundle", "Bundle.entry"), severity=severity, start=start)


def _reachable(run: Run, start: str) -> set[int]:
    links = {entry.number: list(entry.links) for entry in run.entries}
    for entry in run.entries:
        if entry.type in BACKWARDS or start == "Composition":
            for target in entry.links:
                links[target].append(entry.number)
    waiting = [run.entries[0].number]
    reached = set(waiting)
    for number in waiting:  # which grows
        new = [target for target in links[number] if target not in reached]
        reached.update(new)
        waiting += dict.fromkeys(new)
    return reached


def _check_composition(run: Run) -> None:
    """What the Composition of a document refers to travels in the Bundle."""
    composition = run.current = run.entries[0]
    told = {f.pointer for f in run.found}
    for path in CARRIED:
        for reference, pointer in _at(composition.resource, path, composition.pointer):
            text = reference.get("reference")
            # An entry that cannot be read has been reported.
            known = not isinstance(text, str) or text[:1] == "#" or resolve(run, text) or run.by_type_id.get(text)
            lost = isinstance(text, str) and not run.lost.isdisjoint({text, composition.base + text})
            if not known and not lost and pointer not in told:
                run.add(NOT_BUNDLED, pointer, Site("Bundle", f"Composition.{'.'.join(path)}"), element=path[-1])


def _at(value: Any, path: tuple[str, ...], pointer: str) -> Iterator[tuple[Object, str]]:
    """The objects at a path, with their pointers."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _at(item, path, f"{pointer}/{number}")
    elif isinstance(value, dict):
        if not path:
            yield value, pointer
        elif path[0] in value:
            yield from _at(value[path[0]], path[1:], f"{pointer}/{path[0]}")


def _link_unread(run: Run) -> None:
    """Follow the references in resources that no profile walked through."""
    for entry in run.entries:
        if entry.number in run.unreadable:
            run.current = entry
            found = (resolve(run, text) or run.by_type_id.get(text) for text in _references(entry.resource))
            entry.links.extend(e.number for e in found if e)


def _references(value: Object) -> Iterator[str]:
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if item.__class__ is dict:
            reference = item.get("reference")
            if isinstance(reference, str):
                yield reference
            waiting.extend(v for v in item.values() if v.__class__ is dict or v.__class__ is list)
        else:
            waiting.extend(v for v in item if v.__class__ is dict or v.__class__ is list)


def _first(value: Object) -> Any:
    entries = listed(value.get("entry"))
    resource = entries[0].get("resource") if entries and isinstance(entries[0], dict) else None
    return resource.get("resourceType") if isinstance(resource, dict) else None


@native("bdl-1/2c25ef4a", when="total")
def total_only_in_searches(value: Object, run: Run) -> bool:
    """Only search results and histories have a total."""
    return value.get("type") in ("searchset", "history")


@native("bdl-2/c7ebe9df", sure=NO_EXCHANGE)
def search_only_in_searches(value: Object, run: Run) -> bool:
    """Only entries of search results say how they were found."""
    return value.get("type") == "searchset" or _everywhere(value, "search", False)


def _everywhere(bundle: Object, name: str, wanted: bool) -> bool:
    """Whether all entries have an element, or none has it."""
    return not [p for p in listed(bundle.get("entry")) if p.__class__ is dict and (name in p) is not wanted]


@native("bdl-3/3cf01f51", sure=NO_EXCHANGE)
def request_only_in_transactions(value: Object, run: Run) -> bool:
    """Entries have a request in batches, transactions and histories, and only there."""
    return _everywhere(value, "request", value.get("type") in ("batch", "transaction", "history"))


@native("bdl-4/5f07b8d6", sure=NO_EXCHANGE)
def response_only_in_responses(value: Object, run: Run) -> bool:
    """Entries have a response in answers to batches and transactions and in histories, and only there."""
    return _everywhere(value, "response", value.get("type") in ("batch-response", "transaction-response", "history"))


@native("bdl-7/1b803340", sure="x.plain and {0} is x.root")
def full_urls_are_distinct(value: Object, run: Run) -> bool:
    """A fullUrl occurs once, unless the versions of the resources differ."""
    if value.get("type") == "history" or (value is run.root and len(run.by_url) == len(listed(value.get("entry")))):
        return True
    marks = [_mark(part) for part in objects(value.get("entry")) if isinstance(part.get("fullUrl"), str)]
    return len(marks) == len(set(marks))


def _mark(part: Object) -> tuple[str, str]:
    resource = part.get("resource")
    meta = resource.get("meta") if isinstance(resource, dict) else None
    return part["fullUrl"], str(meta.get("versionId", "")) if isinstance(meta, dict) else ""


@native("bdl-8/864cbc39", "bdl-8/19b21e43", when="fullUrl", sure="'/_history/' not in {0}['fullUrl']")
def full_url_has_no_version(value: Object, run: Run) -> bool:
    """A fullUrl names a resource, not a version of it. (That a fullUrl is missing is reported as such.)"""
    url = value.get("fullUrl")
    return not isinstance(url, str) or "/_history/" not in url


@native("bdl-9/8d2d1b6b", sure=NO_DOCUMENT)
def document_has_identifier(value: Object, run: Run) -> bool:
    """A document has an identifier with system and value."""
    identifier = value.get("identifier")
    return value.get("type") != "document" or (
        isinstance(identifier, dict) and has(identifier, "system") and has(identifier, "value")
    )


@native("bdl-10/4b254e03", sure=NO_DOCUMENT)
def document_has_time(value: Object, run: Run) -> bool:
    """A document has a time stamp."""
    return value.get("type") != "document" or "timestamp" in value


@native("bdl-11/1b1f4f02", sure=NO_DOCUMENT)
def document_starts_with_composition(value: Object, run: Run) -> bool:
    """The first entry of a document is a Composition."""
    return value.get("type") != "document" or _first(value) == "Composition"


@native("bdl-12/451978f4", sure="x.plain and {0} is x.root and x.entries[0].type == 'MessageHeader'")
def message_starts_with_header(value: Object, run: Run) -> bool:
    """The first entry of a message is a MessageHeader."""
    return value.get("type") != "message" or _first(value) == "MessageHeader"
