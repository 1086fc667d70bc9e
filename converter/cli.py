"""The command `medcom-fhir`: options in, exit code out.

Exit codes: 0 clean, 1 findings, 2 wrong use or configuration, 4 mapping files do not load, 70 internal error,
74 input/output error, 130 interrupted, 143 terminated. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

import click

if TYPE_CHECKING:
    from converter.directory import Directory
    from converter.engine import Engine
    from converter.limits import Limits
    from converter.reporter import Reporter

FORMATS = ("text", "json", "sarif", "junit", "github", "operationoutcome")
CLEAN, FINDINGS, WRONG_USE, MAPPINGS, INTERNAL, INPUT_OUTPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 4, 70, 74, 130, 143
NAME = "medcom-fhir"
F = TypeVar("F", bound=Callable[..., Any])


def version() -> str:
    """The version of the installed distribution."""
    from importlib import metadata

    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return "0+source"


# Exit codes


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
    from converter.errors import ConverterError

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
    except ConverterError as error:
        return _code_of_fault(error)
    except OSError as error:
        _forget_stdout()
        _say(f"input/output error: {error.strerror or type(error).__name__}")
        return INPUT_OUTPUT
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback may show values
        _say(f"internal error: {describe(error)}")
        return INTERNAL


def _code_of_fault(error: Any) -> int:
    from converter.errors import MappingError, SinkError
    from converter.renderings import text
    from converter.sinks import OutputRefusedError

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


# Options that all commands share


@dataclass(frozen=True)
class Settings:
    """The shared options of one command."""

    mappings: Path | None
    sor: Path | None
    form: str
    fail_on: str
    quiet: bool
    verbose: bool
    show_values: bool
    limits: Limits

    def reporter(self, stream: TextIO) -> Reporter:
        """Where the findings of the command go."""
        from converter.issues import Severity
        from converter.reporter import Reporter

        return Reporter(
            stream,
            form=self.form,
            fail_on=Severity(self.fail_on),
            show_values=self.show_values,
            quiet=self.quiet,
            version=version() if self.form == "sarif" else "",
        )

    def directory(self, reporter: Reporter) -> Directory | None:
        """The organisation table, if there is one; what is wrong with its rows is reported."""
        if self.sor is None:
            return None
        from converter.directory import Directory
        from converter.issues import IssueLog

        log = IssueLog()
        directory = Directory.load(self.sor, log)
        reporter.add(log)
        return directory


def _limits(_: click.Context, __: click.Parameter, settings: Sequence[str]) -> Limits:
    from converter.limits import Limits

    limits = Limits()
    for setting in settings:
        try:
            limits = limits.with_setting(setting)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return limits


def _language(_: click.Context, __: click.Parameter, lang: str) -> str:
    if lang != "en":
        raise click.BadParameter("Danish texts come with a later version; this one speaks English (en)")
    return lang


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW = click.Path(dir_okay=False, path_type=Path)
_SHARED = (
    click.option("--mappings", metavar="DIR", type=_FOLDER, help="Mapping files to use instead of the built-in ones."),
    click.option("--sor", metavar="CSV", type=_FILE, help="Organisation table (GLN, SOR id, telephone …)."),
    click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="How findings are written."),
    click.option(
        "--fail-on",
        type=click.Choice(("error", "warning")),
        default="error",
        show_default=True,
        help="From which severity on findings give exit code 1.",
    ),
    click.option("--quiet", is_flag=True, help="Only findings that change the exit code; no progress, no summary."),
    click.option("--verbose", is_flag=True, help="Say more about what was done."),
    click.option("--show-values", is_flag=True, help="Show values of messages: these are patient data."),
    click.option(
        "--lang",
        type=click.Choice(("da", "en")),
        default="en",
        callback=_language,
        expose_value=False,
        help="Language of reports (en; da comes with a later version).",
    ),
    click.option(
        "--limit",
        "limits",
        metavar="NAME=SIZE",
        multiple=True,
        callback=_limits,
        help="Raise or lower a ceiling on input, such as message=300MB or json-depth=50; may be repeated.",
    ),
)


def shared(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the shared options; they arrive as its first argument, a `Settings`."""

    @functools.wraps(command)
    def with_settings(**values: Any) -> Any:
        settings = Settings(**{name: values.pop(name) for name in Settings.__dataclass_fields__})
        return command(settings, **values)

    for option in reversed(_SHARED):
        with_settings = option(with_settings)
    return with_settings


def examples(*lines: str) -> str:
    """The end of a help text: examples, kept as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {NAME} {line}" for line in lines)


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=examples(
        "convert letter.edi -o letter.json",
        "convert inbox/ --sor organisations.csv -o out --ledger ledger.jsonl",
        "convert out/letter.json --to edifact",
        "validate letter.xml",
        "explain letter.edi -o page.html",
        "explain EDI010",
    ),
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=lambda c, _, v: _show_version(c, v)
)
def program() -> None:
    """Convert MedCom's EDIFACT and OIOXML messages to MedCom's FHIR messages and back, and account for every piece."""


def _show_version(context: click.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(f"{NAME} {version()}")
        context.exit()


# Converting and judging


@program.command(
    epilog=examples(
        "convert letter.edi                                one Bundle on stdout",
        "convert letter.xml --to edifact -o letter.edi     the other legacy syntax",
        "convert inbox/ archive.zip -o out                 a folder: a file a message, and summary.json",
        "convert inbox/ -o all.ndjson --ledger l.jsonl     what became of every piece",
        "convert letter.edi -o a.json --sidecar kept.json; convert a.json --sidecar kept.json -o back.xml",
    )
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("--to", type=click.Choice(("fhir", "oioxml", "edifact")), help="Target; the default follows the input.")
@click.option("-o", "--output", metavar="PATH", help="FILE.json, .ndjson, .xml or .edi, or a folder (no suffix).")
@click.option("--letter-version", metavar="V", help="Version of the letters to write, such as D9134L.")
@click.option("--no-validate", is_flag=True, help="Do not judge the result by its definition or profile.")
@click.option("--ledger", metavar="FILE", type=_NEW, help="JSON lines: what became of every value, without values.")
@click.option(
    "--sidecar", metavar="FILE", type=_NEW, help="Values without a place in the target; read on the way back."
)
@click.option("--state", metavar="FILE", type=_NEW, help="SQLite store of message ids, for receipts.")
@click.option("--attempt", metavar="N", type=click.IntRange(1), default=1, help="Number of this sending (default 1).")
@click.option("--accept-loss", metavar="ID", multiple=True, help="Convert in spite of this blocking loss; repeatable.")
@click.option("--envelope", is_flag=True, help="Wrap in a VANSEnvelope (comes with a later version).")
@click.option("--cross-check", is_flag=True, help="Read EDIFACT with a second, independent reader and compare.")
@click.option("--encoding", type=click.Choice(("utf-8",)), help="Read EDIFACT bytes as UTF-8 whatever its label says.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@shared
def convert(settings: Settings, inputs: Sequence[str], **wanted: Any) -> int:
    """Convert messages. INPUT: file, folder, .zip, .tar, .tar.gz, .ndjson, or - for standard input.

    The syntax is found from the content. Legacy messages become FHIR Bundles, Bundles become OIOXML letters, unless
    --to or the suffix of -o says otherwise. Findings go to stderr. What could be built is written also if it has
    findings; exit code 1 says that there were errors.
    """
    from converter import runs
    from converter.records import LedgerFile, Sidecar, State
    from converter.sinks import refuse_inside, sink_for
    from converter.sources import require

    if wanted["envelope"]:
        raise click.UsageError("--envelope is not available yet: VANS envelopes come with a later version")
    reporter = settings.reporter(sys.stderr)
    output, force = wanted["output"], wanted["force"]
    to = wanted["to"] or _target_of(output)
    require(inputs)
    for path in (wanted[name] for name in ("ledger", "sidecar", "state") if wanted[name]):
        refuse_inside(path, inputs)
    sink = sink_for(output, inputs, force=force)
    sidecar = Sidecar(wanted["sidecar"]) if wanted["sidecar"] else None
    engine = _engine(
        settings,
        reporter,
        attempt=wanted["attempt"],
        accept=frozenset(wanted["accept_loss"]),
        validate=not wanted["no_validate"],
        letter_version=wanted["letter_version"],
        encoding=wanted["encoding"],
        cross_check=wanted["cross_check"],
        kept=sidecar.kept if sidecar else None,
        sidecar=sidecar is not None,
    )
    records = runs.Records(
        ledger=LedgerFile(wanted["ledger"], force=force) if wanted["ledger"] else None,
        sidecar=sidecar,
        state=State(wanted["state"]) if wanted["state"] else None,
    )
    run = runs.Run(reporter, settings.limits, describe)
    judge = lambda item: engine.convert(item.data, to=to, name=item.display)  # noqa: E731
    runs.convert(run, inputs, judge, sink, records, stdout_used=output in (None, "-"))
    summary = run.summary
    if settings.verbose or summary.written + summary.refused + summary.skipped > 1:
        skipped = f", {summary.skipped} files skipped" if summary.skipped else ""
        total = summary.written + summary.refused
        reporter.note(f"{total} messages: {summary.written} converted, {summary.refused} refused{skipped}")
        reporter.note(runs.figures(summary))
    return _ended(reporter, broken=run.broken)


def _target_of(output: str | None) -> str | None:
    suffix = Path(output).suffix.lower() if output else ""
    return {".json": "fhir", ".ndjson": "fhir", ".edi": "edifact", ".xml": "oioxml"}.get(suffix)


def _engine(settings: Settings, reporter: Reporter, **more: Any) -> Engine:
    from converter.engine import Engine

    return Engine(settings.mappings, directory=settings.directory(reporter), limits=settings.limits, **more)


def _ended(reporter: Reporter, *, broken: bool = False) -> int:
    reporter.finish()
    if broken:
        return INTERNAL
    return FINDINGS if reporter.failed else CLEAN


@program.command(
    epilog=examples(
        "validate letter.edi",
        "validate bundle.json --format sarif > findings.sarif",
        "validate inbox/ --fail-on warning --quiet",
    )
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("--profile", metavar="URL", help="Judge FHIR by this profile instead of the one that the Bundle names.")
@shared
def validate(settings: Settings, inputs: Sequence[str], profile: str | None) -> int:
    """Judge messages: EDIFACT and OIOXML by their letter definitions, FHIR by its profiles. Findings go to stdout."""
    from converter import runs
    from converter.sources import require

    require(inputs)
    reporter = settings.reporter(sys.stdout)
    engine = _engine(settings, reporter)
    run = runs.Run(reporter, settings.limits, describe)
    judge = lambda item: engine.validate(item.data, name=item.display, profile=profile)  # noqa: E731
    count = runs.validate(run, inputs, judge)
    reporter.note(f"{count} messages checked: {runs.figures(run.summary)}")
    return _ended(reporter, broken=run.broken)


def main() -> NoReturn:
    """Run the program with the arguments of the process."""
    program.main()
