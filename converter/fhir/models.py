"""Typed R4B models of fhir.resources, for users of the library who want attributes instead of dicts.

Never on the way to an output: these models write decimals as floats and take milliseconds a Bundle. R4B has the same
elements as R4 in everything that MedCom's messages use, and fhir.resources has no models of R4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from converter.errors import ConversionError
from converter.fhir.jsonfaults import is_property

if TYPE_CHECKING:
    from fhir.resources.R4B.bundle import Bundle

_SHOWN = 5


def model(bundle: Mapping[str, Any]) -> Bundle:
    """A Bundle as `fhir.resources.R4B.bundle.Bundle`. Numbers become `Decimal`s with the digits they were read with.

    Raises `ConversionError` if the Bundle does not fit the models; its text names elements and rules, never values.
    The first call imports fhir.resources, which takes some tenths of a second.
    """
    from fhir.resources.R4B.bundle import Bundle
    from pydantic import ValidationError

    try:
        return Bundle.model_validate(bundle)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        shown = [f"{_path(fault['loc'])} ({fault['type']})" for fault in faults[:_SHOWN]]
        more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        problem = "; ".join(shown) + more
    except (KeyError, TypeError, AttributeError, ValueError):  # fhir-core lets these out for unknown resource types
        problem = "it holds something that is no R4B resource"
    except RecursionError:
        problem = "it is nested too deeply"
    # Outside the handlers, so that the exception does not carry one whose text shows values.
    raise ConversionError(f"the Bundle does not fit the R4B models: {problem}")


def _path(steps: tuple[int | str, ...]) -> str:
    """Names that no FHIR property has are not shown: a value may stand there."""
    return ".".join(str(step) if isinstance(step, int) or is_property(step) else "*" for step in steps)
