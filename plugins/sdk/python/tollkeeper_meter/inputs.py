"""What a product declares and the host has read."""

import json
from dataclasses import dataclass, field
from typing import Any


class MissingInput(Exception):
    """A meter lacks an input. Counters heal at the next tick, gauges are held for five intervals."""


@dataclass
class Object:
    """A Kubernetes object, reduced to the declared fields. A cluster-scoped one has no namespace."""

    kind: str
    namespace: str
    name: str
    labels: dict[str, str] = field(default_factory=dict)
    #: The declared fields as JSON.
    body: str = "{}"
    uid: str = ""
    api_version: str = "v1"

    def fields(self) -> Any:
        """The declared fields."""
        return json.loads(self.body)


@dataclass
class Sample:
    """A sample of a metric."""

    name: str
    labels: dict[str, str]
    value: float


class Inputs:
    """All inputs of a tick, by the names that the product gives them.

    An input that could not be read, is not declared or holds something else is a MissingInput: fewer readings would say that
    the usage has ended.
    """

    def __init__(self, **inputs: tuple[str, Any]) -> None:
        """For tests: ``Inputs(nodes=("objects", [Object("Node", "", "a")]))``. The kinds are those of the methods."""
        self._inputs = inputs

    def objects(self, name: str) -> list[Object]:
        """Kubernetes objects."""
        return self._find(name, "objects", "Kubernetes objects")

    def samples(self, name: str) -> list[Sample]:
        """Samples of metrics."""
        return self._find(name, "samples", "samples of metrics")

    def scalar(self, name: str) -> float:
        """The one number of a query."""
        return self._find(name, "scalar", "one number")

    def json(self, name: str) -> Any:
        """A JSON document."""
        text = self._find(name, "json", "a JSON document")
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MissingInput(f"`{name}` is not as expected: {error}") from error

    def _find(self, name: str, kind: str, expected: str) -> Any:
        if name not in self._inputs:
            raise MissingInput(f"the product declares no input `{name}`")
        found, data = self._inputs[name]
        if found == "unavailable":
            raise MissingInput(f"`{name}`: {data}")
        if found != kind:
            raise MissingInput(f"`{name}` does not hold {expected}")
        return data
