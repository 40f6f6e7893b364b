"""State: how many different users an hour or a day has seen. With ``fold: Max`` the last tick of the hour decides.

Names are remembered, so that a user who comes back is not counted again. At most 64 KiB of them fit; what is more is a failure
of the tick, and never too small a number.
"""

from tollkeeper_meter import Amount, Definition, Inputs, Log, MissingInput, Outcome, Tick


def measure(tick: Tick, inputs: Inputs, log: Log) -> Outcome:
    activity = inputs.json("activity")
    users = activity.get("users") if isinstance(activity, dict) else None
    if not isinstance(users, list):
        raise MissingInput("`activity` is not as expected: it has no list `users`")
    period = tick.day if tick.config["period"] == "day" else tick.hour
    known = tick.recall({"period": period, "users": []})
    all_users = sorted({*(known["users"] if known["period"] == period else []), *users})
    outcome = Outcome()
    outcome.gauge("active_users", Amount.units(len(all_users)))
    outcome.remember({"period": period, "users": all_users})
    return outcome


DEFINITION = Definition(
    name="active-users",
    version="1.0.0",
    dimensions=["active_users"],
    inputs=["activity"],
    schema={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "period": {"description": "How long a user counts once.", "enum": ["hour", "day"], "default": "hour"},
        },
    },
    measure=measure,
)
