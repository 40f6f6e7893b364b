// Counters: what every pod has scanned since it started, allocated to namespaces. The host bills the increase of each pod and
// notices when one starts again.
import { Amount, Outcome, label } from "./sdk/meter.js";

const BYTES_IN_A_GIGABYTE = 1_000_000_000;

export function measure(tick, inputs, log) {
  const { metric, tag } = tick.config;
  const outcome = new Outcome();
  const seen = new Set();
  for (const sample of inputs.samples("engine").filter(({ name }) => name === metric)) {
    const [namespace, pod] = [label(sample, "namespace"), label(sample, "pod")];
    if (namespace === undefined || pod === undefined) {
      throw new Error(`\`${metric}\` lacks the label namespace or pod`);
    }
    const gigabytes = Amount.inUnits(sample.value, BYTES_IN_A_GIGABYTE);
    const source = `${namespace}/${pod}`;
    if (gigabytes === undefined) {
      log.warn(`${metric} of ${source} is ignored: it is not a number of bytes`);
    } else if (seen.has(source)) {
      log.warn(`${metric} of ${source} is there twice; the first holds`);
    } else {
      seen.add(source);
      outcome.counter("gb_scanned", gigabytes, pod, { [tag]: namespace });
    }
  }
  return outcome;
}

export default {
  name: "scanned-bytes",
  version: "1.0.0",
  dimensions: ["gb_scanned"],
  inputs: ["engine"],
  schema: {
    type: "object",
    additionalProperties: false,
    properties: {
      metric: {
        description: "The metric: bytes since the pod started.",
        type: "string",
        minLength: 1,
        default: "scanned_bytes_total",
      },
      tag: {
        description: "Key of the tag that allocates usage to namespaces.",
        type: "string",
        minLength: 1,
        default: "Namespace",
      },
    },
  },
  check: ({ metric, tag }) => (metric === "" || tag === "" ? "`metric` and `tag` must not be empty" : undefined),
  measure,
};
