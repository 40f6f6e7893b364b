"""Write meters for Tollkeeper in Python: WebAssembly plugins that turn a product's declared inputs into readings.

``meter.py`` of a project holds a :class:`Definition`, ``component.py`` makes a component of it. Inputs come as
:class:`Inputs`, amounts are exact :class:`Amount`, and what was measured goes into an :class:`Outcome`. A meter has no clock,
randomness, network, files or environment: the same inputs, configuration and state give the same outcome on every machine, so
a bill can be checked by running it again.

Everything works in ordinary unit tests, too: :class:`Inputs` can be made by hand.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Callable

from .amount import Amount
from .inputs import Inputs, MissingInput, Object, Sample
from .outcome import Outcome, Reading

__all__ = [
    "Amount", "Definition", "Inputs", "InvalidConfig", "Log", "MissingInput", "Object", "Outcome", "Reading", "Sample", "Tick",
]


class InvalidConfig(Exception):
    """A configuration that cannot be used, and why."""


@dataclass
class Tick:
    """What a meter is told about a tick."""

    #: The moment, such as 2026-11-21T14:58:00Z: RFC 3339, always UTC.
    at: str
    #: Seconds to the next tick.
    seconds: int
    #: The product's name.
    product: str
    #: The product's configuration.
    config: dict[str, Any]
    #: What the last successful tick left; empty at first.
    state: bytes = b""

    @property
    def hour(self) -> str:
        """The hour of the tick, such as 2026-11-21T14."""
        return self.at[:13]

    @property
    def day(self) -> str:
        """The day of the tick, such as 2026-11-21."""
        return self.at[:10]

    def recall(self, first: Any) -> Any:
        """What ``Outcome.remember`` left, or what there is at first."""
        if not self.state:
            return first
        try:
            # Bytes would be guessed the encoding of, and not all of them are in a component.
            return json.loads(self.state.decode())
        except ValueError as error:
            raise ValueError(f"the state of the last tick cannot be read: {error}") from error


@dataclass
class Log:
    """Lines for the operator's log and the vendor's bench: of each call the last 64 KiB are kept."""

    #: Takes a level and a line.
    write: Callable[[str, str], None] = lambda level, message: print(f"{level}: {message}")

    def debug(self, message: str) -> None:
        """For whoever looks for an error."""
        self.write("debug", message)

    def info(self, message: str) -> None:
        """Ordinary."""
        self.write("info", message)

    def warn(self, message: str) -> None:
        """Something is odd and usage may be incomplete."""
        self.write("warn", message)

    def error(self, message: str) -> None:
        """Something is wrong."""
        self.write("error", message)


_TYPES = {"string": str, "number": (int, float), "integer": int, "boolean": bool}


@dataclass
class Definition:
    """A meter."""

    name: str
    version: str
    #: What ``measure`` may report, as AWS Marketplace knows it.
    dimensions: list[str]
    #: What it asks for, by the names that a product must give.
    inputs: list[str]
    #: Measures one tick. Nothing outlives the call but the state of its outcome. What it raises is an ``internal`` failure
    #: unless it is a MissingInput; the tick then counts as missed.
    measure: Callable[[Tick, Inputs, Log], Outcome]
    #: JSON schema of the configuration. The defaults of its properties are those of a product that leaves them out, and a key
    #: that is none of its properties is refused.
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "object"})
    #: Why a configuration makes no sense.
    check: Callable[[dict[str, Any]], str | None] = lambda config: None

    def parse(self, text: str) -> dict[str, Any]:
        """The configuration, or an InvalidConfig."""
        try:
            config = json.loads(text) if text.strip() else {}
        except ValueError as error:
            raise InvalidConfig(str(error)) from error
        config = {} if config is None else config
        if not isinstance(config, dict):
            raise InvalidConfig("the configuration is not an object")
        properties = self.schema.get("properties", {})
        for key, value in config.items():
            if key not in properties:
                raise InvalidConfig(f"unknown key `{key}`")
            self._refuse_other_types(key, value, properties[key])
        defaults = {key: one["default"] for key, one in properties.items() if "default" in one}
        config = defaults | config
        why = self.check(config)
        if why:
            raise InvalidConfig(why)
        return config

    @staticmethod
    def _refuse_other_types(key: str, value: Any, schema: dict[str, Any]) -> None:
        """The part of JSON schema that settles what a value is; the rest is for ``check``."""
        if "enum" in schema and value not in schema["enum"]:
            raise InvalidConfig(f"`{key}` is {value!r}, not one of {', '.join(map(str, schema['enum']))}")
        kind = schema.get("type")
        is_other = kind in _TYPES and not isinstance(value, _TYPES[kind])
        if is_other or (kind in ("number", "integer") and isinstance(value, bool)):
            raise InvalidConfig(f"`{key}` is {value!r}, not a {kind}")
