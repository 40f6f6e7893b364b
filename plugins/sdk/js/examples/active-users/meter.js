// State: how many different users an hour or a day has seen. With `fold: Max` the last tick of the hour decides.
//
// Names are remembered, so that a user who comes back is not counted again. At most 64 KiB of them fit; what is more is a
// failure of the tick, and never too small a number.
import { Amount, MissingInput, Outcome } from "./sdk/meter.js";

export function measure(tick, inputs) {
  const { users } = inputs.json("activity");
  if (!Array.isArray(users)) throw new MissingInput("`activity` is not as expected: it has no list `users`");
  const period = tick.config.period === "day" ? tick.day : tick.hour;
  const known = tick.recall({ period, users: [] });
  const all = [...new Set([...(known.period === period ? known.users : []), ...users])].sort();
  const outcome = new Outcome();
  outcome.gauge("active_users", Amount.units(all.length));
  outcome.remember({ period, users: all });
  return outcome;
}

export default {
  name: "active-users",
  version: "1.0.0",
  dimensions: ["active_users"],
  inputs: ["activity"],
  schema: {
    type: "object",
    additionalProperties: false,
    properties: {
      period: { description: "How long a user counts once.", enum: ["hour", "day"], default: "hour" },
    },
  },
  measure,
};
