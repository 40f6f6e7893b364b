import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Amount } from "./amount.js";

const functions = {
  of: (text) => Amount.of(Number(text.replace("inf", "Infinity"))),
  gigabytes: (text) => Amount.inUnits(Number(text.replace("inf", "Infinity")), 1_000_000_000),
  quantity: (text) => Amount.quantity(text),
};

// The same table in every SDK: function, argument, result.
test("amounts are those of every SDK", () => {
  const table = readFileSync(new URL("amounts.tsv", import.meta.url), "utf8").trimEnd().split("\n");
  const rows = table.filter((line) => !line.startsWith("#"));
  assert.ok(rows.length > 30);
  for (const line of rows) {
    const [name, argument, expected] = line.split("\t");
    assert.equal(functions[name](argument)?.toString() ?? "-", expected, line);
  }
});

test("a sum stops at the most that can be reported", () => {
  const most = Amount.of(999_999_999_999);
  assert.equal(most.plus(most).toString(), "999999999999.999999");
});
