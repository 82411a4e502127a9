"""Places where a test makes the process die, named by the setting FAILPOINT=name:exit."""

import os

_armed: dict[str, str] = {}


def arm(description: str) -> None:
    """Arm failpoints from `name:exit,name:exit`; an empty text arms none."""
    _armed.clear()
    for part in filter(None, description.split(",")):
        name, _, action = part.partition(":")
        _armed[name.strip()] = action.strip()


async def failpoint(name: str) -> None:
    """End the process here, as kill -9 would, if this point is armed."""
    if _armed and _armed.get(name) == "exit":
        os._exit(86)
