"""The path of one message: bytes in, `Outcome` out. No files, no processes, no clock; one bad message stops nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter import edifact, oioxml
from converter.answers import Answer, accounted, answered, answers
from converter.content import Content, content_of, mappings_folder
from converter.definitions import Definitions
from converter.errors import ConversionError, MappingError
from converter.fhir import bundle as fhir
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.joining import (
    AttachmentTable,
    Joined,
    Partners,
    Splitting,
    check_object,
    in_order,
    without_partners,
)
from converter.ledger import Ledger, leaves_of
from converter.letter import Letter, Value
from converter.limits import Limits
from converter.mapping import Context, Mappings, is_letter_born
from converter.mapping.ids import short
from converter.mapping.without import NO_MAPPING, unmapped
from converter.outcome import EDIFACT, FHIR, OIOXML, Outcome, located
from converter.routes import Routes
from converter.rules import DEFAULT_LEVEL, Rules

if TYPE_CHECKING:
    from converter.directory import Directory
    from converter.fhir.documents import Documents
    from converter.fhir.library import Library
    from converter.fhir.narrative import Narratives
    from converter.fhir.profiles import Profile
    from converter.mapping.document import Answers
    from converter.originals import Original, Store

__all__ = ["EDIFACT", "FHIR", "OIOXML", "TARGETS", "Engine", "Outcome", "mappings_folder"]
TARGETS = (FHIR, OIOXML, EDIFACT)
_SUFFIX = {FHIR: ".json", OIOXML: ".xml", EDIFACT: ".edi"}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")

SAME_SYNTAX = declare(
    "MAP007",
    "nothing-to-convert",
    Severity.ERROR,
    "the message already is {what}",
    why="The output would be the input.",
    help="Choose another target with --to, or use `validate`.",
)
FHIR_XML = declare(
    "PRO018",
    "fhir-xml",
    Severity.ERROR,
    "the message is FHIR in XML, which is not read yet",
    why="It was not converted.",
    help="Send the Bundle as JSON.",
)
NOT_A_BUNDLE = declare(
    "PRO019",
    "not-a-message-bundle",
    Severity.ERROR,
    "expected a Bundle of type message, found {what}",
    why="MedCom's FHIR messages are Bundles; anything else cannot be a letter.",
    help="Send the whole message, with its MessageHeader first.",
)
UNRECOGNISED = declare(
    "SYS010",
    "unrecognised-input",
    Severity.ERROR,
    "this is no EDIFACT, OIOXML or FHIR message",
    why="It was not converted.",
    help="EDIFACT starts with UNA or UNB, OIOXML has the document element Emessage, FHIR is a JSON Bundle.",
)
NO_PACK = declare(
    "NCK020",
    "profile-not-available",
    Severity.INFO,
    "no compiled profile pack holds the profile of this message, so it was not checked",
    why="Nothing is said about its validity.",
    help="Compile the package with `medcom-fhir profiles pack GUIDE#VERSION`.",
)


class Engine:
    """Converts and validates messages. Everything is loaded and compiled once, on first use.

    Raises `MappingError` when the mapping files do not load. Parameters: `mappings` the folder of mapping files;
    `directory` the organisation table; `accept` ids of losses that must not refuse a message; `kept` values of a
    sidecar by message id, `sidecar` whether values are kept for one; `ecpr_level` how closely replacement CPR numbers
    are looked at (0 to 5); `encoding` what UNOC bytes are read as; `document`
    whether Bundles are made into FHIR documents; `store` what is known of messages that were converted before, which
    receipts are joined to, and `strict_receipts` whether one that answers none of them is an error; `lines` whether
    Bundles are written as a line each.
    """

    def __init__(
        self,
        mappings: Path | None = None,
        *,
        directory: Directory | None = None,
        attempt: int = 1,
        accept: frozenset[str] = frozenset(),
        validate: bool = True,
        limits: Limits | None = None,
        letter_version: str | None = None,
        encoding: str | None = None,
        cross_check: bool = False,
        kept: Mapping[str, Mapping[str, Value]] | None = None,
        sidecar: bool = False,
        ecpr_level: int = DEFAULT_LEVEL,
        codes: Path | None = None,
        document: bool = False,
        store: Store | None = None,
        strict_receipts: bool = False,
        lines: bool = False,
    ) -> None:
        self.folder = mappings or mappings_folder()
        self.directory, self.attempt, self.accept = directory, attempt, accept
        self.checking, self.limits, self.letter_version = validate, limits or Limits(), letter_version
        self.encoding, self.cross_check = encoding, cross_check
        self.kept, self.sidecar = kept or {}, sidecar
        self.ecpr_level = ecpr_level
        self._codes = codes
        self.document = document
        self.store, self.strict_receipts = store, strict_receipts
        self.lines = lines

    @cached_property
    def _content(self) -> Content:
        return content_of(self.folder)

    @cached_property
    def definitions(self) -> Definitions:
        """The letter definitions."""
        return self._content.definitions

    @cached_property
    def mappings(self) -> Mappings:
        """The mappings, compiled. Others may be put in their place, for this engine alone."""
        return self._content.mappings

    @cached_property
    def rules(self) -> Rules:
        """The rules about the content of letters."""
        return Rules.load(self.folder, self.ecpr_level)

    @property
    def routes(self) -> Routes:
        """What messages are called where they are addressed."""
        return self._content.routes

    @cached_property
    def attachments(self) -> AttachmentTable:
        """How letters that hold objects are joined to the letters that name them."""
        return self._content.attachments

    @cached_property
    def narratives(self) -> Narratives:
        """The narrative templates, compiled."""
        return self._content.narratives

    @property
    def documents(self) -> Documents:
        """How messages become FHIR documents."""
        return self._content.documents

    @cached_property
    def packs(self) -> Library:
        """The compiled profile packs of the mapping folder; each is read when it is needed."""
        if self._codes is None:
            return self._content.packs
        from converter.fhir.codes import read_codes
        from converter.fhir.library import Library

        return Library(self.folder / "profiles", read_codes(self._codes))

    def profile(self, url: str) -> Profile | None:
        """The profile with that canonical (`url` or `url|version`): of the guide whose own it is, else of any pack."""
        return self.packs.any_profile(url)

    def load(self) -> None:
        """Load and compile everything now. Raises `MappingError` with all faults of all files."""
        faults: list[Issue] = []
        content = self._content
        for part in (lambda: list(self.definitions), content.check_attachments, lambda: self.mappings.mappings):
            try:
                part()
            except MappingError as error:
                faults.extend(error.issues)
                break
        if faults:
            raise MappingError("mapping files do not load", faults)

    # -- what the bytes are --------------------------------------------------------------------------------------------

    def convert(
        self, data: bytes, *, to: str | None = None, name: str = "", partners: Partners | None = None
    ) -> Iterator[Outcome]:
        """Convert every message in some bytes; `to` is fhir, oioxml or edifact (default: fhir, from FHIR oioxml).

        Yields one outcome a message, also for those that could not be built. On the way to FHIR, letters with objects
        are joined to the letters that name them: those of `partners` (the caller then asks them which were alone), else
        those in the same bytes. A Bundle with contents gives its letter and then the letters with its objects. Raises
        `ConversionError` for an unknown target and `MappingError` when mapping files do not load.
        """
        if to not in (None, *TARGETS):
            raise ConversionError(f"unknown target {to}")
        known = partners

        def joining() -> Partners:
            # Not before a letter names objects: to look for those that hold them takes as long as all of this.
            nonlocal known
            if known is None:
                known = self.partners([(data, name)] if to in (None, FHIR) else ())
            return known

        waiting = []
        for read, found in self._read(data, name):
            for outcome, log in self._converted(read, to, found, joining, len(data)):
                if self.document and outcome.bundle is not None:
                    self._as_document(outcome, outcome.bundle, log)
                if outcome.is_partner and outcome.syntax != FHIR and partners is None:
                    waiting.append((outcome, log))
                else:
                    yield self._done(outcome, log)
        for number, (outcome, log) in enumerate(waiting):
            outcome.joined = joining().verdict(number, log)
            yield self._done(outcome, log)

    def _converted(
        self, outcome: Outcome, to: str | None, log: IssueLog, partners: Callable[[], Partners], size: int
    ) -> Iterable[tuple[Outcome, IssueLog]]:
        """What becomes of a message: one outcome, several where it answers or is several messages."""
        if outcome.letter is not None and not outcome.letter.refused:
            return self._letter_to(outcome, outcome.letter, to or FHIR, log, partners)
        if outcome.bundle is not None and not self.document:
            return self._bundle_to(outcome, outcome.bundle, to or OIOXML, log, size)
        return ((outcome, log),)

    def partners(self, inputs: Iterable[tuple[bytes, str]] = ()) -> Partners:
        """The letters with objects in some bytes with their names, to be joined by `convert`."""
        found = Partners(self.attachments, self.limits.joined)
        for data, name in inputs:
            for letter, broken in self.holders(data, name):
                found.add(letter, broken, name, lambda letter=letter, broken=broken: (letter, broken))  # type: ignore[misc]
        return found

    def holders(self, data: bytes, name: str) -> Iterator[tuple[Letter, bool]]:
        """The letters with objects in some bytes, and whether each has errors, so that it must not be joined.

        Bytes that can hold none are not read.
        """
        if data[:1] == b"{" or not self.attachments.marked(data):
            return
        for outcome, log in self._read(data, name):
            letter = outcome.letter
            if letter is not None and letter.type in self.attachments.letters and not letter.refused:
                self._content.check_attachments()
                if self.checking:
                    self._check_letter(letter, log)
                errors = [issue.code for issue in log if issue.severity is Severity.ERROR]
                yield letter, any(code not in self.attachments.harmless for code in errors)

    def validate(self, data: bytes, *, name: str = "", profile: str | None = None) -> Iterator[Outcome]:
        """Judge every message in some bytes: letters by their definition, Bundles by their profile (or `profile`)."""
        for outcome, log in self._read(data, name, documents=True):
            letter = outcome.letter
            if letter is not None and not letter.refused:
                self._check_letter(letter, log)
            elif outcome.bundle is not None:
                self._check_bundle(outcome.bundle, log, name, profile, len(data))
            yield self._done(outcome, log)

    def letters(self, data: bytes, *, name: str = "") -> Iterator[Outcome]:
        """Every message in some bytes as a letter, without judging it: Bundles by the way back of their mapping.

        No loss refuses a Bundle here: nothing is written, and whoever looks at letters must see them all.
        """
        for outcome, log in self._read(data, name):
            if outcome.bundle is not None:
                self._letter_of(outcome, outcome.bundle, log, frozenset(self.mappings.losses))
            yield self._done(outcome, log)

    def messages(self, data: bytes, *, name: str = "") -> Iterator[Outcome]:
        """Every message in some bytes as it stands: read, and neither judged nor converted."""
        for outcome, log in self._read(data, name):
            yield self._done(outcome, log)

    def _read(self, data: bytes, name: str, *, documents: bool = False) -> Iterable[tuple[Outcome, IssueLog]]:
        if edifact.sniff(data):
            return self._read_letters(data, name, EDIFACT)
        start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
        if start[:1] in (b"{", b"["):
            return (self._read_bundle(data, name, ("message", "document") if documents else ("message",)),)
        if b"http://hl7.org/fhir" in start and not oioxml.sniff(data):
            return (self._refused(name, FHIR_XML),)
        if oioxml.sniff(data):
            return self._read_letters(data, name, OIOXML)
        log = IssueLog()
        log.add(UNRECOGNISED, Location(name, 1, 1))
        return ((Outcome(name, recognised=False), log),)

    def _refused(self, name: str, kind: Any, **facts: Any) -> tuple[Outcome, IssueLog]:
        log = IssueLog()
        log.add(kind, Location(name, 1, 1), **facts)
        return Outcome(name, syntax=FHIR), log

    def _read_letters(self, data: bytes, name: str, syntax: str) -> Iterator[tuple[Outcome, IssueLog]]:
        log = IssueLog()
        if syntax == EDIFACT:
            if self.cross_check:
                from converter.edifact.crosscheck import cross_check

                cross_check(data, log, file=name, limits=self.limits, encoding=self.encoding or "")
            letters = edifact.read(data, self.definitions, log, file=name, limits=self.limits, encoding=self.encoding)
        else:
            letters = oioxml.read(data, self.definitions, log, file=name, limits=self.limits)
        number = 0
        for letter in letters:
            number += 1
            outcome = Outcome(name, letter.type, letter.version, syntax, "", letter)
            outcome.message = f"{name}#{number}"
            yield outcome, IssueLog(log.drain())
        if not number or len(log):
            yield Outcome(name, syntax=syntax), log

    def _read_bundle(self, data: bytes, name: str, types: tuple[str, ...]) -> tuple[Outcome, IssueLog]:
        log = IssueLog()
        bundle = fhir.read_json(data, log, file=name, limits=self.limits)
        outcome = Outcome(name, syntax=FHIR, message=f"{name}#1")
        if bundle is None:
            return outcome, log
        kind, type_ = bundle.get("resourceType"), bundle.get("type")
        if kind != "Bundle" or type_ not in types:
            known = kind if isinstance(kind, str) and kind.isalpha() else "something else"
            log.add(NOT_A_BUNDLE, Location(name, 1, 1), what=known if kind != "Bundle" else "a Bundle of another type")
            outcome.recognised = kind == "Bundle"
            return outcome, log
        outcome.bundle = bundle
        header = fhir.header(bundle)
        if _UUID.match(str(header.get("id", ""))):
            outcome.message = header["id"]
        return outcome, log

    # -- the two ways --------------------------------------------------------------------------------------------------

    def _context(self, name: str, message: str, log: IssueLog) -> Context:
        # By position: one is made for each message, and names would cost more than all the rest of it.
        kept = self.kept.get(message, {})
        return Context(
            self.directory, self.attempt, self.accept, self.letter_version, name, "", kept, self.sidecar, False, {}, log
        )

    def _letter_to(
        self, outcome: Outcome, letter: Letter, to: str, log: IssueLog, partners: Callable[[], Partners]
    ) -> Iterable[tuple[Outcome, IssueLog]]:
        outcome.target, outcome.suffix = to, _SUFFIX[to]
        if self.checking:
            self._check_letter(letter, log)
        mapping = self.mappings.for_letter(letter.type) if to == FHIR else None
        if mapping is not None and mapping.document.answers is not None:
            return self._answer_to_fhir(outcome, letter, mapping.document.answers, log)
        if to == FHIR and letter.type in self.attachments.letters:
            outcome.is_partner = True
        elif to == FHIR:
            self._letter_to_fhir(outcome, letter, log, partners)
        elif to == outcome.syntax and self.letter_version in (None, letter.version):
            log.add(SAME_SYNTAX, Location(outcome.name, 1, 1), what=to)
        else:
            outcome.output = self._written(letter, to, log)
            entries = [(leaf, "mapped", "letter", leaf, "") for leaf in letter.values]
            entries += [(extra.path, "lost", "", "", "C91-20") for extra in letter.extras]
            outcome.ledger = Ledger(len(entries), entries)
            outcome.ledger.check(leaves_of(letter), log)
        return ((outcome, log),)

    def answers(self, letter: Letter, log: IssueLog, *, name: str = "") -> Iterator[Answer]:
        """What a receipt answers: a receipt of each letter that it is about. Nothing where the letter is no receipt."""
        mapping = self.mappings.for_letter(letter.type)
        own = mapping.document.answers if mapping is not None else None
        if own is None:
            return

        def spec_of(type_: str) -> Answers:
            mapping = self.mappings.for_letter(type_)
            return (mapping.document.answers if mapping is not None else None) or own

        yield from answers(letter, spec_of, self.store, log, file=name, strict=self.strict_receipts)

    def _answer_to_fhir(
        self, outcome: Outcome, letter: Letter, spec: Answers, log: IssueLog
    ) -> Iterator[tuple[Outcome, IssueLog]]:
        """The FHIR answers that a receipt makes: one for each letter that it answers, once its group is complete."""
        made = None
        for one in self.answers(letter, log, name=outcome.name):
            made = replace(outcome, letter=one.read, issues=[])
            ledger = Ledger()
            if one.letter is not None:
                self._letter_to_fhir(made, one.letter, one.log, self.partners, one.original)
                ledger, made.letter = made.ledger or ledger, one.read
            if one.letter is not one.read:
                made.ledger = accounted(one.read, one.letter or one.read, ledger, spec)
                made.ledger.check(leaves_of(one.read), one.log)
            yield made, one.log
        if made is None:
            yield outcome, log

    def _letter_to_fhir(
        self,
        outcome: Outcome,
        letter: Letter,
        log: IssueLog,
        partners: Callable[[], Partners],
        original: Original | None = None,
    ) -> None:
        mapping = self.mappings.for_letter(letter.type)
        if mapping is None:
            unmapped(letter.type, self.mappings.without, Location(outcome.name, 1, 1), log)
            return
        joined = Joined(letter, self.attachments)
        if self.attachments.reference in letter.counts:
            joined.find(partners, self.definitions, log, mapping.carried)
        outcome.letter, outcome.partners = joined.own, joined.partners
        context = self._context(outcome.name, "", log)
        context.original, context.told = original, True
        bundle, ledger = mapping.to_fhir(joined.letter, context, log)
        mapping.report(joined.account(ledger, bundle, context.keeping), joined.letter.locate, context, log)
        ledger.check(joined.leaves(), log)
        outcome.ledger, outcome.kept = ledger, context.keeping
        if bundle is None:
            return
        self.narratives.add(bundle)
        outcome.bundle, outcome.message = bundle, fhir.header(bundle).get("id", outcome.message)
        self._write_bundle(outcome, bundle)
        if mapping.document.answers is None:  # receipts are not receipted
            outcome.pair = letter, bundle
            outcome.fault = joined.fault
        if self.checking:
            found = IssueLog()
            self._check_bundle(bundle, found, outcome.name, mapping.bundle, len(outcome.output or b""))
            if found.issues:
                log.extend(located(joined.tolerated(found.issues, ledger), joined.letter, ledger, outcome.name))

    def _bundle_to(
        self, outcome: Outcome, bundle: dict[str, Any], to: str, log: IssueLog, size: int
    ) -> Iterator[tuple[Outcome, IssueLog]]:
        outcome.target, outcome.suffix = to, _SUFFIX[to]
        if to == FHIR:
            log.add(SAME_SYNTAX, Location(outcome.name, 1, 1), what=to)
            yield outcome, log
            return
        if self.checking:
            self._check_bundle(bundle, log, outcome.name, None, size)
        mapping = self.mappings.for_bundle(bundle, fhir.profiles(bundle))
        originals = self.originals(bundle, log, name=outcome.name)
        for number in range(len(originals)):
            one, own = (replace(outcome), IssueLog()) if number else (outcome, log)
            letter = self._letter_of(one, bundle, own, self.accept, *originals[number:], *originals[:number])
            if letter is not None:
                if self.checking:
                    self._check_letter(letter, own)
                if mapping is not None and mapping.document.answers is None:
                    one.pair = letter, bundle
                one.output = self._written(letter, to, own)
            yield one, own
            yield from self._split_off(one)

    def originals(self, bundle: dict[str, Any], log: IssueLog, *, name: str = "") -> Sequence[Original | None]:
        """The letters that a FHIR answer answers, each of which gets a receipt; [None] where none is known."""
        mapping = self.mappings.for_bundle(bundle, fhir.profiles(bundle))
        spec = mapping.document.answers if mapping is not None else None
        if mapping is None or spec is None or is_letter_born(mapping.document, bundle):
            return [None]
        return answered(spec, fhir.header(bundle), self.store, log, file=name, strict=self.strict_receipts)

    def _split_off(self, outcome: Outcome) -> Iterator[tuple[Outcome, IssueLog]]:
        """The letters with the objects of a Bundle, each as an outcome of its own."""
        for letter in outcome.partners:
            log = IssueLog()
            own = Outcome(
                outcome.name, letter.type, letter.version, FHIR, outcome.target, letter, suffix=outcome.suffix
            )
            own.message, own.is_partner = outcome.message, True
            if self.checking:
                self._check_letter(letter, log)
                for n in self.attachments.held(letter):
                    check_object(letter, n, self.attachments, log)
            own.output = self._written(letter, outcome.target, log)
            yield own, log

    def _as_document(self, outcome: Outcome, message: dict[str, Any], log: IssueLog) -> None:
        """Put the FHIR document of a message in its place; the ledger then says where its values went."""
        from converter.fhir import documents

        outcome.target, outcome.suffix, outcome.output = FHIR, _SUFFIX[FHIR], None
        plan = self.documents.plan(message)
        made = documents.document(message, plan) if plan is not None else None
        if plan is None or made is None:
            problem = "its focus is no Composition" if plan else "no rules for messages of its profile"
            log.add(documents.NO_DOCUMENT, Location(outcome.name, 1, 1), problem=problem)
            return
        for type_, number in Counter(made.left_out).items():
            log.add(documents.LEFT_OUT, Location(outcome.name, 1, 1), number=number, type=type_)
        self.narratives.add(made.bundle)
        if outcome.ledger is not None:
            outcome.ledger.move(made.moved)
        outcome.bundle = made.bundle
        self._write_bundle(outcome, made.bundle)
        if self.checking:
            self._check_bundle(made.bundle, log, outcome.name, plan.profile, len(outcome.output or b""))

    def _letter_of(
        self,
        outcome: Outcome,
        bundle: dict[str, Any],
        log: IssueLog,
        accept: frozenset[str],
        *answered: Original | None,
    ) -> Letter | None:
        """The letter of a Bundle by the way back of its mapping, with its ledger; None if there is none.

        `answered` are the letters that a receipt answers; the one that is made answers the first of them.
        """
        mapping = self.mappings.for_bundle(bundle, fhir.profiles(bundle))
        if mapping is None:
            log.add(
                NO_MAPPING, Location(outcome.name, 1, 1), direction="to a letter", what="the profile of this Bundle"
            )
            return None
        context = self._context(outcome.name, outcome.message, log)
        context.accept, context.letters = accept, len(answered)
        context.original = answered[0] if answered else None
        leaves = fhir.leaves(bundle)
        system, own = mapping.document.origin_system, len(mapping.document.origin)
        alone, marks = without_partners(bundle, system, own, self.attachments)
        letter, ledger = mapping.from_fhir(alone, context, log, lambda: iter(leaves))
        ledger.check([pointer for pointer, _, _ in leaves], log)
        outcome.ledger, outcome.kept = ledger, context.keeping
        if letter is not None:
            mint = partial(short, header=str(fhir.header(bundle).get("id", "")))
            marks = [] if context.born == "fhir" else marks
            splitting = Splitting(letter, self.attachments, self.definitions)
            letter, outcome.partners = splitting.split(ledger, marks, context.kept, mint, log)
            if outcome.partners:
                self._content.check_attachments()
            outcome.type, outcome.version = letter.type, letter.version
        outcome.letter = letter
        return letter

    def _write_bundle(self, outcome: Outcome, bundle: dict[str, Any]) -> None:
        outcome.in_line = self.lines
        outcome.output = fhir.write_ndjson(bundle) if self.lines else fhir.write_json(bundle)

    def _written(self, letter: Letter, to: str, log: IssueLog) -> bytes | None:
        write = edifact.write if to == EDIFACT else oioxml.write
        return write([letter], self.definitions, log, version=self.letter_version)

    # -- checking ------------------------------------------------------------------------------------------------------

    def _check_letter(self, letter: Letter, log: IssueLog) -> None:
        definition = self.definitions.get(letter.type, letter.version)
        if definition is not None:
            shape = definition.check(letter, log)
            self.rules.check(definition, letter, log, shape)

    def _check_bundle(self, bundle: dict[str, Any], log: IssueLog, name: str, profile: str | None, size: int) -> None:
        """Judge a Bundle; `size` is that of its bytes: a large one may hold texts that FHIR holds for too long."""
        known = self.profile(profile) if profile else self.packs.choose(bundle)
        if known is None:
            log.add(NO_PACK, Location(name, 1, 1))
        else:
            known.validate(bundle, log, file=name, size=size)

    def _done(self, outcome: Outcome, log: IssueLog) -> Outcome:
        outcome.issues = log.named(outcome.name)
        if outcome.ledger is not None and outcome.letter is not None and outcome.syntax != FHIR:
            outcome.ledger.in_order = partial(in_order, self.definitions, (outcome.letter, *outcome.partners))
        return outcome
