"""What a mapping file says, as data: resources, rules and lists in their order, each with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from converter.issues import Location
from converter.mapping import codecs, paths
from converter.mapping.choice import Choice
from converter.yamlfile import Map


@dataclass(slots=True)
class Rule:
    """One rule. `sources` are letter paths (absolute, no indices), `target` a FHIR path below the resource or item."""

    name: str
    at: Location
    sources: tuple[str, ...] = ()
    target: str = ""
    codec: codecs.Codec = codecs.CODECS["copy"]
    arguments: tuple[str, ...] = ()
    when: str = ""
    when_fhir: str = ""
    born: str = ""
    default: str | None = None
    loss: str = ""
    lossy: str = ""
    back_loss: str = ""
    forward: bool = True
    back: bool = True
    also: bool = False
    defaulted: bool = False
    claims: tuple[str, ...] = ()
    const: Any = None
    ref: str = ""
    id: str = ""
    keep: bool = False
    map: str = ""
    letter_columns: dict[str, str] = field(default_factory=dict)
    fhir_columns: dict[str, str] = field(default_factory=dict)
    otherwise: dict[str, str] = field(default_factory=dict)
    value: str = ""
    sentence: str = ""
    sentence_when: str = ""
    sentence_loss: str = ""
    hint: str = ""
    line: str = ""
    claims_fhir: tuple[str, ...] = ()
    absent: str = ""
    places: Mapping[str, Location] = field(default_factory=dict)

    def place(self, *keys: str) -> Location:
        """Where the first of these fields stands that the rule has, else the rule's name."""
        return next((self.places[key] for key in keys if key in self.places), self.at)


@dataclass(slots=True)
class Each:
    """Rules for every repetition of a letter group and item of a FHIR list, order kept."""

    name: str
    at: Location
    group: str
    target: str
    rules: list[Rule]
    anchor: tuple[str, ...] = ()
    born: str = ""
    when_fhir: str = ""
    at_least: tuple[str, str, str] | None = None


@dataclass(slots=True)
class Derived:
    """A list of items made from the values of another list (Provenance entities from the payloads' ids)."""

    name: str
    at: Location
    of: str
    value: str
    target: str
    position: str


@dataclass(slots=True)
class Fold:
    """FHIR content without a field of its own, as lines of text: `rule` says which, `each` and `type` of what.

    With `within`, the line stands whole at the end of the text, which is shortened before it to so many characters.
    """

    at: Location
    rule: Rule
    each: str = ""
    type: str = ""
    within: int = 0


@dataclass(slots=True)
class Refs:
    """A list of references: one for each resource of these names, in the order of the letter.

    With `position`, each stands in that element of an item of the list.
    """

    name: str
    at: Location
    names: list[str]
    target: str
    position: str = ""


@dataclass(slots=True)
class Resource:
    """One resource of the Bundle: how it comes to be (`anchor`, `when`) and how the way back finds it (`found`).

    With `each`, one for every repetition of a letter group. `found` is a path whose references lead to it, or an
    element (`found_by`) of the resource itself that refers to another one.
    """

    name: str
    at: Location
    type: str
    profile: str
    anchor: tuple[str, ...]
    found: str
    found_by: str
    rules: list[Rule | Each | Derived | Refs]
    each: str = ""
    when: str = ""
    when_fhir: str = ""
    at_most: int = 0


@dataclass(slots=True)
class Declared:
    """A leaf that is ignored or kept, with the id of the loss; with `when`, in letters for which that guard holds."""

    leaf: str
    loss: str
    keep: bool
    at: Location
    when: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """How a message names the one that it answers, as letter paths, and how several receipts become one.

    `each` is a group of which every repetition answers a message of its own. `letter`, `envelope`, `sender` and
    `version` are those of the letter that is answered; `header` is the path in the MessageHeader that holds the id of
    the FHIR message. `receipt` tells a receipt from another one; `sent` and `kind` are leaves with its time and type;
    `negative` the letter types that refuse; `refusals` pairs of leaves with code and text; `months` for how long the
    store keeps it; `waits` and `merges` are losses.
    """

    each: str
    letter: str
    envelope: str
    sender: str
    version: str
    header: paths.Path
    receipt: tuple[str, ...]
    sent: tuple[str, ...]
    kind: tuple[str, ...]
    negative: tuple[str, ...]
    refusals: tuple[tuple[str, str], ...]
    months: int
    waits: str
    merges: str


@dataclass(slots=True)
class Document:
    """A mapping file with its parts applied. `lines` is where the lines of `not_carried` stand, by their identity."""

    name: str
    file: str
    letter: str
    version: str
    bundle: str
    fullurl: str
    key: list[str]
    bundle_key: list[str]
    origin_system: str
    origin: list[str]
    origin_lossy: list[tuple[str, str, str]]
    tables: dict[str, tuple[str, str, str]]
    bundle_rules: list[Rule]
    resources: dict[str, Resource]
    declared: list[Declared]
    back: Map
    back_rules: list[Rule]
    fold: list[Fold]
    not_carried: list[Mapping[str, str]]
    slices: dict[str, paths.Slice]
    examples: list[Map]
    needed: list[str]
    bases: list[str]
    chosen: list[Choice]
    answers: Answers | None = None
    lines: dict[int, Location] = field(default_factory=dict)

    def rules(self) -> Iterator[Rule]:
        """Every rule of the Bundle and of its resources, those of lists too; not those of the way back alone."""
        yield from self.bundle_rules
        for resource in self.resources.values():
            for rule in resource.rules:
                if isinstance(rule, Each):
                    yield from rule.rules
                elif isinstance(rule, Rule):
                    yield rule
