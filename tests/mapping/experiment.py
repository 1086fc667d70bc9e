"""The seeded edit experiment: 200 realistic mistakes in our mapping files, and what `lint`, `test` and `diff` see.

    python -m tests.mapping.experiment [--only NUMBER] [--all] [-o REPORT.md]

What is edited, how often and by which seed stands in `experiment.yaml`, which was fixed before the checks were written.
An edit is *caught* by `lint` if it gives a finding that the files did not give before, by `test` if a golden file of an
example differs, by `diff` if it tells a change over the corpus. An edit that none catches is a *miss*, unless every
message of the corpus gives the same output, ledger and findings, both ways: then it is *without effect*, counted apart.
What `lint` has caught is not tried on messages, nor with `diff` what `test` has, unless `--all` says so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter.content import Content
from converter.directory import Directory
from converter.engine import Engine, Outcome
from converter.errors import MappingError
from converter.issues import Issue, IssueLog
from converter.limits import Limits
from converter.linting import lint
from converter.mapping.document import Document
from converter.rehearsal import comparing, golden, testing
from converter.sources import Input, inputs
from converter.yamlfile import load
from tests.mapping.edits import Edit, Editor

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Path(__file__).with_name("experiment.yaml")
SAMPLES = Path(os.environ.get("MEDCOM_SHARED", ROOT.parent / "shared")) / "samples"
TABLE = ROOT / "fixtures/organisations.csv"
WAYS = ("lint", "test", "diff")


@dataclass(slots=True)
class Trial:
    """What became of one edit."""

    edit: Edit
    caught: dict[str, str] = field(default_factory=dict)
    effect: bool = True

    @property
    def verdict(self) -> str:
        """`caught`, `missed` or `without effect`."""
        return "caught" if self.caught else "missed" if self.effect else "without effect"


class Bench:
    """The mapping files as they are, and a copy in which one edit at a time is tried."""

    def __init__(self, top: Path, corpus: Iterable[Path], *, every: bool = False) -> None:
        self.every = every
        self.mappings = ROOT / "mappings"
        self.copy = top / "mappings"
        shutil.copytree(self.mappings, self.copy)
        self.directory = Directory.load(TABLE, IssueLog())
        self.base = Engine(self.mappings, directory=self.directory, validate=False)
        self.base.load()
        self.known = self._lint()
        self.corpus = list(inputs([str(path) for path in corpus], IssueLog(), Limits()))
        self.before = Remembered(self.base)
        for item in self.corpus:
            self.before.convert(item.data, name=item.display)

    def _lint(self) -> Counter[str]:
        log = IssueLog()
        lint(self.copy, log)
        return Counter(f"{i.code} {i.message}" for i in log)

    def editor(self) -> Editor:
        """What can be edited."""
        settings = load(SETTINGS)
        return Editor(self.copy, list(settings["files"]), int(settings["seed"]))

    def edits(self) -> list[Edit]:
        """The edits of the experiment."""
        settings = load(SETTINGS)
        kinds = {str(kind): int(weight) for kind, weight in settings["kinds"].items()}
        return self.editor().choose(kinds, int(settings["edits"]))

    def try_out(self, edit: Edit) -> Trial:
        """Make an edit, see who catches it, and take it back."""
        file, trial = self.copy / edit.file, Trial(edit)
        before = file.read_text(encoding="utf-8")
        file.write_text(edit.text, encoding="utf-8")
        try:
            found = self._lint() - self.known
            if found:
                trial.caught["lint"] = min(found)
            if found and not self.every:
                return trial
            engine = self._engine()
            try:
                engine.load()
            except MappingError:
                trial.caught.setdefault("lint", "does not load")
                return trial
            self._converted(trial, engine)
        finally:
            file.write_text(before, encoding="utf-8")
        return trial

    def _engine(self, **options: Any) -> Engine:
        """An engine over the copy that shares all but the edited files with the first one."""
        engine = Engine(self.copy, directory=self.directory, **{"validate": False, **options})
        content, shared = Content(self.copy), self.base._content
        content.__dict__.update(
            definitions=shared.definitions, narratives=shared.narratives, routes=shared.routes, packs=shared.packs
        )
        engine.__dict__["_content"] = content
        return engine

    def _converted(self, trial: Trial, engine: Engine) -> None:
        concerned = [m for m in self.base.mappings.mappings if self._concerns(trial.edit, m.document)]
        after = Remembered(engine, self.before, {m.letter for m in concerned})
        for way, look in (("test", self._test), ("diff", self._diff)):
            if trial.caught and not self.every:
                return
            try:
                told = look(after, [m.name for m in concerned])
            except Exception as error:  # noqa: BLE001 - a command that stops is noticed, whatever it raises
                told = f"stops with {type(error).__name__}"
            if told:
                trial.caught[way] = told
        if not trial.caught:
            trial.effect = any(self.before.told(i) != after.told(i) for i in self.corpus)

    def _concerns(self, edit: Edit, document: Document) -> bool:
        """Whether a mapping is made of the edited file."""
        return edit.file.startswith(("codes/", "fhir/parts/")) or edit.file in (document.file, *document.bases)

    def _test(self, after: Remembered, names: list[str]) -> str:
        engine = self._engine(validate=True)
        engine.__dict__["mappings"] = after.mappings
        log, engines = IssueLog(), _Engines(engine)
        log.issues = _First()
        try:
            for name in names:
                testing.run(engines, ROOT, log, only=name)
        except _Seen as seen:
            return str(seen)
        return ""

    def _diff(self, after: Remembered, names: list[str]) -> str:
        found = comparing.compare(self.before, after, self.corpus)  # type: ignore[arg-type]
        first = next(iter(found.changes.values()), None)
        return f"{first.what} in {len(found.affected)} messages" if first else ""


class _Seen(Exception):  # noqa: N818 - named for what happened
    """One finding is enough."""


class _First(list[Issue]):
    """Findings of a run that ends with the first one."""

    def append(self, issue: Issue) -> None:
        raise _Seen(issue.code)


class _Engines(testing.Engines):
    """One engine for all examples, which name one organisation table."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.folder, TABLE)
        self.of_table = lambda table: engine  # type: ignore[assignment]


class Remembered:
    """An engine that converts each message once. `told` is everything that became of it, both ways.

    After an edit, only messages of the letter types that it concerns are converted again.
    """

    def __init__(self, engine: Engine, before: Remembered | None = None, types: Collection[str] = ()) -> None:
        self.engine, self.mappings = engine, engine.mappings
        self._outcomes: dict[str, list[Outcome]] = {}
        for name, outcomes in before._outcomes.items() if before else ():
            if outcomes and all(o.letter and o.letter.type not in types for o in outcomes):
                self._outcomes[name] = outcomes

    def convert(self, data: bytes, *, name: str) -> Iterator[Outcome]:
        """The outcomes of a message."""
        if name not in self._outcomes:
            self._outcomes[name] = list(self.engine.convert(data, name=name))
        yield from self._outcomes[name]

    def told(self, item: Input) -> list[Any]:
        """Output, ledger and findings, and those of the way back."""
        found: list[Any] = []
        for outcome in self.convert(item.data, name=item.display):
            found.append(_told(outcome))
            if outcome.target == "fhir" and outcome.output:
                found += [_told(back) for back in self.engine.convert(outcome.output, name="bundle.json")]
        return found


def _told(outcome: Outcome) -> tuple[Any, ...]:
    ledger = golden.ledger_lines(outcome.ledger) if outcome.ledger else ""
    return outcome.output, ledger, golden.issue_lines(outcome.issues)


def run(first: int = 0, last: int = 0, *, every: bool = False, told: Any = None) -> list[Trial]:
    """Try the edits, or those from `first` to `last`; `told` is called after each."""
    corpus = [ROOT / "fixtures/letters", *([SAMPLES] if SAMPLES.is_dir() else [])]
    with tempfile.TemporaryDirectory(prefix="medcom-fhir-") as top:
        bench = Bench(Path(top), corpus, every=every)
        trials = []
        for edit in bench.edits()[first : last or None]:
            trials.append(bench.try_out(edit))
            if told:
                told(trials[-1])
        return trials


def caught(trials: list[Trial]) -> float:
    """The share of edits with an effect that something catches, in per cent."""
    real = [t for t in trials if t.verdict != "without effect"]
    return 100 * sum(t.verdict == "caught" for t in real) / len(real)


def report(trials: list[Trial]) -> str:
    """Who caught what, by kind of edit, with each miss and each edit without effect by name."""
    kinds = sorted({t.edit.kind for t in trials})
    lines = ["| edit | made | " + " | ".join(WAYS) + " | caught | missed | without effect |", "|---" * 7 + "|"]
    for kind in [*kinds, ""]:
        ours = [t for t in trials if kind in ("", t.edit.kind)]
        by = [sum(way in t.caught for t in ours) for way in WAYS]
        verdicts = [sum(t.verdict == v for t in ours) for v in ("caught", "missed", "without effect")]
        lines.append("| " + " | ".join(map(str, [kind or "all", len(ours), *by, *verdicts])) + " |")
    first = Counter(next(iter(t.caught)) for t in trials if t.caught)
    lines += ["", "First seen by: " + ", ".join(f"`{way}` {first[way]}" for way in WAYS) + "."]
    lines += [f"Caught: {caught(trials):.1f} % of the edits that have an effect.", ""]
    for verdict in ("missed", "without effect"):
        lines += [
            f"- {verdict}: {t.edit.kind}, {t.edit.file}:{t.edit.line}: {t.edit.what}"
            for t in trials
            if t.verdict == verdict
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """The experiment from the command line."""
    parser = argparse.ArgumentParser(description="mistakes in mapping files, and what catches them")
    parser.add_argument("--only", type=int, default=0, help="the first so many edits")
    parser.add_argument("--after", type=int, default=0, help="not the first so many edits")
    parser.add_argument("--all", action="store_true", help="run all three on every edit")
    parser.add_argument("-o", "--output", type=Path, help="write the report here too")
    options = parser.parse_args()
    start = time.monotonic()

    def told(trial: Trial) -> None:
        by = "; ".join(f"{way}: {what}" for way, what in trial.caught.items())
        edit = trial.edit
        print(
            f"{time.monotonic() - start:6.0f} {trial.verdict}: {edit.kind} {edit.file}:{edit.line} {edit.what} [{by}]"
        )
        sys.stdout.flush()

    text = report(run(options.after, options.only, every=options.all, told=told))
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
