"""Places where a test makes the process die or freeze: the setting FAILPOINT=name:exit or name:stop."""

import os
import signal

_armed: dict[str, str] = {}


def arm(description: str) -> None:
    """Arm failpoints from `name:exit,name:stop`; an empty text arms none."""
    _armed.clear()
    for part in filter(None, description.split(",")):
        name, _, action = part.partition(":")
        _armed[name.strip()] = action.strip()


async def failpoint(name: str) -> None:
    """End the process here, as kill -9 would, or stop it as a frozen machine, if so armed."""
    if not _armed:
        return
    action = _armed.get(name)
    if action == "exit":
        os._exit(86)
    if action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
