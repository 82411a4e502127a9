"""Join tables held in memory, so that `message` is scanned once and no row is multiplied.

Source: docs/formats.md, Messages (a message may have no chat, or two; attachments multiply rows).
"""

from array import array
from collections.abc import Iterable

_SPARE = 1_000_000  # rowids above the number of rows before a plain array would waste memory


class Joins:
    """For each message rowid the rowids joined to it, in the order they were added.

    Takes 4 bytes a message and 4 bytes a pair, more only for what is joined to one message after
    the first; one million messages fit in 8 MiB.
    """

    def __init__(self, last_message: int, messages: int) -> None:
        """Prepare for message rowids 1 to `last_message`, of which about `messages` exist."""
        self._last = last_message = max(0, last_message)
        dense = last_message <= 8 * messages + _SPARE
        self._heads: array[int] | _Heads = (
            array("I", bytes(4 * (last_message + 1))) if dense else _Heads()
        )
        self._values = array("I", (0,))
        self._earlier: dict[int, int] = {}  # of places in the values, where one has another before

    def add(self, message: object, value: object) -> bool:
        """Join `value` to `message`, unless there can be no such message; True if it has another."""
        if type(message) is not int or type(value) is not int or not 0 < message <= self._last:
            return False
        place, earlier = len(self._values), self._heads[message]
        try:
            self._values.append(value)
        except OverflowError:  # no number that a phone gives
            self._values = array("q", [*self._values, value])
        self._heads[message] = place
        if earlier:
            self._earlier[place] = earlier
        return earlier != 0

    def of(self, message: int) -> list[int]:
        """Everything joined to `message`."""
        place = self._heads[message] if 0 < message <= self._last else 0
        values = []
        while place:
            values.append(self._values[place])
            place = self._earlier.get(place, 0)
        return values[::-1]

    def among(self, messages: Iterable[int]) -> dict[int, list[int]]:
        """Everything joined to these messages; those with nothing are left out."""
        heads, last = self._heads, self._last
        return {one: self.of(one) for one in messages if 0 < one <= last and heads[one]}

    def first(self, message: int) -> int | None:
        """What was joined to `message` first."""
        place = self._heads[message] if 0 < message <= self._last else 0
        if not place:
            return None
        while earlier := self._earlier.get(place):
            place = earlier
        return self._values[place]


class _Heads(dict[int, int]):
    """Sparse heads, for databases whose rowids have large gaps."""

    def __missing__(self, key: int) -> int:
        return 0
