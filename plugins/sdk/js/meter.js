// Write meters for Tollkeeper in JavaScript: WebAssembly plugins that turn a product's declared inputs into readings.
//
// `meter.js` of a project exports a definition, `component.js` makes a component of it. Inputs come as `Inputs`, amounts are
// exact `Amount`s, and what was measured goes into an `Outcome`. A meter has no clock, randomness, network, files or
// environment: the same inputs, configuration and state give the same outcome on every machine, so a bill can be checked by
// running it again. Do not call Date or Math.random: both are the same at every tick.
//
// Everything works in `node --test`, too: `Inputs` can be made by hand, and `console` stands in for the log.

export { Amount } from "./amount.js";
export { Inputs, MissingInput, label, object, sample } from "./inputs.js";
export { Outcome } from "./outcome.js";

import { Inputs, MissingInput } from "./inputs.js";

/**
 * Makes the exports of a component, called `meter` and `describe`.
 *
 * @param {object} definition
 * @param {string} definition.name name of the plugin
 * @param {string} definition.version its version
 * @param {string[]} definition.dimensions what `measure` may report, as AWS Marketplace knows it
 * @param {string[]} definition.inputs what it asks for, by the names that a product must give
 * @param {object} definition.schema JSON schema of the configuration. The defaults of its properties are those of a product
 *   that leaves them out, and a key that is none of its properties is refused.
 * @param {(config: object) => string | undefined} [definition.check] why a configuration makes no sense
 * @param {(tick: Tick, inputs: Inputs, log: object) => import("./outcome.js").Outcome} definition.measure measures one tick.
 *   Nothing outlives the call but the state of its outcome. What it throws is an `internal` failure unless it is a
 *   MissingInput. The log has the functions debug, info, warn and error, and takes 64 KiB a call.
 * @param {(level: string, message: string) => void} write `write` of tollkeeper:meter/log@0.1.0
 */
export function component(definition, write) {
  const { name, version, dimensions, inputs, schema, check, measure } = definition;
  const log = Object.fromEntries(
    ["debug", "info", "warn", "error"].map((level) => [level, (message) => write(level, String(message))]),
  );
  const parse = (text) => {
    const config = text.trim() === "" ? {} : (JSON.parse(text) ?? {});
    if (typeof config !== "object" || Array.isArray(config)) throw new Error("the configuration is not an object");
    const properties = schema.properties ?? {};
    for (const [key, value] of Object.entries(config)) {
      if (!Object.hasOwn(properties, key)) throw new Error(`unknown key \`${key}\``);
      refuseOtherTypes(key, value, properties[key]);
    }
    for (const [key, property] of Object.entries(properties)) {
      if (!Object.hasOwn(config, key) && "default" in property) config[key] = property.default;
    }
    const why = check?.(config);
    if (why) throw new Error(why);
    return config;
  };
  return {
    meter: {
      measure(raw, list) {
        let config;
        try {
          config = parse(raw.config);
        } catch (error) {
          throw { tag: "invalid-config", val: error.message };
        }
        try {
          return measure(new Tick(raw, config), new Inputs(list), log).raw();
        } catch (error) {
          const tag = error instanceof MissingInput ? "missing-input" : "internal";
          throw { tag, val: String(error?.message ?? error) };
        }
      },
    },
    describe: {
      getManifest: () => ({ name, version, dimensions, inputs, configSchema: JSON.stringify(schema) }),
      validateConfig(config) {
        try {
          parse(config);
        } catch (error) {
          throw error.message;
        }
      },
    },
  };
}

/** The part of JSON schema that settles what a value is; the rest is for `check`. */
function refuseOtherTypes(key, value, property) {
  if (property.enum && !property.enum.includes(value)) {
    throw new Error(`\`${key}\` is ${JSON.stringify(value)}, not one of ${property.enum.join(", ")}`);
  }
  const is = { string: "string", number: "number", integer: "number", boolean: "boolean" }[property.type];
  if (is && typeof value !== is) throw new Error(`\`${key}\` is ${JSON.stringify(value)}, not a ${property.type}`);
}

/** What a meter is told about a tick. */
export class Tick {
  constructor(raw, config) {
    /** The moment, such as 2026-11-21T14:58:00Z: RFC 3339, always UTC. */
    this.at = raw.at;
    /** Seconds to the next tick. */
    this.seconds = raw.seconds;
    /** The product's name. */
    this.product = raw.product;
    /** The product's configuration. */
    this.config = config;
    /** What the last successful tick left; empty at first. */
    this.state = raw.state;
  }

  /** The hour of the tick, such as 2026-11-21T14. */
  get hour() {
    return this.at.slice(0, 13);
  }

  /** The day of the tick, such as 2026-11-21. */
  get day() {
    return this.at.slice(0, 10);
  }

  /** What `Outcome.remember` left, or what there is at first. */
  recall(first) {
    if (this.state.length === 0) return first;
    try {
      return JSON.parse(Array.from(this.state, (byte) => String.fromCharCode(byte)).join(""));
    } catch (error) {
      throw new Error(`the state of the last tick cannot be read: ${error.message}`);
    }
  }
}
