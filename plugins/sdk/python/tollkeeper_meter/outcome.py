"""What a tick has come to."""

import json
from dataclasses import dataclass, field
from typing import Any

from .amount import Amount


@dataclass
class Reading:
    """One measured value of a dimension; a counter has a source."""

    dimension: str
    amount: Amount
    source: str | None
    tags: dict[str, str]


@dataclass
class Outcome:
    """The readings of a tick, and what the next one is to know.

    Without readings all usage has ended; an input that is missing is a MissingInput instead.
    """

    readings: list[Reading] = field(default_factory=list)
    #: What the next tick is handed: at most 64 KiB.
    state: bytes = b""

    def gauge(self, dimension: str, amount: Amount, **tags: str) -> None:
        """An amount that holds until the next tick, such as a number of pods. Tags say whom to allocate it to."""
        self.readings.append(Reading(dimension, amount, None, tags))

    def counter(self, dimension: str, total: Amount, source: str, **tags: str) -> None:
        """A total that only grows, of one source, such as the bytes that a pod has scanned.

        The host bills its increase and notices when it starts again. Dimension, tags and source name a counter: report each
        at every tick at which it exists.
        """
        self.readings.append(Reading(dimension, total, source, tags))

    def remember(self, value: Any) -> None:
        """Keeps a value for the next tick, as JSON; ``Tick.recall`` reads it."""
        self.state = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    def lines(self) -> list[str]:
        """The readings, such as ``gb 1.500000 of pod-0 {Namespace=red}``: for tests."""
        def line(reading: Reading) -> str:
            source = "" if reading.source is None else f" of {reading.source}"
            tags = ",".join(f"{key}={value}" for key, value in reading.tags.items())
            return f"{reading.dimension} {reading.amount}{source}" + (f" {{{tags}}}" if tags else "")

        return [line(reading) for reading in self.readings]
