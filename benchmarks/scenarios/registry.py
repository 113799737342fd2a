"""All scenarios, in the order of the report."""

from typing import Final

from .base import Scenario
from .few import FEW
from .growth import GROWTH
from .handshakes import Handshakes
from .history import HISTORY
from .memory import Idle
from .permissions import Permissions
from .presence import Presence
from .processes import ACROSS
from .reactions import REACTIONS
from .stored import STORED
from .talk import TALKS

ALL: Final[tuple[Scenario, ...]] = (
    *TALKS.values(),
    *FEW,
    Idle(),
    Handshakes(),
    *STORED,
    *REACTIONS,
    *HISTORY,
    *ACROSS,
    Permissions(),
    Presence(),
    *GROWTH,
)
SCENARIOS: Final = {each.name: each for each in ALL}
