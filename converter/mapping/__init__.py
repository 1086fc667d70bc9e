"""Declarative mapping between letters and FHIR Bundles, both directions from one file (design: mapping files)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Mapping as Dict
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any, NoReturn

from converter import generated
from converter.definitions.check import MAX_SHAPE, MAX_SHAPES
from converter.errors import MappingError
from converter.issues import NOWHERE, Issue, IssueKind, IssueLog, Location, Severity, declare, issue
from converter.ledger import LEAF_OF, Ledger, leaves_of
from converter.letter import Letter, pattern
from converter.mapping import backward, forward, guards, ids
from converter.mapping import id_codecs as _ids  # noqa: F401 - registers its codecs
from converter.mapping.choice import rank
from converter.mapping.codes import CodeMap, Loss
from converter.mapping.coverage import unaccounted
from converter.mapping.document import Document
from converter.mapping.ids import LENGTHS, NUMBERS
from converter.mapping.paths import Node, walk
from converter.mapping.reading import Reader
from converter.mapping.running import Context, Raw, Rows, entries, origin_value
from converter.mapping.shelf import Shelf, Unread, twice
from converter.mapping.source import LetterSource, Source
from converter.mapping.spelling import misspelt
from converter.mapping.taking import Taking
from converter.mapping.without import no_target

__all__ = ["Compiler", "Context", "Mapping", "Mappings", "compiled", "is_letter_born"]

REFUSED_BY_LOSS = declare(
    "MAP001",
    "refused-by-loss",
    Severity.ERROR,
    "not converted: {what} ({loss})",
    why="The loss is of a kind that could hurt somebody, so the message is not written.",
    help="Handle the message by hand, or convert it knowingly with `--accept-loss ID`.",
)
LOSS = declare(
    "MAP002",
    "loss",
    Severity.WARNING,
    "{what} ({loss})",
    why="The receiver does not get this as the sender wrote it.",
    help="See the loss catalogue mappings/losses.yaml for who orders it; --sidecar keeps what can be kept.",
)
KEY_MISSING = declare(
    "MAP003",
    "id-key-missing",
    Severity.ERROR,
    "not converted: {path} is missing, which the ids of the FHIR message are built from",
    why="Without it, two letters would get the same ids.",
    help="The letter breaks its format; ask its sender to correct it.",
)
NOT_ITS_OWN = declare(
    "MAP004",
    "letter-mark-of-another-message",
    Severity.WARNING,
    "Bundle.identifier names a letter, but this message is not the one that was made from it",
    why="Values of another letter would be restored into this one; the message is taken as written in FHIR.",
    help="A system that writes a new message must not copy Bundle.identifier.",
)
UNREADABLE = declare(
    "MAP005",
    "bundle-without-parts",
    Severity.ERROR,
    "not converted: the Bundle has no {what} that the mapping can find",
    why="A letter cannot be made without it.",
    help="Validate the Bundle against its profile, and correct it.",
)


_Said = tuple[list[tuple[str, IssueKind, str, str, str, int]], bool]
"""Leaf, kind, message, target, rule and count of each issue about losses; whether one of them refuses the message."""

_Account = tuple[tuple[Raw, ...], tuple[Raw, ...], tuple[str, ...], _Said]
"""What follows from the entries of a message's rules: those of all leaves, those of what was made up, the leaves whose
entries hold only if they are not empty, and what is said of losses."""

_LOSS_OF = itemgetter(4)

_MAX_SAID = 256
"""How many such answers are remembered, each of at most so many entries."""

Compiler = Callable[[str, str, str, Dict[str, Any]], Callable[..., Any]]
"""Makes a function of generated source, its name, a title for tracebacks, and the objects that it needs."""


class Mapping:
    """One mapping, compiled when it is used."""

    def __init__(
        self,
        document: Document,
        codes: Dict[str, CodeMap],
        losses: Dict[str, Loss],
        compiler: Compiler | None = None,
    ) -> None:
        """Compile a document. `compiler` stands in for `compiled`, for those who watch the generated code run."""
        self.document, self.losses = document, losses
        self._codes, self._make = codes, compiler or compiled
        self.name, self.letter, self.bundle = document.name, document.letter, document.bundle
        self._messages = {
            (kind.code, loss.id): kind.message.format(what=loss.what, loss=loss.id)
            for kind in (LOSS, REFUSED_BY_LOSS)
            for loss in losses.values()
        }
        self._declared = {d.leaf: (d.keep, d.loss) for d in reversed(document.declared) if not d.when}
        self._guarded: dict[str, list[tuple[Callable[..., bool], bool, str]]] = {}
        for d in document.declared:
            if d.when:
                self._guarded.setdefault(d.leaf, []).append((_holds(d.when), d.keep, d.loss))
        self._accounts: dict[tuple[Any, ...], _Account] = {}
        # What is said of a loss unless it is accepted; nothing of mere information.
        kinds = {"block": REFUSED_BY_LOSS, "warn": LOSS}
        self._told = {
            loss.id: (kind, self._messages[kind.code, loss.id]) if (kind := kinds.get(loss.severity)) else None
            for loss in losses.values()
        }
        self._said: dict[tuple[frozenset[str], tuple[Raw, ...]], _Said] = {}
        self._key = [path for path in document.key if not path.startswith("$")]

    # Code is made when the first message needs it: a run of one type does not wait for the others. What can be wrong
    # with a file is found before, when it is read.

    @cached_property
    def _there(self) -> LetterSource:
        return forward.generate(self.document, self._codes)

    @cached_property
    def _back(self) -> Source:
        return backward.generate(self.document, self._codes)

    @cached_property
    def source_forward(self) -> str:
        """The generated Python that makes a Bundle of a letter."""
        tables = [f"{name} = {table}" for table, name in self._there.tables.items()]
        return "\n".join([*tables, "def to_fhir(letter, ctx):", *self._there.written(), ""])

    @cached_property
    def source_backward(self) -> str:
        """The generated Python that takes a letter out of a Bundle."""
        return "def from_fhir(b):\n" + "\n".join(self._back.lines) + "\n"

    @cached_property
    def _forward(self) -> Callable[..., Any]:
        helpers = {
            "N": LENGTHS,
            "K": NUMBERS,
            **{name: getattr(ids, name) for name in ("keyed", "hexlify", "UUIDS", "URNS", "SIGNS")},
            "Rows": Rows,
            "entries": entries,
            "origin_value": origin_value,
            "walk": walk,
            "Node": Node,
        }
        known = {**self._there.objects, **helpers}
        return self._make(self.source_forward, "to_fhir", f"{self.name} to FHIR", known)

    @cached_property
    def _backward(self) -> Callable[..., Any]:
        return self._make(self.source_backward, "from_fhir", f"{self.name} from FHIR", self._back.objects)

    @cached_property
    def _sections(self) -> dict[str, Any]:
        return backward.compile_back(self.document, self._codes)

    def compile(self) -> None:
        """Make the code of both directions now; raises for what cannot be compiled."""
        _ = self._forward, self._backward, self._sections

    @cached_property
    def carried(self) -> frozenset[str]:
        """The leaves of the letter that the way back can fill."""
        document, back = self.document, self.document.back
        rules = [*document.rules(), *document.back_rules]
        found = {path for rule in rules for path in (*rule.sources, *rule.claims, *rule.letter_columns.values())}
        found |= {path.strip() for rule in document.back_rules for path in rule.target.strip("[]").split(",")}
        found |= {str(entry["to"]) for part in ("fixed", "minted") for entry in back.get(part, ())}
        found |= {
            f"{entry['party']}.{leaf}" for entry in back.get("parties", ()) for leaf in ("Identifier", "IdentifierCode")
        }
        return frozenset(found | set(document.origin))

    def to_fhir(self, letter: Letter, context: Context, log: IssueLog) -> tuple[dict[str, Any] | None, Ledger]:
        """The Bundle of a letter (without narratives) and its ledger; None for the Bundle when it is refused.

        Adds `MAP` and `DIR` issues: one for each kind of loss of severity warn, `MAP001` or `MAP003` when refused.
        """
        context.log = log
        values = letter.values
        bundle, led, defaulted = self._forward(letter, context)
        if bundle is None:
            log.add(KEY_MISSING, path=next(path for path in self._key if not values.get(path)))
            entries = [(leaf, "lost", "", "", "C91-22") for leaf in leaves_of(letter)]
            return None, Ledger(len(entries), entries)
        asked = (context.sidecar, context.accept, *values, *led, *defaulted)
        account = self._accounts.get(asked)
        if account is None or letter.extras or (account[2] and not all(map(values.get, account[2]))):
            account = self._account(letter, context, asked, led, defaulted)
        raw, made_up, _, said = account
        if said[0]:
            self._tell(said, letter.locate, context, log)
        return (None if said[1] else bundle), Ledger(len(raw), [*raw], [*made_up])

    def _account(
        self, letter: Letter, context: Context, asked: tuple[Any, ...], led: list[Raw], defaulted: list[Raw]
    ) -> _Account:
        """What follows from the entries of the rules; remembered if it is so for all letters with these leaves."""
        values, carried = letter.values, {*map(LEAF_OF, led)}
        unclaimed = [leaf for leaf in values if leaf not in carried]
        entries: list[Raw] = [(*raw,) for raw in led]
        entries += [self._unclaimed(leaf, letter, context) for leaf in unclaimed]
        # Not keyed by path: an element that stands twice is an extra under the path of a leaf.
        entries += [(extra.path, "lost", "", "", "C91-20") for extra in letter.extras]
        made_up: list[Raw] = [(*raw,) for raw in defaulted]
        account = (*entries,), (*made_up,), (*unclaimed,), self._losses(Ledger(0, entries, made_up), context.accept)
        fixed = all(values[leaf] and self._has_one_fate(leaf, context.sidecar) for leaf in unclaimed)
        if not letter.extras and fixed and len(values) <= MAX_SHAPE:
            if len(self._accounts) >= MAX_SHAPES:
                self._accounts.clear()
            self._accounts[asked] = account
        return account

    def _has_one_fate(self, leaf: str, sidecar: bool) -> bool:
        """Whether a leaf that no rule carried has the same entry whatever the letter says."""
        path = pattern(leaf)
        declared = self._declared.get(path)
        return declared is not None and path not in self._guarded and not (declared[0] and sidecar)

    def _unclaimed(self, leaf: str, letter: Letter, context: Context) -> Raw:
        """A leaf that no rule carried: kept, ignored as declared, or lost."""
        if not letter.values[leaf]:
            return (leaf, "ignored", "", "", "C91-18")
        path, text = pattern(leaf), letter.text
        declared = self._declared.get(path)
        for holds, keep, loss in self._guarded.get(path, ()):
            if holds(text):
                declared = keep, loss
                break
        if declared is None:
            return (leaf, "lost", "", "", "C91-22")
        keep, loss = declared
        if not keep:
            return (leaf, "ignored", "", "", loss)
        if context.sidecar:
            context.keeping[leaf] = letter.values[leaf]
        return (leaf, "kept" if context.sidecar else "lost", "", "", loss)

    def report(
        self,
        entries: list[Raw],
        locate: Callable[[str], tuple[Location, ...]],
        context: Context,
        log: IssueLog,
    ) -> None:
        """One issue for each loss among entries that were made beside the rules (letters that were joined)."""
        if entries:
            self._report(Ledger(len(entries), entries), locate, context, log)

    def _report(
        self, ledger: Ledger, locate: Callable[[str], tuple[Location, ...]], context: Context, log: IssueLog
    ) -> bool:
        """One issue for each loss that is not mere information. Whether a loss refuses the message."""
        said = self._losses(ledger, context.accept)
        self._tell(said, locate, context, log)
        return said[1]

    def _tell(
        self, said: _Said, locate: Callable[[str], tuple[Location, ...]], context: Context, log: IssueLog
    ) -> None:
        file, issues = context.file, log.issues
        for leaf, kind, message, target, rule, count in said[0]:
            where = (_place, locate, leaf, file) if leaf else Location(file) if file else NOWHERE
            issues.append(issue(kind, where, message, target, rule, count))

    def _losses(self, ledger: Ledger, accept: frozenset[str]) -> _Said:
        """What is said of the losses in a ledger; remembered."""
        lossy = (*filter(_LOSS_OF, ledger.raw), *filter(_LOSS_OF, ledger.raw_defaulted))
        asked = accept, lossy
        said = self._said.get(asked)
        if said is None:
            said = self._say(lossy, accept)
            if len(self._said) >= _MAX_SAID:
                self._said.clear()
            if len(lossy) <= _MAX_SAID:
                self._said[asked] = said
        return said

    def _say(self, lossy: tuple[Raw, ...], accept: frozenset[str]) -> _Said:
        """What is said of the entries of a message that lost something. Letters of one kind lose the same."""
        first: dict[str, Raw] = {}
        for raw in lossy:
            first.setdefault(raw[4], raw)
        times = Counter(raw[4] for raw in lossy)
        found, refused = [], False
        for loss_id, (leaf, fate, rule, target, _) in first.items():
            if (what := self._told[loss_id]) is None or fate == "kept":
                continue
            kind, message = what
            if kind is REFUSED_BY_LOSS:
                if loss_id in accept:
                    kind, message = LOSS, self._messages[LOSS.code, loss_id]
                else:
                    refused = True
            name = f"{self.name}.{rule}" if rule else self.name
            found.append((leaf, kind, message, target, name, times[loss_id]))
        return found, refused

    def from_fhir(
        self,
        bundle: dict[str, Any],
        context: Context,
        log: IssueLog,
        leaves: Callable[[], Iterator[tuple[str, Any, bool]]],
    ) -> tuple[Letter | None, Ledger]:
        """The letter of a Bundle and its ledger. `leaves` yields pointer, value and whether it is rebuilt by nature.

        Adds `MAP` and `DIR` issues as `to_fhir` does.
        """
        b = self._taken(bundle, context)
        if b.born == "letter" and not b.is_own():
            log.add(NOT_ITS_OWN, Location(path="/identifier"))
            context.born = "fhir"
            b = self._taken(bundle, context)
        log.extend(context.log)
        entries = b.sweep(leaves())
        ledger = Ledger(len(entries), entries, b.dfl)
        missing = next((n for n, r in b.resources.items() if r is None and n in self._needed()), None)
        if missing:
            log.add(UNREADABLE, what=self.document.resources[missing].type)
            return None, ledger
        refused = self._report(ledger, lambda leaf: (Location(line=1, column=1, path=leaf),), context, log)
        return (None if refused else b.letter(context.version or self.document.version)), ledger

    def _taken(self, bundle: dict[str, Any], context: Context) -> Taking:
        context.log = IssueLog()
        b = Taking(self.document, self._sections, bundle, context)
        self._backward(b)
        return b

    def _needed(self) -> list[str]:
        """Resources without which no letter can be made: those whose ids or text the letter is built from."""
        return self.document.needed


def _holds(guard: str) -> Callable[..., bool]:
    """A guard over a letter as a function of what gets the text of a leaf."""
    code = guards.compile_guard(guard, lambda path: f"text({path!r})")
    function: Callable[..., bool] = eval(f"lambda text: bool({code})", {"__builtins__": {"bool": bool}})  # noqa: S307 - our own guard, checked when it was read
    return function


def _place(locate: Callable[[str], tuple[Location, ...]], leaf: str, file: str) -> Location:
    """The first place of a leaf; looked for when somebody asks."""
    found = locate(leaf)
    return found[0] if found else Location(file, path=leaf)


def compiled(source: str, name: str, title: str, known: Dict[str, Any]) -> Callable[..., Any]:
    """Execute generated source under a name that tracebacks can show."""
    file = f"<generated {title}>"
    scope: dict[str, Any] = dict(known)
    generated.run(source, file, scope)
    function: Callable[..., Any] = scope[name]
    return function


def is_letter_born(document: Document, bundle: Dict[str, Any]) -> bool:
    """Whether a Bundle says that it was made from a letter by this mapping."""
    identifier = bundle.get("identifier")
    return isinstance(identifier, dict) and identifier.get("system") == document.origin_system


Leaves = Callable[[str], "set[str] | None"]
"""The letter paths of a type in any version; None for a type that is not known."""


def _read(shelf: Shelf, file: str, leaves: Leaves) -> tuple[Mapping | None, list[Issue]]:
    """The mapping of a file, None if it cannot be compiled, and its faults: some do not keep it from compiling."""
    faults: list[Issue] = []
    try:
        document = Reader(shelf).read(file)
    except MappingError as error:
        return None, error.issues
    faults.extend(unaccounted(document, leaves))
    if wrong := misspelt(document, shelf.codes):
        return None, faults + wrong
    return Mapping(document, shelf.codes, shelf.losses), faults


class _Waiting(Unread):
    """A mapping that is read when a message needs it; a fault in it is then told with all others of the folder."""

    def __init__(self, shelf: Shelf, file: str, leaves: Leaves, refuse: Callable[[], NoReturn]) -> None:
        super().__init__(shelf, file, refuse)
        self._leaves = leaves

    @cached_property
    def mapping(self) -> Mapping:
        found, faults = _read(self._shelf, self.file, self._leaves)
        if found is None or faults:
            self._refuse()
        return found


class Mappings:
    """All mappings of a folder, compiled."""

    def __init__(
        self,
        mappings: Sequence[Mapping | _Waiting],
        losses: Dict[str, Loss],
        codes: Dict[str, CodeMap],
        without: Dict[str, str] | None = None,
    ) -> None:
        """`without` says of letter types that become no FHIR message why."""
        self._mappings, self.losses, self.codes, self.without = mappings, losses, codes, without or {}
        self._by_letter = {mapping.letter: mapping for mapping in reversed(mappings)}

    @classmethod
    def load(cls, folder: Path, leaves: Leaves, known: Collection[str] | None = None) -> Mappings:
        """Load `fhir/*.yaml`, `codes/`, `losses.yaml` and `no_target.yaml` of a folder.

        `leaves(type)` gives the letter paths of a type in any version, for the checks. Raises `MappingError` with all
        faults. With `known`, the types that are defined, a mapping is read when the first message needs it, and raises
        then; what each serves is looked at here, and no two may serve the same.
        """
        if known is not None and (found := cls._waiting(folder, leaves, known)) is not None:
            return found
        found, faults = cls.read(folder, leaves)
        if faults:
            raise MappingError("mapping files do not load", faults)
        return found

    @classmethod
    def _waiting(cls, folder: Path, leaves: Leaves, known: Collection[str]) -> Mappings | None:
        """The mappings, none of them read; None where only reading all can tell what there is, or what is wrong."""

        def refuse() -> NoReturn:
            raise MappingError("mapping files do not load", cls.read(folder, leaves)[1])

        shelf = Shelf(folder)
        try:
            found = [_Waiting(shelf, file, leaves, refuse) for file in shelf.files]
        except MappingError:
            return None
        without, strays = no_target(folder, known.__contains__, {one.letter: one.name for one in found})
        if strays or twice((one, one.file) for one in found):
            return None
        return cls(found, shelf.losses, shelf.codes, without)

    @classmethod
    def read(cls, folder: Path, leaves: Leaves) -> tuple[Mappings, list[Issue]]:
        """The mappings that compile, and all faults: also those of mappings that compile and are not to be used."""
        shelf = Shelf(folder)
        mappings, faults = list[Mapping](), list[Issue]()
        for file in shelf.files:
            mapping, wrong = _read(shelf, file, leaves)
            mappings += [mapping] if mapping is not None else []
            faults += wrong
        faults += twice((mapping, mapping.document.file) for mapping in mappings)
        mapped = {mapping.letter: mapping.name for mapping in mappings}
        without, strays = no_target(folder, lambda type_: leaves(type_) is not None, mapped)
        return cls(mappings, shelf.losses, shelf.codes, without), faults + strays

    @property
    def mappings(self) -> list[Mapping]:
        """All of them, read if they were not. Raises `MappingError` with all faults."""
        return [_there(one) for one in self._mappings]

    def for_letter(self, type_: str) -> Mapping | None:
        """The mapping of a letter type."""
        found = self._by_letter.get(type_)
        return None if found is None else _there(found)

    def for_bundle(self, bundle: dict[str, Any], profiles: list[str]) -> Mapping | None:
        """The mapping whose Bundle profile is among these (versions after `|` do not matter).

        Of several with one profile, the one of which the earliest line of `chosen` holds for this Bundle.
        """
        bare = {p.partition("|")[0] for p in profiles}
        candidates = [_there(one) for one in self._mappings if one.bundle in bare]
        ranked = [(rank(m.document.chosen, bundle), m) for m in candidates]
        fitting = [(rank, m) for rank, m in ranked if rank is not None]
        return min(fitting, key=lambda pair: pair[0])[1] if fitting else None

    def named(self, name: str) -> Mapping | None:
        """The mapping with that name."""
        return next((_there(one) for one in self._mappings if one.name == name), None)


def _there(one: Mapping | _Waiting) -> Mapping:
    return one.mapping if isinstance(one, _Waiting) else one
