"""A gauge: how many nodes a cluster has. With ``fold: TimeWeighted`` the product is billed by node-hours."""

from tollkeeper_meter import Amount, Definition, Inputs, Log, MissingInput, Outcome, Tick


def measure(tick: Tick, inputs: Inputs, log: Log) -> Outcome:
    nodes = inputs.objects("nodes")
    if not nodes:
        raise MissingInput("`nodes` is empty, but every cluster has nodes")
    ignored = tick.config["ignoreLabel"]
    counted = [node for node in nodes if not ignored or ignored not in node.labels]
    outcome = Outcome()
    outcome.gauge("node_hours", Amount.units(len(counted)))
    return outcome


DEFINITION = Definition(
    name="node-hours",
    version="1.0.0",
    dimensions=["node_hours"],
    inputs=["nodes"],
    schema={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "ignoreLabel": {
                "description": "Nodes with this label are not counted; empty for none.",
                "type": "string",
                "default": "",
            },
        },
    },
    measure=measure,
)
