"""Headless Chromium over its debugging pipe: what a page says to its console, asks the network for, and shows."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome")
SETTLED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


def browser() -> str | None:
    """The browser of this machine, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """A page in a browser of its own. `events` is what it reported, in order."""

    def __init__(self, program: str, profile: Path, *, width: int = 1280, height: int = 900) -> None:
        theirs, self._commands = os.pipe()
        self._answers, ours = os.pipe()

        def inherit() -> None:
            # The browser reads commands from 3 and writes to 4, whatever these numbers were here.
            kept = os.dup(theirs), os.dup(ours)
            os.dup2(kept[0], 3)
            os.dup2(kept[1], 4)

        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},{height}"]
        self._process = subprocess.Popen(
            [program, *options, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"],
            preexec_fn=inherit,  # noqa: PLW1509 - no threads here
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(ours)
        self.events: list[dict[str, Any]] = []
        self._number, self._held, self._session = 0, b"", ""
        target = self.call("Target.createTarget", url="about:blank", newWindow=True, width=width, height=height)[
            "targetId"
        ]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser for something and wait for its answer."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._commands, json.dumps(asked).encode() + b"\0")
        while (told := self._next()).get("id") != self._number:
            self.events.append(told)
        assert "error" not in told, (method, told["error"])
        result: dict[str, Any] = told["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._held:
            more = os.read(self._answers, 1 << 16)
            assert more, "the browser has gone"
            self._held += more
        message, _, self._held = self._held.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def open(self, path: Path) -> None:
        """Open a file, and wait until its scripts have run."""
        self.call("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())
        self.value(SETTLED)

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives."""
        told = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def click(self, x: float, y: float) -> None:
        """Click where a reader would."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.value(SETTLED)

    def hover(self, x: float, y: float) -> None:
        """Point at a place."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.value(SETTLED)

    def picture(self, path: Path, **clip: float) -> None:
        """A picture of what is seen, or of a part of the page."""
        more = {"clip": {**clip, "scale": 1}, "captureBeyondViewport": True} if clip else {}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png", **more)["data"]))

    def printed(self, path: Path) -> None:
        """The page as it would be printed, on the paper that its style asks for."""
        told = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(told["data"]))

    def complaints(self) -> list[str]:
        """What stands in the console: errors, warnings, exceptions."""
        found = []
        for event in self.events:
            method, told = event.get("method", ""), event.get("params", {})
            if method == "Log.entryAdded":
                found.append(told["entry"]["text"])
            elif method == "Runtime.exceptionThrown":
                found.append(told["exceptionDetails"]["text"])
            elif method == "Runtime.consoleAPICalled":
                found.append(f"{told['type']}: {told['args']}")
        return found

    def requests(self) -> list[str]:
        """The addresses it asked for."""
        asked = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [str(url) for url in asked]
