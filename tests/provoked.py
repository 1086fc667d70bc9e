"""Which kinds of issue the tests have provoked: a pytest plugin, registered by conftest.py.

A kind that is declared and that no test makes the converter report fails a run of the whole suite. Kinds that cannot be
provoked stand in not_provoked.txt with the reason; one that is provoked after all has to leave that list. What only a
test with third-party samples provokes does not count: a checkout without them has to pass as well.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import converter
from converter import issues, mapping
from converter.issues import Issue, IssueKind, catalog

EXCUSES = Path(__file__).with_name("not_provoked.txt")
PLUMBING = ("dataclasses", "copy", "copyreg", "pickle")


def missing(declared: set[str], provoked: set[str], excused: set[str]) -> tuple[set[str], set[str]]:
    """Codes that nothing provokes and nothing excuses, and codes that are excused without need."""
    return declared - provoked - excused, (excused & provoked) | (excused - declared)


def excused() -> set[str]:
    """The codes of not_provoked.txt."""
    lines = EXCUSES.read_text(encoding="utf-8").splitlines()
    return {line.split()[0] for line in lines if line and not line.startswith("#")}


def declared() -> set[str]:
    """The codes of all modules."""
    for module in pkgutil.walk_packages(converter.__path__, "converter."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return set(catalog())


class Recorder:
    """Notes the code of every issue that the converter makes; issues that a test makes itself do not count."""

    def __init__(self) -> None:
        self.codes: set[str] = set()
        self.counts = True
        self.problem = ""
        self._original: Callable[..., None] = Issue.__init__

    def install(self) -> None:
        """From now on, note every new issue."""
        original = self._original

        def noting(issue: Issue, *args: Any, **kwargs: Any) -> None:
            original(issue, *args, **kwargs)
            frame = sys._getframe(1)
            if frame.f_globals.get("__name__") == "converter.issues" and frame.f_back:
                frame = frame.f_back
            name = str(frame.f_globals.get("__name__", ""))
            if not name.startswith(("tests", "test_", *PLUMBING)):
                self.note(issue.kind.code)

        Issue.__init__ = noting  # type: ignore[method-assign]
        quick = issues.issue  # for a finding that is made without a call of its class

        def noting_too(kind: IssueKind, *args: Any) -> Issue:
            self.note(kind.code)
            return quick(kind, *args)

        for module in (issues, mapping):
            vars(module)["issue"] = noting_too

    def note(self, code: str) -> None:
        """A kind was provoked by the test that runs, or while tests are being collected."""
        if self.counts:
            self.codes.add(code)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.counts = "shared" not in getattr(item, "fixturenames", ())

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["provoked"] = sorted(self.codes)
            return
        if exitstatus or not _whole(session.config):
            return
        unprovoked, needless = missing(declared(), self.codes, excused())
        if unprovoked:
            self.problem += f"no test provokes {', '.join(sorted(unprovoked))}: add a folder under fixtures/faults\n"
        if needless:
            self.problem += f"not_provoked.txt excuses without need: {', '.join(sorted(needless))}\n"
        if self.problem:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.codes |= set(getattr(node, "workeroutput", {}).get("provoked", ()))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.problem:
            terminalreporter.write_sep("=", "kinds of issue", red=True)
            terminalreporter.write_line(self.problem.rstrip())


def _whole(config: pytest.Config) -> bool:
    """Whether this run is of the whole suite, and not of some files or names."""
    option = config.option
    chosen = option.keyword or getattr(option, "lf", False) or getattr(option, "failedfirst", False)
    return not chosen and not option.collectonly and list(config.args) == list(config.getini("testpaths"))
