"""Extensions: known URLs, where they may stand, and the definition behind each URL (FHIR R4, Extensibility)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from converter.fhir.elements import Site
from converter.fhir.rules.structure import no_object
from converter.fhir.run import UNCHECKED_PROFILE, Run
from converter.issues import Severity, declare

if TYPE_CHECKING:
    from converter.fhir.profiles import Pack
    from converter.fhir.source import Source

UNKNOWN_URL = declare(
    "PRO036",
    "extension-unknown",
    Severity.ERROR,
    "an extension that no package of this guide defines",
    why="Receivers cannot read it, and a modifier extension they cannot read forces them to refuse the resource.",
    help="Leave it out, or build a pack from packages that define it.",
    source="FHIR R4, Extensibility",
    example='"url": "https://example.dk/priority" that no package of the guide defines',
)
MISPLACED = declare(
    "PRO037",
    "extension-misplaced",
    Severity.ERROR,
    "this extension is not defined for {element}, only for {context}",
    why="An extension means something only where its definition allows it.",
    help="Move it to an element of its context.",
    source="FHIR R4, StructureDefinition.context",
    example="the extension for a destination of a MessageHeader on its sender",
)
MODIFIER = declare(
    "PRO038",
    "extension-modifier-mixed-up",
    Severity.ERROR,
    "{found} where {expected} belongs",
    why="A modifier extension changes the meaning of what it stands on, so readers treat the two differently.",
    help="Use the property (`extension` or `modifierExtension`) that the definition asks for.",
    source="FHIR R4, Extension.isModifier",
    example='an extension that changes the meaning of its element under "extension" instead of "modifierExtension"',
)
EXAMPLE = declare(
    "PRO054",
    "extension-example-url",
    Severity.WARNING,
    "an extension with an example URL",
    why="The host example.org is for documentation; no receiver knows such an extension.",
    help="Leave it out before sending.",
    source="RFC 2606; the official validator lets these URLs pass as well",
    example='"url": "http://example.org/anything"',
)

_EXAMPLE = re.compile(r"https?://(?:[\w-]+\.)*example\.(?:org|com|net)(?:[/:]|\Z)")
_INDEX = re.compile(r"/\d+")


Answer = Callable[[Any, Run], bool]


class Place:
    """One element where extensions may stand: its names as contexts know them, and the URLs found to be allowed."""

    __slots__ = ("allowed", "answers", "modifier", "names", "site")

    def __init__(self, names: frozenset[str], site: Site, modifier: bool) -> None:
        self.names = names
        self.site = site
        self.modifier = modifier
        self.allowed: set[str] = set()
        self.answers: dict[str, Answer] = {}  # the short ways of those that are allowed


def emit_extension(source: Source, place: Place, value: str, pointer: str) -> None:
    """Code that judges one item of `extension` or `modifierExtension` by the definition of its URL."""
    source(f"check_extension({value}, {pointer}, x, {source.constant(place, 'PLACE')})")


def check_extension(value: Any, pointer: str, run: Run, place: Place) -> None:
    """Judge an extension by the definition that its URL names, and whether it may stand here."""
    if value.__class__ is not dict or not value:
        no_object(value, pointer, run, place.site)
        return
    url = value.get("url")
    function = run.pack.extension(url) if isinstance(url, str) else None
    if function is not None and isinstance(url, str):
        function(value, pointer, run)
        if url not in place.allowed:
            _check_place(url, pointer, run, place)
        return
    run.pack.type_function("Extension")(value, pointer, run)
    if isinstance(url, str) and url in run.pack.absent_extensions:
        run.skip(UNCHECKED_PROFILE, place.site.profile, url.rpartition("/")[2])
    elif isinstance(url, str) and url:
        kind = EXAMPLE if _EXAMPLE.match(url) else UNKNOWN_URL
        run.add(kind, pointer, place.site, value=url)


def answer_of(url: Any, run: Run, place: Place) -> Answer:
    """A function that tells whether `check_extension` would find nothing in an extension of this URL; remembered."""
    answer = run.pack.quick_extension(url) if isinstance(url, str) else None
    if answer is None or not (url in place.allowed or belongs(url, run.pack, place)):
        return _uncertain
    place.answers[url] = answer
    return answer


def _uncertain(value: Any, run: Run) -> bool:
    return False


def belongs(url: str, pack: Pack, place: Place) -> bool:
    """Whether every extension of this URL may stand here; remembered, since the answer stays the same."""
    facts = pack.extension_facts(url)
    fits = facts["contexts"] is None or not place.names.isdisjoint(facts["contexts"])
    if fits and facts["modifier"] == place.modifier:
        place.allowed.add(url)
        return True
    return False


def _check_place(url: str, pointer: str, run: Run, place: Place) -> None:
    if belongs(url, run.pack, place):
        return
    facts = run.pack.extension_facts(url)
    if facts["modifier"] != place.modifier:
        found = "a modifier extension" if facts["modifier"] else "an extension"
        expected = "a modifier extension" if place.modifier else "an extension"
        run.add(MODIFIER, pointer, place.site, value=url, found=found, expected=expected)
        return
    contexts = facts["contexts"]
    # Else it is allowed by its path in this resource, not at every place of the datatype.
    if contexts.isdisjoint(_path_names(pointer, run)):
        run.add(
            MISPLACED, pointer, place.site, value=url, element=place.site.element, context=", ".join(sorted(contexts))
        )


def _path_names(pointer: str, run: Run) -> set[str]:
    """The element that an extension stands on as a path of its resource: `Patient.address`."""
    inside = pointer[len(run.current.pointer) :].rpartition("/extension")[0].rpartition("/modifierExtension")[0]
    inside = inside or pointer[len(run.current.pointer) :].rpartition("/extension")[0]
    path = run.current.type + _INDEX.sub("", inside).replace("/", ".").replace("._", ".")
    return {path}
