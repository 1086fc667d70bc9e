"""The command `medcom-fhir`: options in, exit code out.

Nothing heavy is imported before a command needs it: `medcom-fhir --version` must start at once.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NoReturn, cast

import click

from converter.cli.exits import NAME, Program
from converter.cli.options import examples
from converter.limits import COLLECTOR
from converter.version import VERSION

_HOMES = {
    "assessing": "assess",
    "authoring": "fmt new",
    "batching": "batch",
    "converting": "convert validate",
    "documenting": "docs",
    "flowing": "flows",
    "looking": "explain show lint profiles sor doctor",
    "packing": "pack",
    "rehearsing": "test cover diff mutate",
    "routing": "route",
    "sharing": "pseudonymise",
}
"""The commands of each module."""


class _Commands(Mapping[str, click.Command]):
    """The commands by name; the module of one is imported when somebody asks for it."""

    def __init__(self) -> None:
        self._homes = {name: home for home, names in _HOMES.items() for name in names.split()}

    def __getitem__(self, name: str) -> click.Command:
        home = import_module(f"{__name__}.{self._homes[name]}")
        commands: tuple[click.Command, ...] = home.COMMANDS
        return next(command for command in commands if command.name == name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


@click.group(
    cls=Program,
    commands=cast(Any, _Commands()),  # click only reads it
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
        click.echo(f"{NAME} {VERSION}")
        context.exit()


def main() -> NoReturn:
    """Run the program with the arguments of the process."""
    gc.set_threshold(*COLLECTOR)
    program.main()
