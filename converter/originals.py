"""Messages that were converted before, as a state store knows them: what a receipt answers is found among them.

Ids, version codes, parties, times and codes only, nothing of a patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from converter.letter import Letter

_SOR = "urn:oid:1.2.208.176.1.1"


@dataclass(frozen=True, slots=True)
class Original:
    """One letter and the FHIR message that it became, or that it was made from.

    `occurred`, `recorded` and `activity` are those of the message's latest Provenance; `fault` is the id of a loss, or
    the code of a finding, for which the receiver will refuse the FHIR message, knowingly; `converted` the time of the
    conversion (UTC, ISO 8601). Letters of one FHIR message have one `message_header_id`.
    """

    type: str = ""
    version: str = ""
    envelope_id: str = ""
    letter_id: str = ""
    version_code: str = ""
    sender: str = ""
    receiver: str = ""
    sender_sor: str = ""
    receiver_sor: str = ""
    bundle_id: str = ""
    message_header_id: str = ""
    provenance_id: str = ""
    occurred: str = ""
    recorded: str = ""
    activity: str = ""
    group_id: str = ""
    fault: str = ""
    converted: str = ""

    def facts(self) -> dict[str, str]:
        """What is known of it, by name."""
        return {name: value for name, value in asdict(self).items() if value}


COLUMNS = tuple(field.name for field in fields(Original))


@dataclass(frozen=True, slots=True)
class Received:
    """A receipt of one letter. `id` tells it from others of its sender; `values` are the leaves of the receipt."""

    id: str
    type: str
    version: str
    values: str


class Store(Protocol):
    """What receipts need of a state store. All of it is of the last months: `forget` is asked first."""

    def forget(self, months: int) -> None:
        """Forget messages, and receipts of them, that were converted more than so many months ago."""
        ...

    def letters(self, header: str) -> list[Original]:
        """The letters of a FHIR message, in the order in which they were stored."""
        ...

    def named(self, letter: str, sender: str) -> list[Original]:
        """The letters with an id, of a sender."""
        ...

    def in_envelope(self, envelope: str, sender: str) -> list[Original]:
        """The letters of an interchange of a sender."""
        ...

    def receive(self, original: Original, receipt: Received) -> Received | None:
        """Note a receipt of a letter in the place of an earlier one, which is returned."""
        ...

    def received(self, original: Original) -> Received | None:
        """The receipt of a letter that was noted last."""
        ...


class Remembered:
    """A store of messages that are given, for examples: nothing is too old, and no receipt came before."""

    def __init__(self, originals: Iterable[Original]) -> None:
        self._originals = list(originals)
        self._received: dict[Original, Received] = {}

    def forget(self, months: int) -> None:
        """Nothing."""

    def letters(self, header: str) -> list[Original]:
        """The letters of a FHIR message."""
        return [one for one in self._originals if one.message_header_id == header]

    def named(self, letter: str, sender: str) -> list[Original]:
        """The letters with an id, of a sender."""
        return [one for one in self._originals if (one.letter_id, one.sender) == (letter, sender)]

    def in_envelope(self, envelope: str, sender: str) -> list[Original]:
        """The letters of an interchange of a sender."""
        return [one for one in self._originals if (one.envelope_id, one.sender) == (envelope, sender)]

    def receive(self, original: Original, receipt: Received) -> Received | None:
        """Note a receipt; none came before."""
        self._received[original] = receipt
        return None

    def received(self, original: Original) -> Received | None:
        """The receipt of a letter that was noted last."""
        return self._received.get(original)


def facts(letter: Letter, bundle: Mapping[str, Any], fault: str) -> dict[str, str]:
    """What a letter and its Bundle say that an `Original` keeps; what is not known is left out."""
    resources = list(_resources(bundle))
    header = resources[0] if resources else {}
    latest = _latest(resources, header)
    destinations = header.get("destination")
    first = destinations[0] if isinstance(destinations, list) and destinations else {}
    found = {
        "envelope_id": letter.text("Envelope.Identifier"),
        "letter_id": letter.text("Letter.Identifier"),
        "version_code": letter.text("Letter.VersionCode"),
        "sender": letter.text("Sender.EANIdentifier"),
        "receiver": letter.text("Receiver.EANIdentifier"),
        "sender_sor": _sor(resources, header.get("sender")),
        "receiver_sor": _sor(resources, first.get("receiver") if isinstance(first, dict) else None),
        "bundle_id": bundle.get("id"),
        "message_header_id": header.get("id"),
        "provenance_id": latest.get("id"),
        "occurred": latest.get("occurredDateTime"),
        "recorded": latest.get("recorded"),
        "activity": _activity(latest),
        "fault": fault,
    }
    return {key: value for key, value in found.items() if isinstance(value, str) and value}


def _resources(bundle: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for entry in bundle.get("entry") or ():
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            yield resource


def _latest(resources: list[Mapping[str, Any]], header: Mapping[str, Any]) -> Mapping[str, Any]:
    """The Provenance of this message: the one whose target is its header, whatever stands before or after it."""
    own = f"MessageHeader/{header.get('id')}"
    found = [one for one in resources if one.get("resourceType") == "Provenance"]
    of_this = [one for one in found if any(own in str(target) for target in one.get("target") or ())]
    return [{}, *found, *of_this][-1]


def _activity(provenance: Mapping[str, Any]) -> Any:
    activity = provenance.get("activity")
    codings = activity.get("coding") if isinstance(activity, dict) else None
    first = codings[0] if isinstance(codings, list) and codings else None
    return first.get("code") if isinstance(first, dict) else None


def _sor(resources: list[Mapping[str, Any]], reference: Any) -> Any:
    """The SOR id of the organisation that a reference names."""
    wanted = str(reference.get("reference")) if isinstance(reference, dict) else ""
    for one in resources:
        if one.get("resourceType") == "Organization" and wanted.endswith(f"Organization/{one.get('id')}"):
            identifiers = [i for i in one.get("identifier") or () if isinstance(i, dict)]
            return next((i.get("value") for i in identifiers if i.get("system") == _SOR), None)
    return None
