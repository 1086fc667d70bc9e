"""What becomes of a message on its way: converted, passed through, or not to be delivered.

MedCom's rules for conversion services, by the organisation table: a message is converted when its receiver is
registered for its content in another form and not in its own (R1, SC-1); who is registered for both forms gets it as
it is, and the table is at fault (SC-2). What counts is the registration on a day; ability decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converter.issues import IssueKind, IssueLog, Location, Severity, declare
from converter.routes import EDIFACT, FHIR, OIOXML

if TYPE_CHECKING:
    from converter.directory import Organisation
    from converter.engine import Engine, Outcome

CONVERT, PASS, NONE = "convert", "pass through", "cannot deliver"

NO_RECEIVER = declare(
    "RTE001",
    "route-no-receiver",
    Severity.ERROR,
    "the message does not name its receiver by a location number",
    why="Nobody can look up what the receiver takes, so the message cannot be delivered.",
    help="The sender must write the location number of the receiver.",
    source="MedCom, conversion service use case R1, step 3",
)
UNKNOWN = declare(
    "RTE002",
    "route-receiver-unknown",
    Severity.ERROR,
    "the organisation table has no row for GLN {gln} on {day}",
    why="The message cannot be delivered.",
    help="Look the location number up in the SOR register; the organisation may have closed or moved.",
    source="MedCom, conversion service use case R1, step 3",
)
SEVERAL = declare(
    "RTE003",
    "route-receiver-ambiguous",
    Severity.ERROR,
    "the organisation table has {number} rows for GLN {gln} on {day}",
    why="The rows may name different forms, and none of them is chosen.",
    help="`medcom-fhir sor check` names the rows; end one of them before the other begins.",
)
NOT_REGISTERED = declare(
    "RTE004",
    "route-not-registered",
    Severity.ERROR,
    "GLN {gln} is not registered for {name}, nor for its content in another form",
    why="The message cannot be delivered.",
    help="Ask the receiver what it takes, and have it registered.",
    source="MedCom, conversion service use case R1; row of the organisation table",
)
NO_CONVERSION = declare(
    "RTE005",
    "route-no-conversion",
    Severity.ERROR,
    "GLN {gln} takes the content of {name} as {wanted} only, which the message cannot be converted to",
    why="The message cannot be delivered.",
    help="`medcom-fhir doctor` lists letter definitions and mappings.",
    source="MedCom, conversion service use case R1; row of the organisation table",
)
BOTH_FORMS = declare(
    "RTE006",
    "route-both-forms",
    Severity.WARNING,
    "GLN {gln} is registered for {name} and for the same content as {other}",
    why="A receiver of both forms never needs a conversion: the register must name one of them.",
    help="Have the form that is no longer used removed from the register.",
    source="MedCom, conversion service, rule SC-2",
)
ABLE = declare(
    "RTE007",
    "route-able-not-registered",
    Severity.INFO,
    "GLN {gln} can receive {names} and is not registered for it",
    why="Senders cannot see the ability, so messages are converted or held back without need.",
    help="Have it registered in SOR.",
    source="Columns receives and can_receive of the organisation table",
)
UNABLE = declare(
    "RTE008",
    "route-registered-not-able",
    Severity.WARNING,
    "GLN {gln} is registered for {names} and cannot receive it",
    why="Messages are sent that the receiver's system refuses.",
    help="Have the registration ended, or the system renewed.",
    source="Columns receives and can_receive of the organisation table",
)
NO_NAME = declare(
    "RTE009",
    "route-no-name",
    Severity.ERROR,
    "the message has no name in the SOR register",
    why="No receiver can be registered for it, so it cannot be delivered.",
    help="Judge the message with `validate`. A name is one row in routes.yaml of the mapping files.",
)


@dataclass(frozen=True, slots=True)
class Route:
    """What becomes of one message. `form` is how it is delivered (NAME@VERSION), `row` the row that says so.

    `unregistered` is what the receiver can receive without being registered for it, `unable` the reverse; both are of
    the content of this message only. `finding` is why it cannot be delivered.
    """

    decision: str
    name: str = ""
    receiver: str = ""
    form: str = ""
    row: Organisation | None = None
    unregistered: tuple[str, ...] = ()
    unable: tuple[str, ...] = ()
    finding: IssueKind | None = None


@dataclass(frozen=True, slots=True)
class _Form:
    """A way to say the content of a message: its name in the register, and which letter it is (or FHIR)."""

    name: str
    syntax: str
    type: str = ""
    versions: tuple[str, ...] = ()


class Router:
    """Routes messages by the organisation table of an engine, on one day. Findings of a row are told once."""

    def __init__(self, engine: Engine, day: str) -> None:
        assert engine.directory is not None
        self._engine, self._directory, self._day = engine, engine.directory, day
        self._told: set[tuple[str, str, str]] = set()

    def route(self, outcome: Outcome, at: Location, log: IssueLog) -> Route:
        """What becomes of a message that was read."""
        forms = list(self._forms(outcome))
        if outcome.letter is not None and outcome.letter.refused:  # its own findings say why
            return Route(NONE, forms[0].name if forms else "")
        gln = self._receiver(outcome)
        facts: dict[str, Any] = {"gln": gln, "day": self._day, "name": forms[0].name if forms else ""}
        kind = NO_NAME if not forms else NO_RECEIVER if not gln else None
        rows = self._directory.rows(gln, self._day) if kind is None else ()
        if kind is None and len(rows) != 1:
            kind = SEVERAL if rows else UNKNOWN
        if kind is not None:
            log.add(kind, at, number=len(rows), **facts)
            return Route(NONE, facts["name"], gln, finding=kind)
        return self._by_row(outcome, forms, rows[0], at, log)

    def _by_row(self, outcome: Outcome, forms: list[_Form], row: Organisation, at: Location, log: IssueLog) -> Route:
        own, *others = forms
        unregistered, unable = self._abilities(forms, row, at, log)
        facts: dict[str, Any] = {"gln": row.gln, "name": own.name}
        registered = [form for form in forms if row.versions(form.name)]
        form = next((token for form in registered if (token := self._possible(outcome, own, form, row))), "")
        decision, kind = PASS if form in self._as_it_is(own) else CONVERT, None
        if not registered:
            decision, kind = NONE, NOT_REGISTERED
            log.add(kind, at, **facts)
        elif not form:
            wanted = " or ".join(f"{form.name}@{version}" for form in registered for version in row.versions(form.name))
            decision, kind = NONE, NO_CONVERSION
            log.add(kind, at, wanted=wanted, **facts)
        for other in others:
            if own in registered and other in registered and FHIR in (own.syntax, other.syntax):
                self._once(BOTH_FORMS, row, at, log, other.name, name=own.name, other=other.name)
        return Route(decision, own.name, row.gln, form, row, unregistered, unable, kind)

    # -- what a message is called, and what else says the same

    def _forms(self, outcome: Outcome) -> Iterator[_Form]:
        """The forms of a message's content, its own first; none if it has no name."""
        routes = self._engine.routes
        if outcome.syntax == FHIR:
            row = routes.message(outcome.bundle) if outcome.bundle is not None else None
            if row is None:
                return
            yield _Form(row.name, FHIR, versions=(row.version, *row.also))
            for type_ in row.letters:
                yield from (self._letter(type_, syntax) for syntax in (OIOXML, EDIFACT))
            return
        letter = outcome.letter
        if letter is None or not letter.type:
            return
        first, second = (outcome.syntax, EDIFACT if outcome.syntax == OIOXML else OIOXML)
        yield _Form(routes.of_letter(letter.type, "", first).name, first, letter.type, (letter.version,))
        yield self._letter(letter.type, second)
        for message in routes.fhir.values():
            if letter.type in message.letters:
                yield _Form(message.name, FHIR, versions=(message.version, *message.also))

    def _letter(self, type_: str, syntax: str) -> _Form:
        return _Form(self._engine.routes.of_letter(type_, "", syntax).name, syntax, type_)

    def _receiver(self, outcome: Outcome) -> str:
        fhir = outcome.syntax == FHIR
        letter, bundle = (None, outcome.bundle) if fhir else (outcome.letter, None)
        return self._engine.routes.parties(letter, bundle)[1]

    # -- what can be done

    def _as_it_is(self, own: _Form) -> set[str]:
        """The message itself, as the table may write it (a version in OIOXML has an X before it, or has not)."""
        versions = {*own.versions, *(self._written(own, version) for version in own.versions)}
        return {f"{own.name}@{version}" for version in versions}

    def _written(self, form: _Form, version: str) -> str:
        if form.syntax == FHIR:
            return version
        return self._engine.routes.of_letter(form.type, version, form.syntax).version

    def _possible(self, outcome: Outcome, own: _Form, form: _Form, row: Organisation) -> str:
        """The registered form with a version that the message has or can be converted to; empty if there is none."""
        tokens = {f"{form.name}@{version}": version for version in row.versions(form.name)}
        if form == own and (same := sorted(self._as_it_is(own) & tokens.keys())):
            return same[0]
        return next((token for token, version in tokens.items() if self._convertible(outcome, form, version)), "")

    def _convertible(self, outcome: Outcome, form: _Form, version: str) -> bool:
        engine = self._engine
        if form.syntax == FHIR:
            known = outcome.syntax != FHIR and engine.mappings.for_letter(outcome.type) is not None
            return known and version in form.versions
        if outcome.syntax == FHIR and not self._has_way_back(outcome, form.type):
            return False
        definitions = (engine.definitions.get(form.type, v) for v in engine.definitions.types.get(form.type, ()))
        return any(
            version in (d.version, self._written(form, d.version)) and (form.syntax == OIOXML or d.edifact)
            for d in definitions
            if d is not None
        )

    def _has_way_back(self, outcome: Outcome, type_: str) -> bool:
        """Whether the Bundle has a mapping that makes this letter of it."""
        bundle: Mapping[str, Any] = outcome.bundle or {}
        meta = bundle.get("meta")
        profiles = meta.get("profile") if isinstance(meta, dict) else None
        claimed = [url for url in profiles if isinstance(url, str)] if isinstance(profiles, list) else []
        found = self._engine.mappings.for_bundle(dict(bundle), claimed)
        return found is not None and found is self._engine.mappings.for_letter(type_)

    # -- ability and registration

    def _abilities(
        self, forms: list[_Form], row: Organisation, at: Location, log: IssueLog
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What the receiver can receive without being registered for it, and the reverse, of the message's content."""
        if row.can_receive is None:
            return (), ()
        names = {form.name for form in forms}
        able = [item for item in row.can_receive if item.partition("@")[0] in names]
        registered = [item for item in row.receives if item.partition("@")[0] in names]
        unregistered = tuple(item for item in able if item not in registered)
        unable = tuple(item for item in registered if item not in able)
        for kind, items in ((ABLE, unregistered), (UNABLE, unable)):
            if items:
                self._once(kind, row, at, log, " ".join(items), names=", ".join(items))
        return unregistered, unable

    def _once(self, kind: IssueKind, row: Organisation, at: Location, log: IssueLog, about: str, **facts: Any) -> None:
        key = (kind.code, row.gln, about)
        if key not in self._told:
            self._told.add(key)
            log.add(kind, at, gln=row.gln, **facts)
