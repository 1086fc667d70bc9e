"""The command `medcom-fhir`: options in, exit code out.

Nothing heavy is imported before a command needs it: `medcom-fhir --version` must start at once.
"""

from __future__ import annotations

import gc
from typing import NoReturn

import click

from converter.cli import (
    assessing,
    authoring,
    batching,
    converting,
    documenting,
    flowing,
    looking,
    packing,
    pricing,
    rehearsing,
    routing,
    sharing,
)
from converter.cli.exits import NAME, Program
from converter.cli.options import examples
from converter.limits import COLLECTOR
from converter.version import VERSION


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
        click.echo(f"{NAME} {VERSION}")
        context.exit()


for _command in (
    *converting.COMMANDS,
    *batching.COMMANDS,
    *assessing.COMMANDS,
    *flowing.COMMANDS,
    *routing.COMMANDS,
    *looking.COMMANDS,
    *rehearsing.COMMANDS,
    *packing.COMMANDS,
    *authoring.COMMANDS,
    *documenting.COMMANDS,
    *sharing.COMMANDS,
):
    program.add_command(_command)
for _command in pricing.COMMANDS:
    assessing.assess.add_command(_command)


def main() -> NoReturn:
    """Run the program with the arguments of the process."""
    gc.set_threshold(*COLLECTOR)
    program.main()
