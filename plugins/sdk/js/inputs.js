/** A meter lacks an input. Counters heal at the next tick, gauges are held for five intervals. */
export class MissingInput extends Error {}

/**
 * All inputs of a tick, by the names that the product gives them.
 *
 * An input that could not be read, is not declared or holds something else is a MissingInput: fewer readings would say that
 * the usage has ended.
 */
export class Inputs {
  #data;

  /** For tests: `new Inputs([{name: "seats", data: {tag: "scalar", val: 7}}])`. */
  constructor(list) {
    this.#data = new Map(list.map(({ name, data }) => [name, data]));
  }

  /** Kubernetes objects, reduced to the declared fields: their JSON is in `body`. */
  objects(name) {
    return this.#find(name, "objects", "Kubernetes objects");
  }

  /** Samples of metrics. */
  samples(name) {
    return this.#find(name, "samples", "samples of metrics");
  }

  /** The one number of a query. */
  scalar(name) {
    return this.#find(name, "scalar", "one number");
  }

  /** A JSON document. */
  json(name) {
    const text = this.#find(name, "json", "a JSON document");
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new MissingInput(`\`${name}\` is not as expected: ${error.message}`);
    }
  }

  #find(name, tag, expected) {
    const data = this.#data.get(name);
    if (data === undefined) throw new MissingInput(`the product declares no input \`${name}\``);
    if (data.tag === "unavailable") throw new MissingInput(`\`${name}\`: ${data.val}`);
    if (data.tag !== tag) throw new MissingInput(`\`${name}\` does not hold ${expected}`);
    return data.val;
  }
}

/** The value of a label of an object or a sample; undefined if it has none. */
export function label(labelled, key) {
  return labelled.labels.find((tag) => tag.key === key)?.value;
}

const tags = (labels) => Object.entries(labels).map(([key, value]) => ({ key, value }));

/** A Kubernetes object: for tests. */
export function object(kind, namespace, name, labels, body) {
  return {
    apiVersion: "v1", kind, namespace, name, uid: `uid-of-${name}`, labels: tags(labels), body: JSON.stringify(body),
  };
}

/** A sample of a metric: for tests. */
export function sample(name, labels, value) {
  return { name, labels: tags(labels), value };
}
