"""Counters: what every pod has scanned since it started, allocated to namespaces.

The host bills the increase of each pod and notices when one starts again.
"""

from tollkeeper_meter import Amount, Definition, Inputs, Log, Outcome, Tick

BYTES_IN_A_GIGABYTE = 1_000_000_000


def check(config):
    if not config["metric"] or not config["tag"]:
        return "`metric` and `tag` must not be empty"
    return None


def measure(tick: Tick, inputs: Inputs, log: Log) -> Outcome:
    metric, tag = tick.config["metric"], tick.config["tag"]
    outcome = Outcome()
    seen = set()
    for sample in inputs.samples("engine"):
        if sample.name != metric:
            continue
        namespace, pod = sample.labels.get("namespace"), sample.labels.get("pod")
        if namespace is None or pod is None:
            raise ValueError(f"`{metric}` lacks the label namespace or pod")
        gigabytes = Amount.in_units(sample.value, BYTES_IN_A_GIGABYTE)
        if gigabytes is None:
            log.warn(f"{metric} of {namespace}/{pod} is ignored: it is not a number of bytes")
        elif (namespace, pod) in seen:
            log.warn(f"{metric} of {namespace}/{pod} is there twice; the first holds")
        else:
            seen.add((namespace, pod))
            outcome.counter("gb_scanned", gigabytes, pod, **{tag: namespace})
    return outcome


DEFINITION = Definition(
    name="scanned-bytes",
    version="1.0.0",
    dimensions=["gb_scanned"],
    inputs=["engine"],
    schema={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "metric": {
                "description": "The metric: bytes since the pod started.",
                "type": "string",
                "minLength": 1,
                "default": "scanned_bytes_total",
            },
            "tag": {
                "description": "Key of the tag that allocates usage to namespaces.",
                "type": "string",
                "minLength": 1,
                "default": "Namespace",
            },
        },
    },
    check=check,
    measure=measure,
)
