"""The state of one validation: what was found, which entries a Bundle has, and which profiles they must still meet.

References are not followed recursively. A reference that demands a profile of its target adds a task; every (resource,
profile) pair is judged once, so cycles end, and one bad Organization is reported once, at its own elements, however
many references lead to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converter.fhir.elements import Site
from converter.fhir.fhirpath.reading import FAULTS
from converter.issues import IssueKind, IssueLog, Location, Severity, declare

if TYPE_CHECKING:
    from converter.fhir.profiles import Pack

UNCHECKED_RULE = declare(
    "NCK001",
    "invariant-not-checked",
    Severity.INFO,
    "{number} invariants of {profile} were not checked: {keys}",
    why="The expression needs something that this validator cannot evaluate, so the message may still break the rule.",
    help="Use the official FHIR validator where these rules matter.",
    source="FHIR R4, ElementDefinition.constraint",
    example="a rule that calls a function which needs a terminology server",
)
UNCHECKED_CODES = declare(
    "NCK002",
    "codes-not-checked",
    Severity.INFO,
    "codes bound by {profile} were not checked: the codes of {keys} are not in the pack",
    why="The value set draws on a code system that the packages do not hold, so a wrong code passes.",
    help="Validate against a terminology server where these codes matter.",
    source="FHIR R4, Terminology bindings",
    example="a required value set of all SNOMED CT findings",
)
UNCHECKED_TYPE = declare(
    "NCK003",
    "resource-not-checked",
    Severity.INFO,
    "resources of a type that the pack does not hold were not checked: {keys}",
    why="Messages of the guide do not need this type of resource, so its definition was not packed.",
    help="Leave the resource out, or build a pack from packages that use it.",
    example="an entry of a type that no profile of the guide mentions",
)
UNCHECKED_SLICE = declare(
    "NCK004",
    "slices-not-checked",
    Severity.INFO,
    "slices of {profile} were not checked: {keys}",
    why="The discriminator of this slicing is of a kind that this validator cannot evaluate.",
    help="Use the official FHIR validator where these slices matter.",
    source="FHIR R4, Discriminator",
    example="a slicing by a path that this validator does not follow",
)
UNCHECKED_PROFILE = declare(
    "NCK005",
    "profile-not-in-pack",
    Severity.INFO,
    "{profile} demands profiles that the pack does not hold: {keys}",
    why="The packages that the pack was built from do not define these profiles, so nothing could be compared.",
    help="Build the pack again with the missing packages in the folder.",
    example="a reference whose target must meet a profile of a package that was not at hand",
)
TOO_DEEP = declare(
    "PRO056",
    "resource-too-deep",
    Severity.ERROR,
    "the resource is nested too deeply to be validated",
    why="Such nesting does not occur in messages; it is made to exhaust programs.",
    help="Refuse the message.",
    example="an extension in an extension, two thousand times",
)

SECOND_LOOKS = 1000  # in one validation: faults in each other would be looked for again at every level

SKIPPED = {k.code: k for k in (UNCHECKED_RULE, UNCHECKED_CODES, UNCHECKED_TYPE, UNCHECKED_SLICE, UNCHECKED_PROFILE)}

Answer = Callable[[Any, Any], bool]

UNCERTAIN = (RecursionError, *FAULTS)  # odd data, or as deep as the exact way may go: that says so


class Entry:
    """A resource of the Bundle (or the single resource that is validated). `base` ends in `/`, empty if not RESTful.

    `claim` is the only profile that the resource claims in a plain Bundle; `wanted` are the profiles that it must meet,
    in the order in which they are judged; `links` the numbers of the entries that it refers to (numbers, since entries
    that hold each other would be left to the collector).

    There is no `__init__`: on CPython 3.11 a call of it costs as much as the rest (see `bundles.index_plainly`).
    """

    __slots__ = ("base", "claim", "links", "number", "resource", "type", "wanted")
    base: str
    claim: str
    links: list[int]
    number: int
    resource: dict[str, Any]
    type: str
    wanted: tuple[str, ...]

    @classmethod
    def of(cls, resource: dict[str, Any], type_: str, number: int = -1, base: str = "") -> Entry:
        """An entry of which nothing is asked yet."""
        entry = cls()
        entry.number, entry.resource, entry.type, entry.base = number, resource, type_, base
        entry.claim, entry.wanted, entry.links = "", (), []
        return entry

    @property
    def pointer(self) -> str:
        """Where the resource stands in the document. Written when it is asked for: what is sound needs none."""
        return f"/entry/{self.number}/resource" if self.number >= 0 else ""


@dataclass(slots=True)
class Found:
    """One finding before duplicates are removed."""

    kind: IssueKind
    pointer: str
    site: Site
    severity: Severity
    value: str | None
    facts: dict[str, Any]

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """Equal for the same fault found by two profiles."""
        return self.pointer, self.kind.code, self.site.leaf, self.site.key


class Run:
    """One validation. Generated code calls `add`, `skip` and the functions of `rules/` with it."""

    __slots__ = (
        "_by_resource",
        "_by_url",
        "_trying",
        "_verdicts",
        "bare",
        "by_type",
        "by_type_id",
        "current",
        "entries",
        "faulty_urls",
        "found",
        "lost",
        "near",
        "pack",
        "plain",
        "root",
        "ruled",
        "seconds",
        "skipped",
        "tasks",
        "undecided",
        "unreadable",
    )

    def __init__(self, pack: Pack, root: dict[str, Any]) -> None:
        self.pack = pack
        self.root = root
        self.found: list[Found] = []
        self.skipped: dict[tuple[str, str], dict[str, int]] = {}
        self.entries: list[Entry] = []
        self._by_resource: dict[int, Entry] | None = None
        self.by_type: dict[str, list[dict[str, Any]]] = {}
        self.by_type_id: dict[str, Entry] = {}
        self._by_url: dict[str, Entry] = {}
        self.near: dict[str, Entry] = {}  # by `Type/id` again, if that is how every entry may refer to every other
        self.bare = False  # whether every entry has a sound fullUrl, a resource that can be judged and nothing else
        self.plain = False  # whether their ids, `meta` and narratives are sound as well: see `bundles.index_plainly`
        self.lost: set[str] = set()  # the fullUrls of entries whose resource cannot be read
        self.faulty_urls: set[int] = set()  # the numbers of entries whose fullUrl is at fault
        self.unreadable: set[int] = set()  # the numbers of entries that cannot be judged
        self.tasks: list[tuple[Entry, str]] = []
        self.seconds = SECOND_LOOKS  # parts of faulty entries that may still be tried the short way
        self.ruled = False  # whether the short way found that the current entry keeps the rules of its root
        self.undecided = False  # set by a rule whose result cannot be known
        self._trying = False
        self._verdicts: dict[tuple[int, str], bool] = {}
        self.current = Entry.of(root, str(root.get("resourceType", "")))

    @property
    def by_resource(self) -> dict[int, Entry]:
        """The entries by their resources (the last one, if one object stands for several)."""
        if self._by_resource is None:
            self._by_resource = {id(entry.resource): entry for entry in self.entries}
        return self._by_resource

    @property
    def by_url(self) -> dict[str, Entry]:
        """The entries by their fullUrls (the first one, if several have the same)."""
        if self.plain and not self._by_url:
            self._by_url = {entry.base + name: entry for name, entry in self.near.items()}
        return self._by_url

    def add(
        self,
        kind: IssueKind,
        pointer: str,
        site: Site,
        *,
        value: object = None,
        severity: Severity | None = None,
        **facts: Any,
    ) -> None:
        """Note a finding at a JSON pointer. `value` may be a value of the message, `facts` must not."""
        shown = None if value is None else str(value)[:200]
        self.found.append(Found(kind, pointer, site, severity or kind.severity, shown, facts))

    def entry_of(self, resource: Any, pointer: str) -> Entry | None:
        """The entry whose resource stands at a JSON pointer."""
        entry = self.by_resource.get(id(resource))
        if entry is None or entry.pointer == pointer:
            return entry
        return next((e for e in self.entries if e.pointer == pointer), None)  # one object stands for two entries

    def skip(self, kind: IssueKind, profile: str, what: str) -> None:
        """Count something that could not be checked; reported once a profile and kind."""
        counts = self.skipped.setdefault((kind.code, profile), {})
        counts[what] = counts.get(what, 0) + 1

    def want(self, entry: Entry, profile: str) -> None:
        """Ask that an entry is judged by a profile of the pack (`url|version`)."""
        if profile not in entry.wanted and not self._trying:
            entry.wanted = (*entry.wanted, profile)
            self.tasks.append((entry, profile))

    def heed(self, entry: Entry, profile: str) -> bool:
        """Note that an entry is asked to meet what a profile that judges it is derived from; always true."""
        if profile not in entry.wanted and not self._trying:
            entry.wanted = (*entry.wanted, profile)
        return True

    def work(self) -> None:
        """Judge until nothing is asked for; then entries that nobody asked about by their base type.

        What is asked of a resource comes after what the entries of a plain Bundle claim.
        """
        if self.plain:
            of_root, self.tasks = self.tasks, []
            for entry, profile in of_root:
                self._meet(entry, profile)
            self._judge_claims()
        self._finish()
        if self.plain:
            return  # every entry claims something
        for entry in self.entries:
            if not entry.wanted and entry.number not in self.unreadable:
                self.want(entry, self.pack.base(entry.type))
        self._finish()

    def _judge_claims(self) -> None:
        """`judge` each entry of a plain Bundle by what it claims, with the calls written out: they cost as much."""
        pack, tasks = self.pack, self.tasks
        for entry in self.entries:
            self.current = entry
            self.ruled = False
            asked, linked, claim = len(tasks), len(entry.links), entry.claim
            try:
                if (pack.quick_profiles.get(claim) or pack.quick(claim))(entry.resource, self):
                    continue
            except UNCERTAIN:
                pass
            self._take_back(entry, asked, linked)
            pack.function(claim)(entry.resource, entry.pointer, self)

    def _finish(self) -> None:
        for entry, profile in self.tasks:  # which grows
            self._meet(entry, profile)
        self.tasks = []

    def _meet(self, entry: Entry, profile: str) -> None:
        if entry.wanted[0] is profile or not self._included(entry, profile):
            self.judge(entry, profile)

    def _included(self, entry: Entry, profile: str) -> bool:
        """Whether an entry was judged by a profile that is derived from this one, and so includes all its rules."""
        for done in entry.wanted:
            if done == profile:
                break
            if profile in self.pack.ancestors(done):
                return True
        return False

    def judge(self, entry: Entry, profile: str) -> None:
        """Judge an entry by a profile now: the short way if it is certainly sound, else exactly."""
        self.current = entry
        self.ruled = False
        pack = self.pack
        if not self.certain(pack.quick_profiles.get(profile) or pack.quick(profile), entry.resource, entry):
            pack.function(profile)(entry.resource, entry.pointer, self)

    def certain(self, answer: Answer, value: Any, entry: Entry) -> bool:
        """Whether the short way says yes to a part of the current entry. If not, nothing stays of what it asked for."""
        asked, linked = len(self.tasks), len(entry.links)
        try:
            if answer(value, self):
                return True
        except UNCERTAIN:
            pass
        self._take_back(entry, asked, linked)
        return False

    def _take_back(self, entry: Entry, asked: int, linked: int) -> None:
        while len(self.tasks) > asked:
            other, wanted = self.tasks.pop()
            other.wanted = tuple(profile for profile in other.wanted if profile != wanted)
        del entry.links[linked:]
        self.undecided = False

    def conforms(self, entry: Entry, profile: str) -> bool:
        """Whether an entry meets a profile, its own references not followed; nothing is reported."""
        known = self._verdicts.get((id(entry), profile))
        if known is not None:
            return known
        self._verdicts[id(entry), profile] = True  # what leads back here while it is judged does not decide
        current, found, tasks, skipped, trying = self.current, self.found, self.tasks, self.skipped, self._trying
        ruled = self.ruled
        self.found, self.tasks, self.skipped, self._trying = [], [], {}, True
        good = None
        try:
            self.judge(entry, profile)
            good = not any(f.severity is Severity.ERROR for f in self.found)
        finally:
            self.current, self.found, self.tasks, self.skipped, self._trying = current, found, tasks, skipped, trying
            self.ruled = ruled
            self._verdicts.pop((id(entry), profile))
        self._verdicts[id(entry), profile] = good
        return good

    def report(self, log: IssueLog, file: str) -> None:
        """Write the findings into a log, each fault once, as they were found."""
        seen = set()
        for found in self.found:
            identity = found.identity
            if identity in seen:
                continue
            seen.add(identity)
            log.add(
                found.kind,
                Location(file, 1, 1, path=found.pointer),
                target=found.pointer,
                rule=str(found.site),
                value=found.value,
                severity=found.severity,
                **found.facts,
            )
        if self.skipped:
            self._report_skipped(log, file)

    def _report_skipped(self, log: IssueLog, file: str) -> None:
        for (code, profile), counts in sorted(self.skipped.items()):
            log.add(
                SKIPPED[code],
                Location(file, 1, 1),
                rule=profile,
                count=sum(counts.values()),
                profile=profile,
                number=len(counts),
                keys=", ".join(sorted(counts)),
            )


class Exact(Run):
    """A validation in which nothing is taken for sound at a glance: a text is longer than the short way asks for."""

    __slots__ = ()

    def certain(self, answer: Answer, value: Any, entry: Entry) -> bool:
        """Never."""
        return False

    def _judge_claims(self) -> None:
        for entry in self.entries:
            self.judge(entry, entry.claim)
