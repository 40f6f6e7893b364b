#!/usr/bin/env python3
"""Writes signals.jsonl: thirty days of a made-up VecDB cluster, the same at every run.

Two teams share it. `search` runs three instances and a fourth in office hours; `analytics` runs one, scans at night,
and is upgraded on the 15th, which restarts its pod and resets its counter. On the 20th its metrics are out of reach
for twenty minutes.
"""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

START = datetime(2026, 10, 1, tzinfo=timezone.utc)
DAYS = 30
STEP = timedelta(minutes=30)


def at(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(namespace, name, uid, node, cpu):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "uid": uid, "labels": {"app": "vecdb"}},
        "spec": {"nodeName": node, "containers": [{"name": "vecdb", "resources": {"requests": {"cpu": cpu}}}]},
        "status": {"phase": "Running"},
    }


def sample(namespace, name, value):
    labels = {"namespace": namespace, "pod": name}
    return {"name": "vecdb_bytes_scanned_total", "labels": labels, "value": value}


def is_office(moment):
    return moment.weekday() < 5 and 8 <= moment.hour < 18


def is_upgraded(moment):
    return moment >= START + timedelta(days=14, hours=10)


def pods(moment):
    found = [pod("search", f"vecdb-{n}", f"search-{n}", f"node-{n % 2}", "1500m") for n in range(3)]
    if is_office(moment):
        found.append(pod("search", "vecdb-3", f"search-3-{moment:%d}", "node-1", "1500m"))
    uid = "analytics-1" if is_upgraded(moment) else "analytics-0"
    found.append(pod("analytics", "vecdb-0", uid, "node-1", "2"))
    return found


def main():
    lines = [{
        "at": at(START),
        "input": "nodes",
        "objects": [
            {
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": f"node-{n}", "uid": f"node-{n}", "labels": {}},
                "status": {"capacity": {"cpu": "16"}},
            }
            for n in range(2)
        ],
    }]
    totals = {("search", f"vecdb-{n}"): 0 for n in range(3)}
    totals["analytics", "vecdb-0"] = 0
    upgraded, last = False, None
    for step in range(int(timedelta(days=DAYS) / STEP)):
        moment = START + step * STEP
        present = pods(moment)
        if present != last:
            lines.append({"at": at(moment), "input": "pods", "objects": present})
            last = present
        if is_upgraded(moment) and not upgraded:
            totals["analytics", "vecdb-0"], upgraded = 0, True
        for namespace, name in totals:
            busy = is_office(moment) if namespace == "search" else moment.hour < 6
            rate = (731 + 17 * (step % 23)) if busy else (41 + step % 7)
            totals[namespace, name] += rate * 1_000_003
        out_from = START + timedelta(days=19, hours=3)
        if moment == out_from:
            lines.append({"at": at(moment), "input": "engine", "missing": "connection refused"})
            moment += timedelta(minutes=20)
        engine = [sample(namespace, name, total) for (namespace, name), total in totals.items()]
        lines.append({"at": at(moment), "input": "engine", "samples": engine})
    end = START + timedelta(days=DAYS)
    engine = [sample(namespace, name, total) for (namespace, name), total in totals.items()]
    lines.append({"at": at(end), "input": "engine", "samples": engine})
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    Path(__file__).with_name("signals.jsonl").write_text(text)


if __name__ == "__main__":
    main()
