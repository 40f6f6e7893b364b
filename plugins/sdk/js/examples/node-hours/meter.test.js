import assert from "node:assert/strict";
import { test } from "node:test";

import { measure } from "./meter.js";
import { Inputs, MissingInput, object } from "./sdk/meter.js";

const tick = (ignoreLabel) => ({
  at: "2026-11-21T14:58:00Z", seconds: 60, product: "example", config: { ignoreLabel }, state: [],
});

const nodes = (...all) => new Inputs([{ name: "nodes", data: { tag: "objects", val: all } }]);

const two = nodes(object("Node", "", "a", { control: "" }, {}), object("Node", "", "b", {}, {}));

test("every node is counted", () => {
  assert.deepEqual(measure(tick(""), two).lines(), ["node_hours 2.000000"]);
});

test("a node with the label is not", () => {
  assert.deepEqual(measure(tick("control"), two).lines(), ["node_hours 1.000000"]);
});

test("a cluster without nodes is not measured", () => {
  assert.throws(() => measure(tick(""), nodes()), MissingInput);
  assert.throws(() => measure(tick(""), new Inputs([])), MissingInput);
});
