"""What is left of a recipe's processes, seen from outside."""

import os
from pathlib import Path


def alive_below(folder: Path) -> list[str]:
    """The command lines of all processes whose HOME lies below `folder`."""
    mark = b"HOME=" + os.fsencode(folder)
    found = []
    for each in Path("/proc").iterdir():
        if not each.name.isdigit():
            continue
        try:
            variables = (each / "environ").read_bytes().split(b"\0")
            if any(one.startswith(mark) for one in variables):
                found.append((each / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
