"""The loops behind `convert` and `validate`: inputs in, outcomes out, findings and figures on the way.

One bad message stops no interchange, one bad input no run; a fault of our own in one input is reported and the others
go on, but the exit code says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from converter.errors import ConverterError
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.limits import Limits
from converter.pairing import LetterIds
from converter.places import leaf_locator, placed
from converter.sinks import Summary
from converter.sources import Input, inputs
from converter.vans import Ids, check

if TYPE_CHECKING:
    from converter.engine import Outcome
    from converter.pairing import Pairing
    from converter.records import LedgerFile, Sidecar, State
    from converter.reporter import Reporter
    from converter.routes import Routes
    from converter.sinks import Sink

NO_MESSAGE = declare(
    "BAT011",
    "not-a-message",
    Severity.INFO,
    "skipped: no message in a syntax that is read",
    why="Folders and archives hold other files too; this one is left alone and counted.",
    help="If it should be a message, name the file itself to see what is wrong with it.",
)
INTERNAL = declare(
    "SYS020",
    "internal-error",
    Severity.ERROR,
    "internal error: {what}",
    why="This input may be converted in part or not at all; the others are not affected.",
    help="Report it with the version, the message type and this line; it holds nothing of the message.",
)


@dataclass
class Run:
    """What the loops share: the reporter, the figures, and whether our own code failed.

    `routes` gives the table of names that envelopes are compared with; it is asked for when an envelope is met.
    `pairing` has looked at the inputs before, for letters with objects.
    """

    reporter: Reporter
    limits: Limits
    describe: Callable[[BaseException], str]
    routes: Callable[[], Routes]
    summary: Summary = field(default_factory=Summary)
    broken: bool = False
    pairing: Pairing | None = None
    _envelopes: Ids = field(default_factory=Ids)

    def report(self, issues: Iterable[Issue]) -> None:
        """Report findings and count them."""
        issues = list(issues)
        self.reporter.add(issues)
        self.summary.count(issues)

    def outcomes(
        self, paths: Sequence[str], judge: Callable[[Input], Iterator[Outcome]], advance: Callable[[], None]
    ) -> Iterator[tuple[Input, Outcome]]:
        """Every recognised message of the inputs with its outcome; its findings are reported before it is yielded."""
        log = IssueLog()
        found = inputs(paths, log, self.limits) if self.pairing is None else self.pairing.inputs(log)
        for item in found:
            self.report(log.drain())
            self.reporter.looked_at(item.display)
            if item.envelope is not None:
                self._envelopes.add(item.envelope, log)
                self.report(log.drain())
            yield from self._of_input(item, judge)
            advance()
        if self.pairing is not None:
            partners = self.pairing.partners
            self.summary.rejoined(sum(partners.verdict(number, log) for number in range(len(partners))))
        self.report(log.drain())

    def _of_input(self, item: Input, judge: Callable[[Input], Iterator[Outcome]]) -> Iterator[tuple[Input, Outcome]]:
        messages = 0
        try:
            for outcome in judge(item):
                if not outcome.recognised and not item.explicit:
                    self.summary.skipped += 1
                    self._say(NO_MESSAGE, item)
                    continue
                self._compare(item, outcome, first=not messages)
                self.report(placed(outcome.issues, item.data, item.line))
                # Findings about an interchange as a whole come as an outcome of their own, which is no message
                # unless nothing else could be found.
                if outcome.message or not messages:
                    messages += 1
                    self.summary.add(outcome)
                    yield item, outcome
        except ConverterError:
            raise
        except Exception as error:  # noqa: BLE001 - the next input must not suffer from our faults
            self.broken = True
            self._say(INTERNAL, item, what=self.describe(error))

    def _compare(self, item: Input, outcome: Outcome, *, first: bool) -> None:
        """Report what the envelope of a message says otherwise than the message, at its places in the envelope."""
        if item.envelope is not None:
            self.report(check(item.envelope, outcome, self.routes(), first=first))

    def _say(self, kind: object, item: Input, **facts: object) -> None:
        log = IssueLog()
        log.add(kind, Location(item.display, item.line, 1), **facts)  # type: ignore[arg-type]
        self.report(log)


@dataclass
class Records:
    """What `convert` writes beside its outputs, each only if asked for."""

    ledger: LedgerFile | None = None
    sidecar: Sidecar | None = None
    state: State | None = None

    def add(self, item: Input, outcome: Outcome) -> None:
        """Take what is known of a message."""
        if self.ledger is not None:
            self.ledger.add(item.display, outcome, leaf_locator(item.data, item.display, item.line, outcome))
        if self.sidecar is not None:
            self.sidecar.add(outcome.message, outcome.kept)
        if self.state is not None:
            self.state.add(outcome)

    def finish(self) -> None:
        """Complete the files."""
        for record in (self.ledger, self.sidecar, self.state):
            if record is not None:
                record.finish()


def convert(
    run: Run,
    paths: Sequence[str],
    judge: Callable[[Input], Iterator[Outcome]],
    sink: Sink,
    records: Records,
    *,
    stdout_used: bool,
) -> None:
    """Convert all inputs into the sink. Outputs are completed before the records that speak of them."""
    with ExitStack() as stack:
        stack.enter_context(sink)
        for record in (records.ledger, records.state):
            if record is not None:
                stack.enter_context(record)
        with run.reporter.progress("inputs", stdout_used=stdout_used) as advance:
            ids, log = LetterIds(), IssueLog()
            for item, outcome in run.outcomes(paths, judge, advance):
                ids.add(outcome, item.line, log)
                run.report(log.drain())
                if outcome.output is None:
                    sink.pass_over(item.name)
                else:
                    sink.write(item.name, outcome)
                records.add(item, outcome)
        sink.finish(run.summary)
        records.finish()


def validate(run: Run, paths: Sequence[str], judge: Callable[[Input], Iterator[Outcome]]) -> int:
    """Judge all inputs; returns how many messages there were."""
    with run.reporter.progress("inputs", stdout_used=True) as advance:
        return sum(1 for _ in run.outcomes(paths, judge, advance))


def figures(summary: Summary) -> str:
    """The findings of a run by severity, for its last line."""
    names = {"error": "errors", "warning": "warnings", "info": "infos"}
    return ", ".join(f"{summary.severities[severity]} {name}" for severity, name in names.items())
