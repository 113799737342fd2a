"""Tables in the pages of the documentation.

Text between `<!-- figures: NAME -->` and `<!-- end -->` is replaced; all other text is left as it
is.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

PLACE: Final = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(path: Path, made: Mapping[str, Callable[[], str]]) -> None:
    text = path.read_text()
    unknown = {name for _, name, _ in PLACE.findall(text)} - set(made)
    if unknown:
        raise SystemExit(f"{path.name} asks for {unknown}; there are {list(made)}.")
    path.write_text(PLACE.sub(lambda place: place[1] + _apart(made[place[2]]()) + place[3], text))


def _apart(text: str) -> str:
    """With one empty line before it, behind it and between its parts."""
    return "\n" + re.sub(r"\n{3,}", "\n\n", text.strip("\n")) + "\n\n"


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    written = [heads, ["---", *["---:"] * (len(heads) - 1)], *lines]
    return "\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in written) + "\n"
