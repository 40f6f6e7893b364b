/**
 * The readings of a tick, and what the next one is to know. Without readings all usage has ended; an input that is missing is
 * a MissingInput instead.
 */
export class Outcome {
  #readings = [];
  #state = new Uint8Array();

  /** An amount that holds until the next tick, such as a number of pods. Tags say whom to allocate it to. */
  gauge(dimension, amount, tags = {}) {
    this.#push(dimension, { tag: "gauge", val: amount.toString() }, tags);
  }

  /**
   * A total that only grows, of one source, such as the bytes that a pod has scanned. The host bills its increase and notices
   * when it starts again. Dimension, tags and source name a counter: report each at every tick at which it exists.
   */
  counter(dimension, total, source, tags = {}) {
    this.#push(dimension, { tag: "counter", val: { total: total.toString(), source } }, tags);
  }

  #push(dimension, value, tags) {
    this.#readings.push({ dimension, value, tags: Object.entries(tags).map(([key, value]) => ({ key, value })) });
  }

  /** Keeps a value for the next tick, as JSON of at most 64 KiB; `Tick.recall` reads it. */
  remember(value) {
    // In ASCII: QuickJS has no TextEncoder.
    const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
    const json = JSON.stringify(value).replace(/[\u0080-\uffff]/g, escaped);
    this.#state = Uint8Array.from(json, (unit) => unit.charCodeAt(0));
  }

  /** What the next tick is handed. */
  get state() {
    return this.#state;
  }

  /** The readings, such as `gb 1.500000 of pod-0 {Namespace=red}`: for tests. */
  lines() {
    return this.#readings.map(({ dimension, value, tags }) => {
      const amount = value.tag === "gauge" ? value.val : `${value.val.total} of ${value.val.source}`;
      const labels = tags.map((tag) => `${tag.key}=${tag.value}`).join(",");
      return `${dimension} ${amount}${labels && ` {${labels}}`}`;
    });
  }

  /** As the interface has it. */
  raw() {
    return { readings: this.#readings, state: this.#state };
  }
}
