"""Rules about the content of letters, given as data by whoever owns them (`mappings/rules`).

What a schema says stands in the letter definitions; what cpr.dk, GS1, SOR or MedCom say beyond it is a rule: with an
owner, a first day, a severity, the leaves that it is about and a condition. A letter is judged by the rules and the
editions of code lists that are valid on its own date.
"""

from __future__ import annotations

from converter.rules.reading import MAX_LEVEL, Rule, load
from converter.rules.running import DEFAULT_LEVEL, Rules

__all__ = ["DEFAULT_LEVEL", "MAX_LEVEL", "Rule", "Rules", "load"]
