"""What `make build` makes of static files, and whether it is current.

A folder has its build in `dist`. `dist/digest` is the SHA-256 of the sources and of what was built
of them, so that neither a change of a source nor half a build goes unnoticed.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

DIST: Final = "dist"
DIGEST: Final = "digest"
# Of each folder with a build: the folders whose scripts and style sheets are in it.
SOURCES: Final = {
    "chat/client": ("chat/client",),
    "chat/demo": ("chat/demo", "chat/client"),
    "chat/room": ("chat/room", "chat/demo", "chat/client"),
}


def digest(root: Path, folder: str) -> str:
    """Of the build of a folder in `root`: 64 hexadecimal digits."""
    found = sha256()
    for path in sorted([*_sources(root, folder), *_built(root / folder / DIST)]):
        content = path.read_bytes()
        found.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()


def is_current(root: Path, file: Path) -> bool:
    """Whether a file in `root` is no part of a build, or of one that is current."""
    if file.parent.name != DIST:
        return True
    folder = file.parent.parent.relative_to(root).as_posix()
    if folder not in SOURCES:
        return True
    try:
        return (file.parent / DIGEST).read_text("ascii").strip() == digest(root, folder)
    except (OSError, UnicodeError):  # a source may go while it is read
        return False


def _sources(root: Path, folder: str) -> Iterator[Path]:
    for source in SOURCES[folder]:
        for path in (root / source).rglob("*.*"):
            if path.suffix in (".js", ".css") and path.parent.name != DIST:
                yield path


def _built(dist: Path) -> Iterator[Path]:
    return (path for path in dist.rglob("*.*") if path.is_file())
