"""What is told of one message: a line without values, made where the message is read, by worker or executor.

Whatever the tables and the summary say follows from these lines, so the same messages give the same assessment on one
machine and on a cluster, at once or after a stop.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from converter.assessment.measures import Measures
from converter.assessment.tables import CLASSES, STATES, Keys
from converter.batch.chunk import Convert, content_id
from converter.batch.options import NOT_ACROSS, Options, engine_for
from converter.definitions.layout import Group, Item, Repeat, SegmentTemplate
from converter.engine import FHIR, SAME_SYNTAX, Outcome
from converter.fhir.bundle import leaves
from converter.flows import FlowTable, load_table
from converter.flows.messages import Message, Remembering
from converter.flows.persons import Persons
from converter.flows.table import FILE as FLOWS
from converter.issues import Issue, IssueLog, Severity
from converter.joining import ALONE, MISSING, NOT_JOINED
from converter.ledger import Ledger, Raw, losses_by_leaf
from converter.letter import Letter, Value, pattern, plain
from converter.mapping import LOSS, Context
from converter.mapping.without import NO_MAPPING, NO_TARGET

if TYPE_CHECKING:
    from converter.engine import Engine
    from converter.sources import Input

OTHER = "(other)"
"""Stands for a type or version that does not look like one."""
UNKNOWN = "(unknown)"
"""Stands for a field that no definition knows."""
ONLY_FHIR = "(fhir)"
"""Stands for all that a Bundle says and no letter can."""
LETTER, RECEIPT, ATTACHMENT = "letter", "receipt", "attachment"
EQUAL, SAME, DIFFERENT, NONE = "equal", "same", "different", "none"
_TYPE = re.compile(r"[A-Z]{3}[0-9]{2}\Z")
_VERSION = re.compile(r"[A-Z]{0,2}[0-9]{3,5}[A-Z]\Z")
_XML_ROOT = re.compile(r"/Emessage/(?:(Envelope)\b|[^/]+)/?")
_DAY = 1440
_RANK = {state: n for n, state in enumerate(STATES)}


class Covered(NamedTuple):
    """Values of one message with the same fate: how many of which field, and why."""

    field: str
    state: str
    disposition: str
    loss: str
    number: int


class Seen(NamedTuple):
    """Findings of one message that are alike."""

    code: str
    severity: str
    path: str
    number: int


class Ties(NamedTuple):
    """What ties a message to others: digests. `wants`: it asks for a receipt; `answers`: what a receipt is for."""

    wants: bool
    sender: str
    letters: list[str]
    envelopes: list[str]
    answered_sender: str
    answered_letters: list[str]
    answered_envelopes: list[str]
    holds: list[str]
    names: list[str]
    person: list[Any]
    flow: list[Any]


class Told(NamedTuple):
    """The line of a message. Identities are keyed digests; `written` and `sent` are minutes since the year 1, or 0.

    `cid`: that of its bytes; `whole`: it was converted, else it was read and nothing more.
    """

    cid: str
    whole: bool
    type: str
    version: str
    syntax: str
    role: str
    envelope: bool
    written: int
    sent: int
    sender: str
    receiver: str
    patient: str
    content: str
    size: int
    attachments: int
    longest_text: int
    target: str
    state: str
    refused: bool
    klass: str
    round_trip: str
    covered: list[Covered]
    issues: list[Seen]
    differences: list[str]
    causes: list[list[str]]
    features: list[str]
    checks: list[str]
    errors: int
    warnings: int
    ties: Ties

    def line(self) -> bytes:
        """The line, without a line feed."""
        return json.dumps(self, separators=(",", ":")).encode()

    @classmethod
    def of(cls, line: bytes) -> Self:
        """From a line."""
        told = cls(*json.loads(line))
        return told._replace(
            covered=[Covered(*one) for one in told.covered],
            issues=[Seen(*one) for one in told.issues],
            ties=Ties(*told.ties),
        )


@dataclass(frozen=True)
class Collecting:
    """Makes what tells of inputs, in every worker. `key` is that of the run.

    `chosen`: the content ids of what is converted, the others are read only; None for all.
    """

    options: Options
    key: bytes
    chosen: frozenset[str] | None = None

    def __call__(self) -> Convert:
        """What makes the lines of an input, one an outcome."""
        engine = engine_for(self.options)
        collector, convert = Collector(engine, Keys(self.key)), self.options()

        def told(item: Input) -> Iterator[Outcome]:
            if self.chosen is None:
                yield from collector.lines(item, list(convert(item)))
                return
            read = list(engine.letters(item.data, name=item.display))
            ids = [content_id(item.data, n).hex() for n in range(1, len(read) + 1)]
            some = self.chosen.intersection(ids)
            yield from collector.lines(item, list(convert(item)) if some else read, some)

        return told


class Collector:
    """Tells of messages."""

    def __init__(self, engine: Engine, keys: Keys) -> None:
        self._engine, self._keys = engine, keys
        self._measures = Measures.load(engine.folder)
        self._flows: FlowTable = load_table(engine.folder / FLOWS)
        self._remembering = Remembering(self._flows, keys.derived("flows"))
        self._persons = Persons(self._flows, self._remembering)
        self._known: dict[str, frozenset[str]] = {}
        self._tags: dict[tuple[str, str], frozenset[str]] = {}

    @cached_property
    def _info(self) -> frozenset[str]:
        """The losses that take nothing away."""
        return frozenset(loss.id for loss in self._engine.mappings.losses.values() if loss.severity == "info")

    def lines(
        self, item: Input, outcomes: Sequence[Outcome], chosen: Collection[str] | None = None
    ) -> Iterator[Outcome]:
        """The lines of the messages of an input as outputs; what is no message is handed on as it is, without one."""
        messages = [outcome for outcome in outcomes if outcome.letter is not None or outcome.bundle is not None]
        if not messages:
            yield from outcomes
            return
        # What is said of an interchange as a whole is counted where it ends.
        whole = [issue for outcome in outcomes if outcome not in messages for issue in outcome.issues]
        together = list(self._together(messages))
        for n, parts in enumerate(together, 1):
            issues = [issue for part in parts for issue in part.issues] + (whole if parts is together[-1] else [])
            cid = content_id(item.data, n).hex()
            line = self.told(parts, issues, whole=chosen is None or cid in chosen)
            size = len(item.data) // len(together)
            line = line._replace(cid=cid, size=size, envelope=item.envelope is not None)
            yield Outcome("", line.type, line.version, output=line.line(), suffix=".ndjson", message="message")

    def _together(self, outcomes: Iterable[Outcome]) -> Iterator[list[Outcome]]:
        """The outcomes of each message: a receipt has one for each letter that it answers."""
        for _, parts in groupby(enumerate(outcomes), lambda one: self._same(*one)):
            yield [outcome for _, outcome in parts]

    def _same(self, number: int, outcome: Outcome) -> tuple[object, ...]:
        """What the outcomes of one message have in common."""
        letter, table = outcome.letter, self._flows.receipts
        if letter is None or letter.refused or table is None or letter.type not in table.types:
            return (number,)
        ids = [letter.text(table.original[name]) for name in ("envelope", "letter", "sender")]
        return (letter.type, *ids) if all(ids) else (number,)

    def told(self, parts: Sequence[Outcome], issues: Sequence[Issue], *, whole: bool = True) -> Told:
        """What is told of a message that was read, and, if `whole`, converted."""
        outcome = parts[0]
        letter = outcome.letter or Letter("", "", FHIR, refused=True)
        identity = {**letter.identity, **letter.values}
        about = _About(letter, outcome, parts[1:])
        seen = self._seen(about, issues) if whole else []
        covered = self._covered(about, seen) if whole else []
        attachments = self._attachments(letter)
        codes, losses = {one.code for one in seen}, {one.loss for one in covered if one.loss}
        features = [c.name for c in self._measures.changes if c.need.shown(codes, losses, attachments)]
        trip, causes = self._round_trips(parts) if whole else (NONE, [])
        told = Told(
            cid="",
            whole=whole,
            type=self._type(outcome.type),
            version=_shaped(outcome.version, _VERSION),
            syntax=outcome.syntax,
            role=self._role(outcome.type),
            envelope=False,
            written=_minute(letter, self._measures.written) or _minute(letter, self._measures.sent),
            sent=_minute(letter, self._measures.sent) or _minute(letter, self._measures.written),
            sender=self._keys.party(_text(identity, self._engine.routes.sender)),
            receiver=self._keys.party(_text(identity, self._engine.routes.receiver)),
            patient=self._keys.patient(next(filter(None, (_text(identity, n) for n in self._flows.numbers)), "")),
            content=self._content([part.letter for part in parts if part.letter]),
            size=0,
            attachments=attachments,
            longest_text=max((len(plain(v)) for v in letter.values.values() if not isinstance(v, str)), default=0),
            target=self._target(outcome),
            state=self._state(about, seen, covered),
            refused=self._refused(outcome),
            klass="",
            round_trip=trip,
            covered=covered,
            issues=seen,
            differences=self._differences(seen),
            causes=causes,
            features=features,
            checks=[c.name for c in self._measures.quality if c.need.shown(codes, losses, attachments)],
            errors=sum(one.number for one in seen if one.severity == Severity.ERROR),
            warnings=sum(one.number for one in seen if one.severity == Severity.WARNING),
            ties=self._ties(parts, letter, identity),
        )
        return told._replace(klass=self._class(told, losses))

    # -- what it is ----------------------------------------------------------------------------------------------------

    def _type(self, type_: str) -> str:
        """A type that is defined or looks like one: the text may be anything."""
        return type_ if type_ in self._engine.definitions.types else _shaped(type_, _TYPE)

    def _role(self, type_: str) -> str:
        if self._flows.receipts is not None and type_ in self._flows.receipts.types:
            return RECEIPT
        if self._flows.attachments is not None and type_ in self._flows.attachments.types:
            return ATTACHMENT
        return LETTER

    def _target(self, outcome: Outcome) -> str:
        """The mapping between the letter and FHIR; for a Bundle the one that knows it."""
        mapping = self._engine.mappings.for_letter(outcome.type) if outcome.type else None
        return mapping.name if mapping is not None else ""

    def _attachments(self, letter: Letter) -> int:
        table = self._flows.attachments
        if table is None:
            return 0
        forms = {table.holds} if letter.type in table.types else {table.named}
        return sum(pattern(leaf) in forms for leaf in letter.values)

    def _content(self, letters: Sequence[Letter]) -> str:
        """What copies of a message have in common: everything but their envelope."""
        if not any(letter.values for letter in letters):
            return ""
        told = [
            (letter.type, letter.version, leaf, plain(letter.values[leaf]))
            for letter in letters
            for leaf in sorted(letter.values)
            if not leaf.startswith("Envelope.")
        ]
        return self._remembering.digest(str(told)).hex()

    def _refused(self, outcome: Outcome) -> bool:
        if outcome.syntax == FHIR:
            return outcome.output is None
        letter = outcome.letter
        return letter is None or letter.refused or (outcome.bundle is None and bool(self._target(outcome)))

    # -- what was found ------------------------------------------------------------------------------------------------

    def _seen(self, about: _About, issues: Sequence[Issue]) -> list[Seen]:
        """The findings by code, severity and path. What the ledger and the state say anyway is left out."""
        known = self._fields(about.type)
        found: Counter[tuple[str, str, str]] = Counter()
        for issue in issues:
            if issue.code[:3] == "NCK" or issue.code in _SAID_ANYWAY:
                continue
            if self._by_table(issue):
                found[issue.code, _TABLE, ""] += issue.count
                continue
            found[issue.code, str(issue.severity), self._path(about, issue, known)] += issue.count
        return [Seen(*key, number) for key, number in sorted(found.items())]

    def _by_table(self, issue: Issue) -> bool:
        """Whether the organisation table would make it go away."""
        measures = self._measures
        return issue.code.startswith(measures.table_issues) or any(rule in issue.rule for rule in measures.table_rules)

    def _fields(self, type_: str) -> frozenset[str]:
        """The paths of a type, those of its groups too: names that are no values of a message."""
        if type_ not in self._known:
            leaves = self._engine.definitions.leaves(type_) or set()
            parts = (leaf.split(".") for leaf in leaves)
            self._known[type_] = frozenset(".".join(p[:n]) for p in parts for n in range(1, len(p) + 1))
        return self._known[type_]

    def _path(self, about: _About, issue: Issue, known: frozenset[str]) -> str:
        """Where a finding is, in words of the definition; what the sender made up is named by a digest."""
        at = issue.at
        path = pattern(_XML_ROOT.sub(r"\1.", at.path).strip(".").replace("/", ".")) if at.path else ""
        if not path and at.element:
            path = pattern(about.leaf_at(at.line, at.column))
        if path in known or not path:
            return path or self._tag(about, at.segment)
        parts = path.split(".")
        deepest = next((n for n in range(len(parts) - 1, 0, -1) if ".".join(parts[:n]) in known), 0)
        if about.is_fhir:
            return ""
        return ".".join([*parts[:deepest], "~" + self._keys.name(".".join(parts[deepest:]))])

    def _tag(self, about: _About, tag: str) -> str:
        if not tag:
            return ""
        key = (about.type, about.version)
        if key not in self._tags:
            definition = self._engine.definitions.get(*key)
            self._tags[key] = frozenset(_tags(definition.layout if definition is not None else ())) | _SERVICE
        return tag if tag in self._tags[key] else "~" + self._keys.name(tag)

    def _differences(self, seen: Iterable[Seen]) -> list[str]:
        return [f"{one.code}@{one.path}" for one in seen if one.code.startswith(self._measures.structure)]

    # -- what becomes of it --------------------------------------------------------------------------------------------

    def _covered(self, about: _About, seen: Sequence[Seen]) -> list[Covered]:
        bad = self._invalid(about, seen)
        paths = {one.path for one in bad}
        known, found = self._fields(about.type), Counter[tuple[str, str, str, str]]()
        for leaf, disposition, rule, target, loss in about.entries():
            field = pattern(target if about.is_fhir else leaf) if disposition != "defaulted" else f"+{rule}"
            if disposition != "defaulted" and field not in known:
                field = ONLY_FHIR if about.is_fhir else UNKNOWN
            state = "invalid" if field in paths else self._fate(disposition, loss)
            found[field, state, disposition, loss] += 1
        return [Covered(*key, number) for key, number in sorted(found.items())]

    def _invalid(self, about: _About, seen: Sequence[Seen]) -> list[Seen]:
        codes = self._measures.invalid_fhir if about.is_fhir else self._measures.invalid
        return [one for one in seen if one.severity == Severity.ERROR and one.code.startswith(codes)]

    def _fate(self, disposition: str, loss: str) -> str:
        if disposition in ("mapped", "constant-checked"):
            return "mapped"
        if loss in self._measures.unplaced:
            return "invalid"
        if disposition == "defaulted":
            return "defaulted"
        return "unmapped" if not loss or loss in self._measures.unmapped else "lossy"

    def _state(self, about: _About, seen: Sequence[Seen], covered: Sequence[Covered]) -> str:
        """The worst state of its fields, losses aside that take nothing away."""
        if about.refused and about.type not in self._engine.definitions.types:
            return "unmapped"  # nobody has said what such a message should look like
        if about.refused or self._invalid(about, seen):
            return "invalid"
        states = (one.state for one in covered if one.loss not in self._info or one.state in ("unmapped", "invalid"))
        return max(states, key=_RANK.__getitem__, default="mapped")

    def _class(self, told: Told, losses: set[str]) -> str:
        """The automation class of a message: the last in the alphabet that it gives reason for."""
        automatic, by_table, lossy, agreement, change, no_target = CLASSES
        if not told.target:
            return no_target
        if told.syntax == FHIR:
            return automatic
        if told.features:
            return change
        if told.state == "invalid" or told.refused or told.errors:
            return agreement
        if losses - self._info - set(self._measures.table_losses) or told.state == "unmapped":
            return lossy
        tabled = any(one.severity == _TABLE for one in told.issues)
        return by_table if tabled or losses & set(self._measures.table_losses) else automatic

    def _round_trips(self, parts: Sequence[Outcome]) -> tuple[str, list[list[str]]]:
        """How the worst of the outcomes of a message comes back, and the causes of all."""
        trips = [self._round_trip(part) for part in parts]
        worst = max((trip for trip, _ in trips), key=(EQUAL, SAME, NONE, DIFFERENT).index)
        return worst, [list(one) for one in sorted({tuple(cause) for _, causes in trips for cause in causes})]

    def _round_trip(self, outcome: Outcome) -> tuple[str, list[list[str]]]:
        """To FHIR and back, and which fields did not come back, each with the loss that says so."""
        letter = outcome.letter
        if letter is None or outcome.syntax == FHIR or outcome.pair is None or outcome.ledger is None:
            return NONE, []
        back, its_ledger = self._returned(outcome)
        if back is None:
            return DIFFERENT, [["", ""]]
        if back.values == letter.values:
            return EQUAL, []
        losses = losses_by_leaf(outcome.ledger, its_ledger)
        known, causes = self._fields(letter.type), set[tuple[str, str]]()
        for leaf in back.values.keys() | letter.values.keys():
            if _alike(back.values.get(leaf), letter.values.get(leaf)) or losses.get(leaf) in self._info:
                continue
            path = pattern(leaf)
            causes.add((path if path in known else UNKNOWN, losses.get(leaf, "")))
        return (DIFFERENT if causes else SAME), sorted([list(cause) for cause in causes])

    def _returned(self, outcome: Outcome) -> tuple[Letter | None, Ledger]:
        """The letter that comes back from a letter's Bundle, whatever is lost on the way; and the ledger of it."""
        mapping, bundle = self._engine.mappings.for_letter(outcome.type), outcome.bundle
        if mapping is None or bundle is None:
            return None, Ledger()
        context = Context(directory=self._engine.directory, accept=frozenset(self._engine.mappings.losses))
        return mapping.from_fhir(bundle, context, IssueLog(), lambda: iter(leaves(bundle)))

    # -- what ties it to others ----------------------------------------------------------------------------------------

    def _ties(self, parts: Sequence[Outcome], letter: Letter, identity: dict[str, Value]) -> Ties:
        outcome = parts[0]
        others = [part.letter for part in parts[1:] if part.letter is not None]
        known = Letter(letter.type, letter.version, letter.syntax, identity, letter.counts)
        receipts, attachments, role = self._flows.receipts, self._flows.attachments, self._role(letter.type)

        def of(path: str) -> list[str]:
            told = (one.hex() for part in (known, *others) for one in self._remembering.digests(part, (path,)))
            return list(dict.fromkeys(told))

        original = receipts.original if receipts is not None else {}
        answers = receipts if role == RECEIPT else None
        return Ties(
            wants=receipts is not None
            and role != RECEIPT
            and bool(receipts.wanted)
            and all(known.text(leaf) == value for leaf, value in receipts.wanted.items()),
            sender="".join(of(original.get("sender", ""))[:1]),
            letters=of(original.get("letter", "")),
            envelopes=of(original.get("envelope", "")),
            answered_sender="".join(of(answers.sender)[:1]) if answers else "",
            answered_letters=of(answers.letter) if answers else [],
            answered_envelopes=of(answers.envelope) if answers else [],
            holds=of(attachments.holds) if attachments and role == ATTACHMENT else [],
            names=of(attachments.named) if attachments and role == LETTER else [],
            person=self._person(outcome),
            flow=_flow(self._remembering.message(outcome)),
        )

    def _person(self, outcome: Outcome) -> list[Any]:
        if outcome.letter is None or outcome.letter.refused:
            return []
        person = self._persons.person(outcome)
        return [] if person is None else [*(part.hex() for part in person[:3]), person.replacement]


# What the ledger or the pairs say: pairs are of the whole corpus, and attachments are joined within one input only.
_SAID_ANYWAY = frozenset(
    kind.code for kind in (LOSS, NO_MAPPING, NO_TARGET, SAME_SYNTAX, ALONE, NOT_JOINED, MISSING, NOT_ACROSS)
)
_TABLE = "table"  # stands for the severity of what the organisation table makes go away
_SERVICE = frozenset(("UNA", "UNB", "UNG", "UNH", "UNT", "UNE", "UNZ", "UNO", "UNP"))


def _tags(items: Iterable[Item]) -> Iterator[str]:
    """The tags of the segments in a layout."""
    for item in items:
        if isinstance(item, SegmentTemplate):
            yield item.tag
            continue
        if isinstance(item, Group):
            yield item.trigger
        yield from _tags([*item.items, *(item.choices if isinstance(item, Repeat) else ())])


class _About:
    """The message that is told of."""

    def __init__(self, letter: Letter, outcome: Outcome, others: Sequence[Outcome] = ()) -> None:
        self._letter, self._outcome, self._others = letter, outcome, others
        self.type, self.version, self.is_fhir = outcome.type, outcome.version, outcome.syntax == FHIR
        self.refused = letter.refused

    def entries(self) -> Iterator[Raw]:
        """The lines of its ledger; where nobody says what becomes of its leaves, they are lost."""
        ledger = self._outcome.ledger
        if ledger is not None:
            yield from ledger.raw
            yield from ledger.raw_defaulted
            # The other outcomes of a receipt repeat what stands there once, and add a repetition of its group.
            more = (raw for other in self._others if other.ledger is not None for raw in other.ledger.raw)
            yield from (raw for raw in more if "[" in raw[0])
        elif not self.is_fhir:
            for leaf in (*self._letter.values, *(extra.path for extra in self._letter.extras)):
                yield (leaf, "lost", "", "", "")

    def leaf_at(self, line: int, column: int) -> str:
        """The leaf that stands there."""
        return self._leaves.get((line, column), "")

    @cached_property
    def _leaves(self) -> dict[tuple[int, int], str]:
        found = ((at, leaf) for leaf in self._letter.values for at in self._letter.locate(leaf))
        return {(at.line, at.column): leaf for at, leaf in found}


def _flow(message: Message | None) -> list[Any]:
    if message is None:
        return []
    one = [part.hex() for part in (message.letter, message.status, message.sender, message.receiver, message.referral)]
    return [*one, [part.hex() for part in message.episodes], [part.hex() for part in message.patient], message.minute]


def _alike(one: Value | None, other: Value | None) -> bool:
    """Whether two values say the same but for formats and blanks; absent is as good as empty."""
    return "".join(plain(one or "").split()) == "".join(plain(other or "").split())


def _text(values: dict[str, Value], leaf: str) -> str:
    return plain(values.get(leaf, "")).strip()


def _shaped(text: str, form: re.Pattern[str]) -> str:
    return text if not text or form.match(text) else OTHER


def _minute(letter: Letter, paths: Sequence[str]) -> int:
    """Minutes since the first day of the year 1, by the letter's own words; 0 if it does not say, or nonsense."""
    date, time = ((letter.text(path) or letter.identity.get(path, "")) for path in (*paths, "", "")[:2])
    try:
        at = datetime.fromisoformat(f"{date}T{time or '00:00'}")
    except ValueError:
        return 0
    if not 1990 <= at.year <= 2100 or at.tzinfo is not None:
        return 0
    return at.toordinal() * _DAY + at.hour * 60 + at.minute
