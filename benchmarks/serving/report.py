"""Records -> tables in Markdown, and the ratios that Kennel is judged by."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Record = Mapping[str, Any]
FLOOR: Final = "floor"
KENNEL: Final = "kennel"
TUTORIALS: Final = ("tutorial", "tutorial-tuned")
JUDGED_AT: Final = 16  # concurrency
# name -> what is wanted of the ratio, as (at least or at most, bound).
BOUNDS: Final = {
    "tutorial": (">=", 8.0),
    "peer": (">=", 1.3),
    "floor": ("<=", 1.5),
    "cpu": ("<=", 1.5),
    "decoding": (">=", 3.0),
}


@dataclass(frozen=True)
class Ratio:
    """A figure that was aimed at. values: one a round."""

    text: str
    kind: str
    values: Sequence[float]

    def line(self) -> str:
        """Median, range, the bound, and whether it is met."""
        sign, bound = BOUNDS[self.kind]
        middle = statistics.median(self.values)
        met = middle >= bound if sign == ">=" else middle <= bound
        spread = f"{min(self.values):.2f} to {max(self.values):.2f}, n = {len(self.values)}"
        return f"{self.text}: {middle:.2f} ({spread}); wanted {sign} {bound:g}: {'met' if met else 'NOT MET'}"


def ratios(records: Sequence[Record], peers: Sequence[str], decoding: Sequence[float]) -> list[Ratio]:
    """What can be said of these records, at 500x375 and a concurrency of 16; each round is compared with itself.

    peers: names of the servers that have Kennel's engine. decoding: plain Pillow's time for 12 MP / Kennel's, by round.
    """
    chosen = [each for each in records if each["size"] == "500x375" and not each["masked"]]
    rates: dict[str, dict[int, float]] = {}
    for each in chosen:
        if each["concurrency"] in (JUDGED_AT, 0):
            rates.setdefault(each["name"], {})[each["round"]] = each["rate"]
    own = rates.get(KENNEL, {})
    found = []
    for name, title in zip(TUTORIALS, ("the tutorial", "the tutorial with one thread a worker"), strict=True):
        found.append(Ratio(f"Kennel / {title}", "tutorial", _by_round(own, rates.get(name, {}))))
    measured = [name for name in peers if rates.get(name)]
    if measured:
        best = max(measured, key=lambda name: statistics.median(rates[name].values()))
        found.append(
            Ratio(f"Kennel / the best peer with the same engine ({best})", "peer", _by_round(own, rates[best]))
        )
    found.append(Ratio("no server at all / Kennel", "floor", _by_round(rates.get(FLOOR, {}), own)))
    cpu = {name: _cpu(chosen, name) for name in (KENNEL, FLOOR)}
    found.append(Ratio("CPU time a request: Kennel / no server at all", "cpu", _by_round(cpu[KENNEL], cpu[FLOOR])))
    found.append(Ratio("decoding 12 MP: plain Pillow / Kennel", "decoding", decoding))
    return [ratio for ratio in found if ratio.values]


def _cpu(records: Sequence[Record], name: str) -> dict[int, float]:
    own = [each for each in records if each["name"] == name and each["concurrency"] in (JUDGED_AT, 0)]
    return {each["round"]: each["cpu_ms"] for each in own}


def _by_round(above: Mapping[int, float], below: Mapping[int, float]) -> list[float]:
    return [above[number] / below[number] for number in sorted(above) if below.get(number)]


def table(records: Sequence[Record], size: str, titles: Mapping[str, str]) -> list[str]:
    """The rows for one size, fastest first. titles: of the servers by name."""
    chosen = [each for each in records if each["size"] == size and not each["masked"]]
    levels = sorted({each["concurrency"] for each in chosen} - {0})
    if not levels:
        return []
    judged = JUDGED_AT if JUDGED_AT in levels else levels[-1]
    head = ["server", *(f"c {level}" for level in levels), f"p50 at {judged}, ms", f"p99 at {judged}, ms"]
    head += [f"CPU ms at {judged}", "not 200", "MB", "first answer, s", "CPU s to it", "n"]
    rows = []
    for name in dict.fromkeys(each["name"] for each in chosen):
        own = [each for each in chosen if each["name"] == name]
        rows.append((_median(own, "rate", judged if name != FLOOR else 0), _row(titles[name], own, levels, judged)))
    rows.sort(key=lambda row: -row[0])
    return [_line(head), _line(["---"] * len(head)), *(_line(row) for _, row in rows)]


def _row(title: str, records: Sequence[Record], levels: Sequence[int], judged: int) -> list[str]:
    count = len({each["round"] for each in records})
    if records[0]["concurrency"] == 0:
        rate = f"{statistics.median(each['rate'] for each in records):.0f}"
        cpu = f"{_median(records, 'cpu_ms', 0):.1f}"
        return [title, *([rate] * len(levels)), "", "", cpu, "", "", "", "", str(count)]
    cells = [title, *(_figure(_median(records, "rate", level)) for level in levels)]
    cells += [_figure(_median(records, key, judged)) for key in ("p50_ms", "p99_ms")]
    cells.append(f"{_median(records, 'cpu_ms', judged):.1f}")
    failed, refused = (max(each[key] for each in records) for key in ("failed", "refused"))
    cells.append("0" if failed == 0 else f"{failed:.1%} (503: {refused:.1%})")
    cells.append(f"{max(each['memory'] for each in records) / 1e6:.0f}")
    cells += [f"{_middle(records, key):.1f}" for key in ("start_seconds", "start_cpu_seconds")]
    return [*cells, str(count)]


def masked_table(records: Sequence[Record], titles: Mapping[str, str]) -> list[str]:
    """Requests a second with all of the processor's instructions, and with some masked, at 500x375."""
    names = list(dict.fromkeys(each["name"] for each in records if each["masked"]))
    masks = list(dict.fromkeys(each["masked"] for each in records if each["masked"]))
    if not names:
        return []
    lines = [_line(["server, c 16", "all instructions", *masks]), _line(["---"] * (2 + len(masks)))]
    for name in names:
        at: Callable[[Record], bool] = lambda each, name=name: (  # type: ignore[misc] # noqa: E731
            each["name"] == name and each["size"] == "500x375" and each["concurrency"] in (JUDGED_AT, 0)
        )
        cells = [titles[name]]
        for mask in ("", *masks):
            own = [each["rate"] for each in records if at(each) and each["masked"] == mask]
            cells.append(f"{statistics.median(own):.0f}" if own else "")
        lines.append(_line(cells))
    return lines


def _median(records: Sequence[Record], key: str, level: int) -> float:
    values = [each[key] for each in records if each["concurrency"] == level]
    return float(statistics.median(values)) if values else float("nan")


def _middle(records: Sequence[Record], key: str) -> float:
    return float(statistics.median({each["round"]: each[key] for each in records}.values()))


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
