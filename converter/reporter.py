"""Prints findings as they come, keeps the score that the exit code follows from, and draws progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from converter.issues import Issue, Severity
from converter.renderings import as_json, counts, document, github, neutral, render, text

if TYPE_CHECKING:
    from collections.abc import Callable

_STREAMED = ("text", "github")


class Reporter:
    """Where the findings of one command go.

    Text and GitHub annotations are printed at once; the other forms are documents and are printed by `finish`, alone
    on their stream: then `note` prints nothing. With `quiet` only findings that change the exit code are printed.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        form: str = "text",
        fail_on: Severity = Severity.ERROR,
        show_values: bool = False,
        quiet: bool = False,
        version: str = "",
    ) -> None:
        self.failed = False
        self._stream, self._form, self._fail_on = stream, form, fail_on
        self._show_values, self._quiet, self._version = show_values, quiet, version
        self._issues: list[Issue] = []
        self._files: dict[str, None] = {}
        self._print: Callable[[str], object] = stream.write

    def looked_at(self, file: str) -> None:
        """Note that a file was read, so that a document can say that it has no findings."""
        if self._form == "junit":
            self._files[file] = None

    def add(self, issues: Iterable[Issue]) -> None:
        """Report findings."""
        for issue in issues:
            grave = counts(issue, self._fail_on)
            self.failed |= grave
            if self._quiet and not grave:
                continue
            if self._form not in _STREAMED:
                self._issues.append(issue)
            elif self._form == "text":
                self._print(text(issue, show_values=self._show_values))
            else:
                self._print(github(issue))

    def note(self, line: str) -> None:
        """Say something that is no finding, on a line of its own."""
        if self._form == "text" and not self._quiet:
            self._print(neutral(line) + "\n")

    def finish(self, tables: Mapping[str, Sequence[object]] | None = None) -> None:
        """Print the document, if the form is one. In JSON the findings stand beside these tables, if there are any."""
        if self._form == "json" and tables is not None:
            findings = [as_json(issue, show_values=self._show_values) for issue in self._issues]
            self._print(document({**tables, "findings": findings}))
        elif self._form not in _STREAMED:
            rendered = render(
                self._issues,
                self._form,
                show_values=self._show_values,
                fail_on=self._fail_on,
                files=self._files,
                version=self._version,
            )
            self._print(rendered)
        self._stream.flush()

    @contextmanager
    def progress(self, what: str, *, stdout_used: bool) -> Iterator[Callable[[], None]]:
        """A counter on the terminal while something runs, advanced by calling it; nothing without a terminal.

        Nothing either where output appears on that terminal (`stdout_used`): then that shows the progress.
        """
        if self._quiet or not sys.stderr.isatty() or (stdout_used and sys.stdout.isatty()):
            yield lambda: None
            return
        bar, before = _bar(), self._print
        if self._stream is sys.stderr:
            self._print = lambda lines: bar.console.out(lines, end="", highlight=False)
        try:
            with bar:
                task = bar.add_task(what, total=None)
                yield lambda: bar.advance(task)
        finally:
            self._print = before


def _bar() -> Any:
    # rich takes 60 ms to import, so only where its output is seen.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
