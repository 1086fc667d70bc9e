"""The options that every command has, and small things that commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from converter.cli.exits import CLEAN, FINDINGS, INTERNAL, NAME
from converter.version import VERSION

if TYPE_CHECKING:
    from converter.directory import Directory
    from converter.engine import Engine
    from converter.limits import Limits
    from converter.reporter import Reporter

FORMATS = ("text", "json", "sarif", "junit", "github", "operationoutcome")


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
    lang: str
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
            version=VERSION,
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


def _english(_: click.Context, __: click.Parameter, lang: str) -> str:
    if lang != "en":
        raise click.BadParameter(
            "Danish texts come with a later version; only reports of an assessment have them so far"
        )
    return lang


FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW = click.Path(dir_okay=False, path_type=Path)
_SHARED = (
    click.option("--mappings", metavar="DIR", type=FOLDER, help="Mapping files to use instead of the built-in ones."),
    click.option("--sor", metavar="CSV", type=EXISTING, help="Organisation table (GLN, SOR id, telephone …)."),
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
        "--limit",
        "limits",
        metavar="NAME=SIZE",
        multiple=True,
        callback=_limits,
        help="Raise or lower a ceiling on input, such as message=300MB or json-depth=50; may be repeated.",
    ),
)


_LANGUAGE = click.option(
    "--lang",
    type=click.Choice(("da", "en")),
    default="en",
    callback=_english,
    help="Language of reports (en; da comes with a later version).",
)
_LANGUAGES = click.option(
    "--lang", type=click.Choice(("da", "en")), default="en", show_default=True, help="Language of the report."
)


def shared(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the shared options; they arrive as its first argument, a `Settings`."""
    return _with(command, (*_SHARED, _LANGUAGE))


def bilingual(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that writes its report in Danish too."""
    return _with(command, (*_SHARED, _LANGUAGES))


def _with(command: Callable[..., Any], options: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    @functools.wraps(command)
    def with_settings(**values: Any) -> Any:
        settings = Settings(**{name: values.pop(name) for name in Settings.__dataclass_fields__})
        return command(settings, **values)

    for option in reversed(options):
        with_settings = option(with_settings)
    return with_settings


def examples(*lines: str) -> str:
    """The end of a help text: examples, kept as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {NAME} {line}" for line in lines)


def engine_for(settings: Settings, reporter: Reporter, **more: Any) -> Engine:
    """An engine with the shared options, and `more` for `Engine`."""
    from converter.engine import Engine

    return Engine(settings.mappings, directory=settings.directory(reporter), limits=settings.limits, **more)


def ended(reporter: Reporter, *, broken: bool = False, tables: Mapping[str, Sequence[object]] | None = None) -> int:
    """Complete the report, with these tables if it is JSON; the exit code that follows from it."""
    reporter.finish(tables)
    if broken:
        return INTERNAL
    return FINDINGS if reporter.failed else CLEAN
