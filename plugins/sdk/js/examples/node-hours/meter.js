// A gauge: how many nodes a cluster has. With `fold: TimeWeighted` the product is billed by node-hours.
import { Amount, MissingInput, Outcome, label } from "./sdk/meter.js";

export function measure(tick, inputs) {
  const nodes = inputs.objects("nodes");
  if (nodes.length === 0) throw new MissingInput("`nodes` is empty, but every cluster has nodes");
  const { ignoreLabel } = tick.config;
  const counted = nodes.filter((node) => ignoreLabel === "" || label(node, ignoreLabel) === undefined);
  const outcome = new Outcome();
  outcome.gauge("node_hours", Amount.units(counted.length));
  return outcome;
}

export default {
  name: "node-hours",
  version: "1.0.0",
  dimensions: ["node_hours"],
  inputs: ["nodes"],
  schema: {
    type: "object",
    additionalProperties: false,
    properties: {
      ignoreLabel: {
        description: "Nodes with this label are not counted; empty for none.",
        type: "string",
        default: "",
      },
    },
  },
  measure,
};
