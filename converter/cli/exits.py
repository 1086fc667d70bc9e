"""Whatever happens in a command leaves the process as an exit code of the contract, and never as a traceback.

0 clean, 1 findings, 2 wrong use or configuration, 4 mapping files do not load, 70 internal error, 74 input/output
error, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click

NAME = "medcom-fhir"
CLEAN, FINDINGS, WRONG_USE, MAPPINGS, INTERNAL, INPUT_OUTPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 4, 70, 74, 130, 143


class _Terminated(BaseException):
    """SIGTERM."""


class _ReaderGone(Exception):  # noqa: N818 - no error: `medcom-fhir … | head` is ordinary
    """Whoever read our output has stopped reading."""


class Program(click.Group):
    """The group of all commands. Whatever happens in one of them leaves as an exit code of the contract."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click would end with code 1, which here means that there are findings.
            raise _ReaderGone from error

    def main(self, *arguments: Any, **named: Any) -> NoReturn:
        """Run a command and leave the process with its code."""
        named["standalone_mode"], named["prog_name"] = False, NAME
        with _termination():
            code = _code_of(lambda: super(Program, self).main(*arguments, **named))
        sys.exit(code)


@contextlib.contextmanager
def _termination() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that temporary files are removed."""

    def stop(*_: object) -> None:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread, so not ours to decide
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _code_of(run: Callable[[], Any]) -> int:
    try:
        code = run()
        sys.stdout.flush()
        return code if isinstance(code, int) else CLEAN
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except _Terminated:
        return TERMINATED
    except (_ReaderGone, BrokenPipeError, SystemExit):
        _forget_stdout()
        return INPUT_OUTPUT
    except OSError as error:
        _forget_stdout()
        file = f": {error.filename}" if isinstance(error.filename, str) else ""
        _say(f"input/output error: {error.strerror or type(error).__name__}{file}")
        return INPUT_OUTPUT
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback may show values
        return _code_of_fault(error)


def _code_of_fault(error: Exception) -> int:
    from converter.errors import ConverterError, MappingError, SinkError
    from converter.renderings import text
    from converter.sinks import OutputRefusedError

    if not isinstance(error, ConverterError):
        _say(f"internal error: {describe(error)}")
        return INTERNAL
    issues = getattr(error, "issues", ())
    for issue in issues:
        click.echo(text(issue), nl=False, err=True)
    if not issues:
        _say(str(error))
    if isinstance(error, MappingError):
        return MAPPINGS
    return INPUT_OUTPUT if isinstance(error, SinkError) and not isinstance(error, OutputRefusedError) else WRONG_USE


def describe(error: BaseException) -> str:
    """What happened and where in our code, without the exception's text, which may hold a value of a message."""
    import traceback

    frames = [f for f in traceback.extract_tb(error.__traceback__) if "converter" in Path(f.filename).parts]
    where = ", ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames[-3:])
    return f"{type(error).__name__} at {where or 'an unknown place'}"


def _say(line: str) -> None:
    from converter.renderings import neutral

    with contextlib.suppress(OSError):
        click.echo(f"{NAME}: {neutral(line)}", err=True)


def _forget_stdout() -> None:
    """Keep the interpreter from writing to a closed pipe once more when it ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
