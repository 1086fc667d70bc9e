"""The command `pseudonymise`: a corpus that may be shared for assessments and tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from converter.cli.options import Settings, ended, engine_for, examples, shared

if TYPE_CHECKING:
    from converter.pseudonymise import Shared
    from converter.sinks import AtomicFile

_FOLDER = click.Path(file_okay=False, path_type=Path)
_KEY = click.Path(dir_okay=False, path_type=Path)


@click.command(
    epilog=examples(
        "pseudonymise archive/ shared --key-file key --make-key   make a key, then a corpus without patients",
        "pseudonymise new.zip shared2 --key-file key              the same persons and parties have the same numbers",
    )
)
@click.argument("corpus", metavar="CORPUS")
@click.argument("folder", metavar="OUT", type=_FOLDER)
@click.option("--key-file", metavar="K", type=_KEY, required=True, help="File with the key; keep it out of the corpus.")
@click.option("--make-key", is_flag=True, help="Make the key file first, with a new key.")
@click.option("--force", is_flag=True, help="Write into a folder that holds something; replace files of the same name.")
@shared
def pseudonymise(settings: Settings, corpus: str, folder: Path, *, key_file: Path, make_key: bool, force: bool) -> int:
    """Replace everything personal in the messages of CORPUS, and write them into the folder OUT.

    CORPUS: a file, folder, archive or NDJSON of letters and Bundles, as for `convert`. Numbers, names and addresses
    have the same replacement everywhere, texts and attachments are overwritten; CPR numbers become numbers of the
    test series. Codes, dates of messages, lengths and line ends stay, so that a message has the type, version and
    deviations that it had. Files get new names. What cannot be read is left out and reported.

    The result is still personal data (GDPR, article 4(5)): who has the key can test guesses, and codes and dates stay.
    """
    from converter import pseudonymise as making
    from converter.issues import IssueLog
    from converter.pseudonymise import keyfile
    from converter.sinks import OutputRefusedError, refuse_inside
    from converter.sources import require

    require([corpus])
    refuse_inside(folder, [corpus])
    if key_file.resolve().is_relative_to(folder.resolve()):
        raise OutputRefusedError(f"{key_file} lies in {folder}: a key must not travel with its corpus")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise OutputRefusedError(f"{folder} holds something; --force writes into it")
    if make_key:
        keyfile.make(key_file)
    key = keyfile.read(key_file)
    reporter = settings.reporter(sys.stdout)
    made = making.Corpus(engine_for(settings, reporter, validate=False), key)
    log, out = IssueLog(), _Files(folder, force)
    with reporter.progress("inputs", stdout_used=True) as advance, out:
        for item in making.read(corpus, made.engine, log):
            shared_file = made.shared(item, log)
            if shared_file is not None:
                out.add(shared_file)
            reporter.add(log.drain())
            advance()
    made.finish(log)
    reporter.add(log.drain())
    reporter.note(
        f"{made.messages} messages in {out.number} files written to {folder}, {made.left_out} inputs left out. "
        "They are still personal data: keep the key apart, and agree on their use."
    )
    return ended(reporter)


class _Files:
    """The files of the folder; one that has further lines stays open until the next."""

    def __init__(self, folder: Path, force: bool) -> None:
        self._folder, self._force = folder, force
        self._open: AtomicFile | None = None
        self.number = 0

    def add(self, shared_file: Shared) -> None:
        """Write a file, or a further line of the last one."""
        from converter.sinks import AtomicFile

        if not shared_file.append or self._open is None:
            self._commit()
            self._open = AtomicFile(self._folder / shared_file.name, force=self._force)
            self.number += 1
        self._open.write(shared_file.data)

    def _commit(self) -> None:
        if self._open is not None:
            self._open.commit()
            self._open = None

    def __enter__(self) -> _Files:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._commit()
        elif self._open is not None:
            self._open.abandon()


COMMANDS = (pseudonymise,)
