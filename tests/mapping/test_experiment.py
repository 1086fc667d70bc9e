"""The edit experiment (`experiment.py`): at least 98 % of the mistakes that change anything are seen before merging."""

from __future__ import annotations

import pytest

from tests.mapping.edits import Edit
from tests.mapping.experiment import Trial, caught, report, run

EDIT = Edit("removed_rule", "fhir/x.yaml", 1, "rule x removed", "")


def test_what_nothing_sees_is_a_miss_unless_it_changes_nothing() -> None:
    """The negative control: misses count, and edits without effect do not."""
    seen, missed = Trial(EDIT, {"lint": "LNT067"}), Trial(EDIT)
    nothing = Trial(EDIT, effect=False)
    assert [trial.verdict for trial in (seen, missed, nothing)] == ["caught", "missed", "without effect"]
    assert caught([seen, missed, nothing]) == 50
    assert "- missed: removed_rule, fhir/x.yaml:1: rule x removed" in report([seen, missed])


@pytest.mark.long
def test_mistakes_are_caught() -> None:
    trials = run()
    assert len(trials) == 200
    assert caught(trials) >= 98, report(trials)
