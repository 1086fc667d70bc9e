"""Which mutants of the mapping files the examples notice: those that none notices show rules that nothing tests."""

from __future__ import annotations

import multiprocessing
import signal
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from converter.engine import Engine, Outcome
from converter.fhir import bundle as fhir
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.joining import Joined, Partners
from converter.ledger import losses_by_leaf
from converter.letter import Letter
from converter.mapping import Context, Mapping
from converter.originals import Original
from converter.rehearsal import explained, golden
from converter.rehearsal.examples import attachments, examples
from converter.rehearsal.mutants import Mutant, mutants
from converter.rehearsal.revisions import changed_lines
from converter.rehearsal.rules import in_folder, named
from converter.rehearsal.testing import Engines
from converter.rehearsal.variants import messages
from converter.rehearsal.watching import Watch, watched

SURVIVED = declare(
    "LNT530",
    "mutant-survived",
    Severity.WARNING,
    "no example notices this fault: {what} ({name})",
    why="Somebody could make this mistake, and every example would still agree.",
    help="Add an example in which it shows, or remove what has no effect.",
)

Observed = tuple[Any, ...]


@dataclass(slots=True)
class Trial:
    """One example as mutants are tried on it: what goes in, what came out without a fault, and what took part."""

    engine: Engine
    letter: Letter | None
    bundle: dict[str, Any] | None
    original: Original | None = None
    wanted: Observed = ()
    lines: set[tuple[str, int]] = field(default_factory=set)
    rows: set[tuple[str, int]] = field(default_factory=set)


@dataclass(slots=True)
class Score:
    """How many mutants there were, and those that survived."""

    mutants: int = 0
    survivors: list[Mutant] = field(default_factory=list)
    explained: dict[explained.Key, tuple[str, Location]] = field(default_factory=dict)
    whole: bool = True

    @property
    def per_cent(self) -> float:
        """The share of mutants that some example notices."""
        return 100 * (self.mutants - len(self.survivors)) / self.mutants if self.mutants else 100.0


def mutate(engines: Engines, root: Path, log: IssueLog, *, jobs: int, since: str = "", only: str = "") -> Score:
    """Try all mutants, or those of rules that changed since a revision, or those of one mapping."""
    mappings = engines.of_table(engines.table).mappings
    chosen = [m for m in mutants(mappings) if only in ("", *m.sites)]
    if since:
        chosen = _changed(chosen, changed_lines(since, engines.folder))
    score = Score(len(chosen), explained=explained.reasons(engines.folder), whole=not (since or only))
    if not chosen:
        return score
    bench = _Bench(engines, root, log)
    # Forked: the mapping files and examples are loaded once, and a mutant is only a number.
    _Bench.present = (bench, chosen)
    with multiprocessing.get_context("fork").Pool(jobs, _as_child) as pool:
        noticed = pool.map(_try, range(len(chosen)), chunksize=8)
    score.survivors = [mutant for mutant, seen in zip(chosen, noticed, strict=True) if not seen]
    return score


def _as_child() -> None:
    """The command's own way to end on a signal is for its process alone."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _try(number: int) -> bool:
    bench, chosen = _Bench.present
    return bench.notices(chosen[number])


def _changed(all_: list[Mutant], lines: dict[str, set[int]]) -> list[Mutant]:
    """The mutants of rules in which a line changed: a rule goes on until the next one starts."""
    starts: dict[str, set[int]] = defaultdict(set)
    for mutant in all_:
        starts[mutant.at.file].add(mutant.at.line)
    wanted = {
        (file, max((start for start in starts[file] if start <= line), default=0))
        for file, changed in lines.items()
        for line in changed
    }
    return [mutant for mutant in all_ if (mutant.at.file, mutant.at.line) in wanted]


class _Bench:
    """The examples, with what each gives without a fault."""

    present: tuple[_Bench, list[Mutant]]

    def __init__(self, engines: Engines, root: Path, log: IssueLog) -> None:
        self.mappings = engines.of_table(engines.table).mappings
        self.watch = Watch()
        probed = {m.name: m for m in watched(self.mappings, self.watch).mappings}
        self.trials: dict[str, list[Trial]] = {m.name: [] for m in self.mappings.mappings}
        for mapping in self.mappings.mappings:
            for example in examples(mapping.document, root, log):
                engine = engines.of(example)
                partners = attachments(engine, example.inputs[0])
                for data in messages(engine, example, log):
                    for outcome in engine.messages(data):
                        for trial in _trials(engine, outcome, partners):
                            if trial.letter is None or trial.letter.type == mapping.letter:
                                self._add(mapping, probed[mapping.name], trial)

    def _add(self, mapping: Mapping, probed: Mapping, trial: Trial) -> None:
        for seen in (self.watch.fired, self.watch.tried, self.watch.held, self.watch.rows):
            seen.clear()
        _observed(probed, trial)
        named_in_ledger: set[str] = set()
        trial.wanted = _observed(mapping, trial, named_in_ledger)
        took_part = self.watch.fired | self.watch.tried | {key for key, _ in self.watch.held}
        trial.lines = {(file, line) for _, file, line in took_part}
        # A default is written where its rule gave no value.
        rules = named(mapping.document)
        trial.lines |= {(rule.at.file, rule.at.line) for name, rule in rules if name in named_in_ledger}
        trial.rows = set(self.watch.rows)
        self.trials[mapping.name].append(trial)

    def notices(self, mutant: Mutant) -> bool:
        """Whether any example in which the place takes part gives something else."""
        for name, changes in mutant.sites.items():
            trials = [trial for trial in self.trials[name] if self._touched(mutant, trial)]
            if trials and self._noticed(name, changes, trials):
                return True
        return False

    def _touched(self, mutant: Mutant, trial: Trial) -> bool:
        if mutant.row is not None:
            return mutant.row in trial.rows
        return (mutant.at.file, mutant.at.line) in trial.lines or self._untold(mutant)

    def _untold(self, mutant: Mutant) -> bool:
        """Whether nobody notes when the place takes part, as with `ignore`."""
        return not any((file, line) == (mutant.at.file, mutant.at.line) for _, file, line in self.watch.rules)

    def _noticed(self, name: str, changes: list[Any], trials: list[Trial]) -> bool:
        mapping = self.mappings.named(name)
        assert mapping is not None
        undo = [change() for change in changes]
        try:
            mutated = Mapping(mapping.document, self.mappings.codes, self.mappings.losses)
            return any(_observed(mutated, trial) != trial.wanted for trial in trials)
        except Exception:  # noqa: BLE001 - a fault that stops the mapping from working is noticed, whatever it raises
            return True
        finally:
            for take_out in reversed(undo):
                take_out()


def _trials(engine: Engine, outcome: Outcome, partners: Partners) -> Iterator[Trial]:
    """What the two ways of a mapping are given of a message: with its objects, and with the message that it answers."""
    letter, bundle = outcome.letter, outcome.bundle
    if letter is not None and not letter.refused:
        receipts = [one for one in engine.answers(letter, IssueLog()) if one.letter is not None]
        for one in receipts:
            yield Trial(engine, one.letter, None, one.original)
        if not receipts:
            joined = Joined(letter, engine.attachments)
            joined.find(lambda: partners, engine.definitions, IssueLog(), ())
            yield Trial(engine, joined.letter, None)
    elif bundle is not None:
        for original in engine.originals(bundle, IssueLog()):
            yield Trial(engine, None, bundle, original)


def _observed(mapping: Mapping, trial: Trial, rules: set[str] | None = None) -> Observed:
    """What the golden files of an example would hold. `rules` gathers the names that the ledger tells."""
    log = IssueLog()
    context = partial(Context, directory=trial.engine.directory, accept=trial.engine.accept)
    if trial.letter is None:
        assert trial.bundle is not None
        letter, ledger = _back(mapping, trial.bundle, context(original=trial.original), log)
        return (dict(letter.values) if letter else None, golden.ledger_lines(ledger), golden.issue_lines(log))
    bundle, ledger = mapping.to_fhir(trial.letter, context(original=trial.original), log)
    if rules is not None:
        rules.update(raw[2] for raw in (*ledger.raw, *ledger.raw_defaulted))
    told = (bundle, golden.ledger_lines(ledger), golden.issue_lines(log))
    if bundle is None:
        return told
    back, its_ledger = _back(mapping, bundle, context(), IssueLog())
    if back is None:
        return (*told, None)
    losses = losses_by_leaf(ledger, its_ledger)
    return (*told, golden.declared(trial.letter.values, back.values, losses))


def _back(mapping: Mapping, bundle: dict[str, Any], context: Context, log: IssueLog) -> tuple[Letter | None, Any]:
    leaves = fhir.leaves(bundle)
    return mapping.from_fhir(bundle, context, log, lambda: iter(leaves))


def report(score: Score, log: IssueLog, folder: str) -> None:
    """A finding for each survivor, at its line; of those that have a reason, with it."""
    for mutant in explained.report(score.survivors, score.explained, log, folder, all_tried=score.whole):
        message = SURVIVED.message.format(what=mutant.what, name=mutant.name)
        log.issues.append(Issue(SURVIVED, in_folder(mutant.at, folder), message, severity=SURVIVED.severity))


def rows(score: Score) -> Iterator[dict[str, Any]]:
    """The survivors as plain data."""
    for mutant in score.survivors:
        because = score.explained.get(explained.key(mutant), ("", None))[0]
        place = {"file": mutant.at.file, "line": mutant.at.line}
        yield {"what": mutant.what, "name": mutant.name, **place, "because": because}
