"""Validating opens no connection, starts no program, and loads nothing that parses FHIRPath or snapshots."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent
# What parses expressions, snapshots and drafts, other engines, and ways to a Java program.
REFUSED = ("expressions", "snapshot", "drafts", "guides")
MODULES = [
    *(f"converter.fhir.{name}" for name in REFUSED),
    "fhirpathpy",
    "antlr4",
    "jpype",
    "py4j",
    "requests",
    "httpx",
]
GUARD = """
import json, sys
WATCHED = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "urllib.")

def guard(event, arguments):
    if event.startswith(WATCHED) or (event == "import" and arguments[0] in MODULES):
        raise AssertionError(f"{event} {arguments[0]}")

from converter.engine import Engine
ATTEMPT
sys.addaudithook(guard)
engine = Engine()
for text in sys.stdin:
    print(sorted({i.code for outcome in engine.validate(text.encode()) for i in outcome.issues}))
"""


def guarded(texts: list[str], attempt: str = "", modules: list[str] = MODULES) -> subprocess.CompletedProcess[str]:
    """Judge texts in a process of their own that does not survive what is watched."""
    program = GUARD.replace("MODULES", repr(modules)).replace("ATTEMPT", attempt)
    return subprocess.run(
        [sys.executable, "-c", program], input="\n".join(texts), capture_output=True, text=True, check=False
    )


def messages() -> list[str]:
    message = yaml.safe_load((HERE / "rules" / "message.yaml").read_text("utf-8"))
    sound = json.dumps(message)
    del message["entry"][0]["resource"]["source"]
    return [sound, json.dumps(message), "{"]


def test_nothing_is_fetched_started_or_parsed() -> None:
    ran = guarded(messages())
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.splitlines() == ["[]", "['PRO023']", "['PRO004']"]


def test_negative_control_the_guard_bites() -> None:
    """A module that validating does load is refused, and so would a connection be."""
    ran = guarded(messages(), modules=["converter.fhir.fhirpath.guards", "converter.fhir.profiles"])
    assert "AssertionError: import" in ran.stderr
    late = "\nEngine.validate = lambda self, data: __import__('socket').create_connection(('127.0.0.1', 9))"
    ran = guarded(messages(), attempt=late)
    assert "AssertionError: socket." in ran.stderr


def test_packs_hold_no_expressions_in_words(root: Path) -> None:
    """Rules are trees, and there are no snapshots."""
    from converter.fhir.packs import read_pack

    packs = sorted((root / "mappings/profiles").glob("*.json.gz"))
    assert packs
    for path in packs:
        pack = read_pack(path)
        assert {key for rule in pack["rules"] for key in rule} == {"key", "severity", "tree", "digest"}
        assert not {"snapshot", "differential"} & {key for facts in pack["profiles"].values() for key in facts}
