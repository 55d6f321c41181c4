"""The files below a folder that can be read: links are followed, loops and broken links are not."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

Identity = tuple[int, int]
# Ways to one folder that are followed. Folders full of links to each other have very many.
_MOST_WAYS = 64


def files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Regular files and their bytes, in a fixed order; hidden ones are left out.

    A link to a folder above itself is left out, and so is what cannot be opened for lack of a
    target: a broken link, a pipe, a socket, a device.

    Raises:
        OSError: the root cannot be read.
    """
    root = os.stat(folder)
    yield from _below(folder, ((root.st_dev, root.st_ino),), Counter())


def _below(
    folder: Path, above: tuple[Identity, ...], ways: Counter[Identity]
) -> Iterator[tuple[Path, int]]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except PermissionError:  # a folder of another user, such as lost+found
        return
    folders = []
    for name in names:
        path = folder / name
        try:
            found = path.stat()
        except OSError:  # a broken link, or one to itself
            continue
        if stat.S_ISREG(found.st_mode):
            yield path, found.st_size
        elif stat.S_ISDIR(found.st_mode):
            folders.append((path, (found.st_dev, found.st_ino)))
    for path, identity in folders:
        ways[identity] += 1
        if identity not in above and ways[identity] <= _MOST_WAYS:
            yield from _below(path, (*above, identity), ways)
