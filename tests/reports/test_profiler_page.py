"""profiler-report.html: what it says, where its marks lie, and that any report gives a page."""

import json
import re
from typing import Any

import pytest

from contract.rules.profiler import PROFILER_RULES
from contract.rules.verdict import Finding
from reports.charts.steps import BarPart, bar, durations, phase_bar, phases, since
from reports.charts.ticks import clock, round_top, time_ticks
from reports.charts.timeline import Curve, HeatPanel, Panel, Stage, Timeline, timeline
from reports.charts.usage import usage_chart
from reports.profiler_page import profiler_page, series_name
from tests.train.pages import Seen, check_anchors
from tests.train.reports import STARTED, bottlenecks, profiler_report, verdict


def seen_of(document: dict[str, Any]) -> Seen:
    # Through JSON, as the page's documents come.
    return Seen(profiler_page(json.loads(json.dumps(document, allow_nan=False))))


def labels_of(seen: Seen) -> list[str]:
    return [str(each["aria-label"]) for each in seen.all("svg") if "aria-label" in each]


def found_in(chart: Any, pattern: str) -> list[Any]:
    return re.findall(pattern, str(chart))


def test_samples_and_findings_share_one_axis() -> None:
    document = profiler_report(
        system={"interval_ms": 1000, "samples": 3, "times": [0.0, 50.0, 100.0],
                "series": {"cpu": [0.0, 50.0, 100.0], "iowait": [10.0, None, 10.0]}, "statistics": {}},
        job={"started": 0.0, "seconds": 100.0},
        rules=[verdict("IOBottleneck", [Finding("waits", 60.0, start_s=25.0, end_s=75.0)])],
    )  # fmt: skip
    document["timeline"] = [{"stage": "training", "start_s": 0.0, "end_s": 100.0},
                            {"stage": "validation", "start_s": 50.0, "end_s": 100.0, "epoch": 1}]  # fmt: skip
    chart = usage_chart(document)
    # 960 - 74 - 20 = 866 pixels from 74 on: 50 s is at 507. Two rows of stages (36) and 8 to spare, then a title (20):
    # the first plot is 66 high from 64 on.
    assert found_in(chart, r'points="([^"]+)" class="one"') == ["74.0,130.0 507.0,97.0 940.0,64.0"]
    # I/O wait below 20 %: its axis ends at 20. It begins 66 + 14 + 20 = 100 lower, 10 % is in the middle, at 197. The
    # missing sample leaves two dots.
    assert found_in(chart, r'<circle cx="([\d.]+)" cy="([\d.]+)" r="2.5" class="one dot"') == [
        ("74", "197"),
        ("940", "197"),
    ]
    # 25 s to 75 s: from 74 + 216.5 on, 433 wide, on the plot of I/O wait alone, and in the rule's lane.
    assert found_in(chart, r'<rect x="290.5" y="([\d.]+)" width="433" height="([\d.]+)" class="offence"') == [
        ("164", "66")
    ]
    assert len(found_in(chart, r'<rect x="290.5" y="[\d.]+" width="433" height="8" class="span warn"')) == 1
    assert "IOBottleneck: 25\u00a0s to 1\u00a0min\u00a015\u00a0s" in str(chart)
    assert found_in(chart, r'<rect x="507" y="44" width="433" height="([\d.]+)" class="shade"') == ["186"]
    assert "Utilisation over 100 seconds, 3 points each: CPU, I/O wait; marked where rules fired: IOBottleneck" in str(
        chart
    )


def test_axes_are_round() -> None:
    assert time_ticks(100) == [10 * k for k in range(11)]
    assert time_ticks(0.5) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert time_ticks(299) == [30 * k for k in range(10)]
    # Eleven hours: 660 minutes / 12 = 55, so hours.
    assert time_ticks(39_600) == [3600 * k for k in range(12)]
    # 400 days: the largest step is two days; 400 / 2 / 12 = 16.7, so 17 times that.
    assert time_ticks(400 * 86_400) == [34 * 86_400 * k for k in range(12)]
    assert [clock(90, end) for end in (100, 600, 10_000)] == ["90", "1:30", "0:02"]
    assert [round_top([each]) for each in (0, 0.3, 1, 1.4, 37, 81)] == [1, 0.4, 1, 2, 40, 100]


def test_cores_come_as_rows_of_either_kind() -> None:
    by_core = profiler_report(points=5, cores=3)
    rows = by_core["system"]["series"]["cpu_by_core"]
    assert (len(rows), len(rows[0])) == (3, 5)
    by_sample = json.loads(json.dumps(by_core))
    by_sample["system"]["series"]["cpu_by_core"] = [list(each) for each in zip(*rows, strict=True)]
    assert usage_chart(by_core) == usage_chart(by_sample)
    assert "CPU: mean of 3 cores; band: the least and the most used one" in str(usage_chart(by_core))


def test_a_gap_in_the_heat_map_stays_empty() -> None:
    given = Timeline("x", [1.0, 2.0, 3.0], 3.0, [HeatPanel("cores", [[5.0, None, 95.0]], ["core 0"], "k")])
    chart = str(timeline(given))
    # Sides half way between samples: 0.5, 1.5, 2.5 and, beyond the end, 3 s; 866 / 3 pixels a second from 74 on. The
    # row is 14 high from 8 + 20 on.
    assert 'd="M218.3 28h288.7v14h-288.7z" class="cell s0"' in chart
    assert 'd="M795.7 28h144.3v14h-144.3z" class="cell s10"' in chart
    assert chart.count('class="cell ') == 2 + 10
    assert "core 0: mean 50 %" in chart


def test_epochs_are_named_as_far_as_there_is_room() -> None:
    def names(count: int) -> list[str]:
        stages = [Stage(f"epoch {k}", "epoch", k - 1.0, float(k), 0) for k in range(1, count + 1)]
        drawn = timeline(Timeline("x", [0.0], float(count), [Panel("CPU", [Curve("CPU", [1.0])])], stages))
        return found_in(drawn, r'class="stagename"[^>]*>([^<]+)<')

    assert names(3) == ["epoch 1", "epoch 2", "epoch 3"]
    # 866 / 30 = 28.9 pixels: room for the number alone.
    assert names(30) == [str(k) for k in range(1, 31)]
    # 8.66 pixels: three digits want 28, which is more than 8.66 * 2, less than 8.66 * 5.
    assert names(100) == [str(k) for k in range(5, 101, 5)]


def test_parts_of_a_whole_fill_the_bar() -> None:
    parts = [("data", "a", 0.5, "5 ms"), ("copy", "b", 0.0, "0 ms"), ("forward", "c", 0.25, "2 ms"),
             ("other", "d", 0.25, "2 ms")]  # fmt: skip
    chart = bar([BarPart(*part) for part in parts], "Steps")
    # 960 pixels, 1.5 of them between the parts; what is 0 isn't drawn.
    assert found_in(chart, r'<rect x="([\d.]+)" y="0" width="([\d.]+)"') == [
        ("0", "478.5"), ("480", "238.5"), ("720", "238.5"),
    ]  # fmt: skip
    assert "Steps: data 50.0\u00a0% (5 ms), copy 0.0\u00a0% (0 ms), forward 25.0\u00a0% (2 ms)" in str(chart)
    # Shares that don't add up to 1 fill it as well.
    assert found_in(bar([BarPart("a", "a", 0.4, "")], "x"), r'width="958.5"') != []


def test_phases_come_in_the_order_of_a_step() -> None:
    rows = phases({"phases": {
        "sync": {"share": 0.1}, "forward": {"seconds": 2.0, "share": 0.6, "mean_ms": 20.0, "p95_ms": 1500.0},
        "data": {"seconds": 1.0, "share": 0.3, "mean_ms": None},
    }})  # fmt: skip
    assert [(row["name"], row["kind"], row["mean"], row["p95"]) for row in rows] == [
        ("data", "data", "\u2013", "\u2013"), ("forward", "forward", "20\u00a0ms", "1.5\u00a0s"),
        ("sync", "other", "\u2013", "\u2013"),
    ]  # fmt: skip
    assert "forward 60.0\u00a0% (20\u00a0ms)" in str(phase_bar(rows))


def test_each_step_is_a_dot_and_each_outlier_a_diamond() -> None:
    document = profiler_report(job={"started": STARTED, "seconds": 10.0})
    document["steps"] = {
        "n": 3, "seconds": {"p50": 0.1},
        "durations": [[0, STARTED, 0.1], [1, STARTED + 5, 0.1], [2, STARTED + 10, 0.4]],
        "outliers": [{"step": 2, "t": STARTED + 10, "seconds": 0.4, "phase": "data"}],
    }  # fmt: skip
    chart = durations(document)
    # 874 pixels for 10 s from 74 on, 220 for 400 ms from 18 on: 100 ms is at 18 + 165 = 183.
    assert found_in(chart, r'd="([^"]+)" class="stepdots"') == ["M74.0 183.0h0M511.0 183.0h0"]
    assert found_in(chart, r'd="(M948.0 13.0[^"]+)" class="marker"') == ["M948.0 13.0l5 5l-5 5l-5 -5z"]
    assert "step 2: 400\u00a0ms, most of it in data" in str(chart)
    assert "median 100 ms" in str(chart)
    assert since(STARTED + 2, STARTED) == 2
    assert since(12.5, STARTED) == 12.5
    assert since(None, STARTED) is None


def test_the_page_says_what_the_report_says() -> None:
    document = profiler_report(rules=bottlenecks(), gpus=2)
    seen = seen_of(document)
    check_anchors(seen)
    text = seen.text.replace("\u00a0", " ")
    assert [label.split(":")[0].split(" over ")[0] for label in labels_of(seen)] == [
        "Stages of the job", "Utilisation", "Where step time goes", "Duration of 800 steps",
    ]  # fmt: skip
    assert labels_of(seen)[0] == (
        "Stages of the job: initialization 2.7\u00a0% (8\u00a0s), training 93.3\u00a0% (4\u00a0min\u00a040\u00a0s), "
        "finalization 4.0\u00a0% (12\u00a0s)"
    )
    for words in (
        "Data loading takes 41 % of a step: set workers=4.", "Example CPU 2.4 GHz, 8 cores, 30.7 GiB of memory",
        "2 \u00d7 Example GPU", "2026-11-18 11:06:40 UTC",
        "Of all 1,800 samples, one each 500 ms.", "GPU 1, memory",
        "aten::convolution_backward", "5 steps from step 10 on, measured by torch.profiler",
        "waiting for the next batch", "98.7 images/s",
        "there is no GPU.", "Set workers=4, or cache=memory: the images are 0.3 GiB.",
    ):  # fmt: skip
        assert words in text
    # Warnings by how often they fired, then what is only reported.
    places = [
        text.index(f"parameters of {name}") for name in ("StepOutlier", "CPUBottleneck", "IOBottleneck", "Dataloader")
    ]
    assert places == sorted(places)
    for rule in document["rules"]:
        assert all(name in seen.text for name in [rule["name"], *rule["parameters"]])
    # Statistics are right beside their name, in their own units.
    row = document["system"]["statistics"]["process_memory"]
    assert f"memory of the training processes{row['max'] / 1024**3:.2f} GiB" in text


def test_without_a_headline_the_rules_speak() -> None:
    text = seen_of(profiler_report(headline=[], rules=bottlenecks())).text
    assert "IOBottleneck: I/O wait was above 50 % for 62 % of the time. Set workers=4" in text
    quiet = seen_of(profiler_report(headline=[])).text
    assert f"{len(PROFILER_RULES)} rules judged and found nothing in up to 600 samples" in quiet


def test_names_of_series() -> None:
    names = [series_name(name) for name in ("iowait", "gpu7", "gpu0_memory", "cpu12", "gpu", "fan_speed")]
    assert names == ["I/O wait", "GPU 7", "GPU 0, memory", "CPU core 12", "gpu", "fan speed"]


@pytest.mark.parametrize(
    ("charts", "more"),
    [
        (4, {"points": 1, "cores": 2, "count": 1, "epochs": 1}),
        (4, {"points": 600, "cores": 192, "gpus": 8, "count": 2000, "epochs": 200, "rules": bottlenecks()}),
        (2, {"steps": {"n": 0}, "operators": None}),
        (3, {"system": {}}),
        (3, {"system": {"times": [], "series": {}}}),
        (4, {"timeline": [], "machine": {}, "headline": [], "hyperparameters": {}}),
        (1, {"job": {"started": None, "ended": None, "seconds": None, "completed": None, "reason": None},
             "timeline": [], "steps": {"n": 0, "phases": {}, "durations": [], "outliers": []}, "operators": None}),
        # Of an old job's trace: how long steps took, not with what.
        (3, {"steps": {"n": 2, "durations": [[0, 5.0, 0.2], [1, 5.2, 0.3]], "seconds": {"p50": None}}}),
        (2, {"steps": {"n": 5, "phases": {"forward": {"seconds": 0.0, "share": 0.0, "mean_ms": 0.0}}}}),
    ],
)  # fmt: skip
def test_any_report_gives_a_page(charts: int, more: dict[str, Any]) -> None:
    document = profiler_report(**more)
    page = profiler_page(json.loads(json.dumps(document, allow_nan=False)))
    assert len(page) < 3_000_000
    seen = Seen(page)
    check_anchors(seen)
    assert len(labels_of(seen)) == charts
    assert "nan" not in " ".join(str(each.get("points", "")) + str(each.get("d", "")) for _, each in seen.tags)


def test_names_and_sentences_stay_text() -> None:
    hostile = "<script>alert(1)</script>\"'\u202e"
    document = profiler_report(headline=[hostile], notes=[hostile], machine={"cpu": hostile, "gpus": [hostile]})
    document["operators"]["cpu"][0]["name"] = hostile
    document["timeline"].append({"stage": hostile, "start_s": 1.0, "end_s": 20.0})
    document["steps"]["phases"][hostile] = {"share": 0.1}
    document["system"]["statistics"][hostile] = {"unit": hostile, "max": 1.0}
    document["steps"]["outliers"][0]["phase"] = hostile
    page = profiler_page(document)
    seen = Seen(page)
    assert len(seen.all("script")) == 1
    assert "\u202e" not in page.decode()
    assert seen.text.count("<script>alert(1)</script>\"'\\u202e") >= 7
