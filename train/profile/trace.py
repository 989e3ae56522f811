"""Reading and trimming of a Chrome trace as torch.profiler writes it."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

MOST_EVENTS: Final = 200_000  # about 5 MB packed
MOST_ROWS: Final = 30
_CPU: Final = ("cpu_op",)
_GPU: Final = ("kernel", "gpu_memcpy", "gpu_memset")
_PATH: Final = re.compile(r"(?<![\w/.])/(?:[^/\s\"':;,()<>]+/)+")

Event = Mapping[str, Any]


def operator_rows(events: Sequence[Event]) -> dict[str, list[dict[str, Any]]]:
    """The most expensive operators, by their own time: `cpu` and `gpu`, each with name, calls, self_us (without the
    operators it calls), total_us (with them; once where an operator calls itself) and share of all operators' own time.
    """
    return {"cpu": _table(_of(events, _CPU)), "gpu": _table(_of(events, _GPU))}


def _of(events: Sequence[Event], categories: tuple[str, ...]) -> list[Event]:
    return [each for each in events if each.get("ph") == "X" and each.get("cat") in categories]


def _table(events: list[Event]) -> list[dict[str, Any]]:
    calls: dict[str, int] = defaultdict(int)
    own: dict[str, float] = defaultdict(float)
    total: dict[str, float] = defaultdict(float)
    open_: dict[Any, list[tuple[str, float]]] = defaultdict(list)  # by thread: (name, end) of what runs
    # Of two that begin at once the longer one calls the other.
    for event in sorted(events, key=lambda each: (each["ts"], -each["dur"])):
        name, start, took = event["name"], event["ts"], event["dur"]
        running = open_[event.get("pid"), event.get("tid")]
        while running and running[-1][1] <= start:
            running.pop()
        # An operator that hands over to another of its name is one call, as in torch's own table.
        if not running or running[-1][0] != name:
            calls[name] += 1
            own[name] += took
            if running:
                own[running[-1][0]] -= took
        if all(each != name for each, _ in running):
            total[name] += took
        running.append((name, start + took))
    whole = sum(own.values())
    names = sorted(own, key=lambda name: (-own[name], name))[:MOST_ROWS]
    return [
        {
            "name": name,
            "calls": calls[name],
            "self_us": round(max(0.0, own[name]), 1),
            "total_us": round(total[name], 1),
            "share": round(max(0.0, own[name]) / whole, 5) if whole else 0.0,
        }
        for name in names
    ]


def bounded(events: Sequence[Event], most: int) -> list[Event]:
    """At most `most` events, in order: marks and arrows are left out first, then the shortest spans."""
    if len(events) <= most:
        return list(events)
    spans = sorted((each["dur"] for each in events if each.get("ph") == "X"), reverse=True)
    names = [each for each in events if each.get("ph") == "M"]
    room = max(0, most - len(names))
    least = spans[room] if room < len(spans) else -1.0
    kept = [each for each in events if each.get("ph") == "M" or (each.get("ph") == "X" and each["dur"] > least)]
    return kept[:most]


def without_paths(value: Any) -> Any:
    """The same with every absolute path cut to its last part: a trace is shown to others."""
    match value:
        case str():
            return _PATH.sub("", value) if "/" in value else value
        case dict():
            return {key: without_paths(each) for key, each in value.items()}
        case list():
            return [without_paths(each) for each in value]
        case _:
            return value
