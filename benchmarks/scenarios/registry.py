"""All scenarios, in the order of the report."""

from typing import Final

from .base import Scenario
from .talk import TALKS

SCENARIOS: Final[dict[str, Scenario]] = {each.name: each for each in (*TALKS.values(),)}
