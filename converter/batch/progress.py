"""What a run tells while it goes on: a bar on a terminal, JSON lines otherwise, and figures for Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from converter.batch.chunk import State
from converter.batch.protocol import METRICS, put
from converter.errors import SinkError
from converter.issues import Issue

_EVERY, _EVERY_DRAWN = 5.0, 0.2
_WIDTH = 30


class Telling:
    """Tells one run. `stream` is where progress goes, None for nowhere; findings go to `report`."""

    def __init__(self, folder: Path, stream: TextIO | None, report: Callable[[Sequence[Issue]], None]) -> None:
        self.folder, self.stream, self.report = folder, stream, report
        self.terminal = stream is not None and stream.isatty()
        self._began, self._last, self._first = time.monotonic(), 0.0, -1

    def found(self, issues: Sequence[Issue]) -> None:
        """Findings about inputs as a whole."""
        self.clear()
        self.report(issues)

    def advance(self, totals: dict[str, int], files: int, planned: int) -> None:
        """Tell now and then how far the run is."""
        if self._first < 0:
            self._first = totals["in"]
        now = time.monotonic()
        if now - self._last < (_EVERY_DRAWN if self.terminal else _EVERY):
            return
        self._last = now
        self.figures(totals, files, planned)
        if self.stream is None:
            return
        rate = (totals["in"] - self._first) / max(now - self._began, 0.001)
        if self.terminal:
            self.stream.write("\r\x1b[K" + _bar(totals, files, planned, rate))
        else:
            line = {"event": "progress", "files": files, "planned": planned, "per_second": round(rate), **totals}
            self.stream.write(json.dumps(line) + "\n")
        self.stream.flush()

    def whole(self, totals: dict[str, int], files: int, planned: int) -> None:
        """Tell that everything of the plan is done."""
        self.clear()
        self.figures(totals, files, planned, complete=True)
        if self.stream is not None and not self.terminal:
            self.stream.write(json.dumps({"event": "complete", "files": files, "planned": planned, **totals}) + "\n")
            self.stream.flush()

    def clear(self) -> None:
        """Remove the bar from the terminal."""
        if self.terminal and self.stream is not None:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def figures(self, totals: dict[str, int], files: int, planned: int, *, complete: bool = False) -> None:
        """Write the file for Prometheus' node exporter. A run does not fail for it."""
        with suppress(SinkError):
            put(self.folder, METRICS, metrics(totals, files, planned, complete=complete).encode())


def metrics(totals: dict[str, int], files: int, planned: int, *, complete: bool) -> str:
    """The figures of a run in the text form of Prometheus."""
    lines = [
        "# HELP medcom_fhir_batch_messages Messages of the run by state.",
        "# TYPE medcom_fhir_batch_messages gauge",
        *(f'medcom_fhir_batch_messages{{state="{state}"}} {totals[state]}' for state in State),
        "# HELP medcom_fhir_batch_input_messages Messages that came in.",
        "# TYPE medcom_fhir_batch_input_messages gauge",
        f"medcom_fhir_batch_input_messages {totals['in']}",
        "# HELP medcom_fhir_batch_files Files of the plan, and how many of them are done.",
        "# TYPE medcom_fhir_batch_files gauge",
        f'medcom_fhir_batch_files{{state="planned"}} {planned}',
        f'medcom_fhir_batch_files{{state="done"}} {files}',
        "# HELP medcom_fhir_batch_complete 1 when the run is complete.",
        "# TYPE medcom_fhir_batch_complete gauge",
        f"medcom_fhir_batch_complete {int(complete)}",
    ]
    return "\n".join(lines) + "\n"


def _bar(totals: dict[str, int], files: int, planned: int, rate: float) -> str:
    full = _WIDTH * files // max(planned, 1)
    failed = totals[State.DEAD] + totals[State.REFUSED]
    drawn = "█" * full + "░" * (_WIDTH - full)
    return f"{drawn} {files}/{planned} files, {totals['in']} messages, {failed} not converted, {rate:.0f}/s"
