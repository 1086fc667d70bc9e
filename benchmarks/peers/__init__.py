"""Converters of other formats to FHIR, timed on messages of their own: rows of another job, for the order of magnitude.

Each runs in a process and an environment of its own below `build/peers`, fetched once from PyPI or Maven Central.
Where a package or a tool is not to be had the row says so instead of a figure.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "peers"
MESSAGES = BUILD / "messages"
Figures = dict[str, Any]


class MissingError(Exception):
    """Why a peer cannot be run here."""


def measured() -> list[Figures]:
    """A row a peer: what it is, its job, how many messages, µs a message; or why it was not run."""
    MESSAGES.mkdir(parents=True, exist_ok=True)
    return [
        _row("hl7v2-fhir-bridge 0.1.0 (Python)", "HL7 v2 of its own demonstration → Bundle JSON", _bridge),
        _row("python-fhir-converter 0.3.0 (Liquid in Python)", "a small invented C-CDA → Bundle JSON", _liquid),
        _row("LinuxForHealth hl7v2-fhir-converter 1.0.10 (Java, warm)", "those of the first row that it knows", _java),
    ]


def _row(name: str, job: str, run: Callable[[], Figures]) -> Figures:
    try:
        return {"peer": name, "job": job, **run()}
    except MissingError as reason:
        return {"peer": name, "job": job, "skipped": str(reason)}


def _bridge() -> Figures:
    return _answer([_python("hl7v2-fhir-bridge==0.1.0"), HERE / "hl7v2_fhir_bridge.py", MESSAGES])


def _liquid() -> Figures:
    return _answer([_python("python-fhir-converter==0.3.0"), HERE / "python_fhir_converter.py"])


def _java() -> Figures:
    for tool in ("java", "javac", "mvn"):
        if shutil.which(tool) is None:
            raise MissingError(f"{tool} is missing")
    messages = sorted(MESSAGES.glob("*.hl7"))
    if not messages:
        raise MissingError("the messages come from hl7v2-fhir-bridge, which was not run")
    library, classes = BUILD / "lib", BUILD / "classes"
    if not library.is_dir():
        fetch = ["mvn", "-q", "-B", "-f", HERE / "pom.xml", "dependency:copy-dependencies"]
        _quiet([*fetch, f"-DoutputDirectory={library}"], "Maven Central does not give it")
    _quiet(["javac", "-nowarn", "-cp", f"{library}/*", "-d", classes, HERE / "Peer.java"], "javac refuses the driver")
    return _answer(["java", "-cp", f"{classes}:{library}/*", "Peer", *messages])


def _python(requirement: str) -> Path:
    """The interpreter of an environment that has the package."""
    folder = BUILD / requirement.partition("==")[0]
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        _quiet([sys.executable, "-m", "venv", folder], "no environment could be made")
        _quiet([python, "-m", "pip", "install", "-q", requirement], "PyPI does not give it")
        (folder / "ready").touch()
    return python


def _quiet(command: list[Any], otherwise: str) -> None:
    if subprocess.run(list(map(str, command)), capture_output=True, check=False).returncode:
        raise MissingError(otherwise)


def _answer(command: list[Any]) -> Figures:
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if ran.returncode:
        raise MissingError(f"its driver ended with {ran.returncode}")
    figures: Figures = json.loads(ran.stdout.splitlines()[-1])
    return figures
