"""Real training jobs with the profiler on and off: what it writes, and that it changes nothing else."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contract.hyperparameters import Hyperparameters
from monitor.profiler.step_times import STEP_PHASES
from tests.train.support import (
    QUICK,
    REPOSITORY,
    Finished,
    configure,
    finish,
    make_classes,
    start_train,
    train,
)  # fmt: skip

DOCS = (REPOSITORY / "docs" / "profiler.md").read_text(encoding="utf-8")
WINDOW = {"ProfilingParameters": {"DetailedProfilingConfig": '{"StartStep": 7, "NumSteps": 2, }'}}
IMPORTS = {"PYTHONPROFILEIMPORTTIME": "1"}  # tells every import on stderr


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Finished]:
    """The same job with the profiler and without; 5 steps an epoch."""
    roots = [tmp_path_factory.mktemp(name) for name in ("on", "off")]
    for root in roots:
        make_classes(root / "input" / "data" / "train", 16)
        (root / "output" / "profiler").mkdir(parents=True)
        (root / "output" / "profiler" / "trace.json.gz").write_text("of an earlier run")
    configure(roots[0], {}, {"profilerconfig": WINDOW})
    started = [
        start_train(root, IMPORTS, profile=profile, epochs="2", profile_interval=100)
        for root, profile in zip(roots, ("on", "off"), strict=True)
    ]
    with ThreadPoolExecutor(2) as pool:
        on, off = pool.map(finish, started, roots)
    assert (on.code, off.code) == (0, 0), on.err + off.err
    return on, off


@pytest.fixture(scope="module")
def folder(jobs: tuple[Finished, Finished]) -> Path:
    return jobs[0].root / "output" / "profiler"


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def read(file: Path) -> dict[str, Any]:
    value = json.loads(file.read_text())
    assert isinstance(value, dict)
    return value


def test_the_files(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == [
        *("config.json", "machine.json", "operators.json", "stages.jsonl", "steps.jsonl", "system.jsonl"),
        "trace.json.gz",
    ]


def test_every_step_and_epoch_has_its_row(folder: Path) -> None:
    found = rows(folder / "steps.jsonl")
    steps = [row for row in found if "step" in row]
    # 13 of 16 images a class are trained on, 39 in batches of 8.
    assert [(row["epoch"], row["step"]) for row in steps] == [(1 + number // 5, number) for number in range(10)]
    assert [(row["phase"], row["epoch"]) for row in found if "mode" in row] == [
        *(("validation", 1), ("checkpoint", 1), ("validation", 2), ("checkpoint", 2))
    ]
    assert [row["step"] for row in steps if row.get("recorded")] == [7, 8]
    for row in steps:
        assert all(row[phase] >= 0 for phase in STEP_PHASES)
        # A network does compute.
        assert min(row["forward"], row["backward"], row["optimizer"], row["data"]) > 0
    assert [row["t"] for row in found] == sorted(row["t"] for row in found)
    spent = sum(row[phase] for row in steps for phase in STEP_PHASES) + sum(row.get("seconds", 0) for row in found)
    stages = {row["stage"]: row["t"] for row in rows(folder / "stages.jsonl")}
    # No more than there was: nothing counts twice. (The files round times to 0.1 ms.)
    assert 0 < spent < stages["finalization"] - stages["training"] + 0.1


def test_the_stages(folder: Path) -> None:
    stages = rows(folder / "stages.jsonl")
    assert [row["stage"] for row in stages] == ["initialization", "training", "finalization"]
    assert stages[0]["t"] < stages[1]["t"] < stages[2]["t"]
    assert stages[0]["t"] == pytest.approx(read(folder / "machine.json")["process_started"], abs=0.02)


def test_the_machine_was_sampled_meanwhile(folder: Path) -> None:
    system, machine = rows(folder / "system.jsonl"), read(folder / "machine.json")
    assert machine["interval_ms"] == 100
    assert len(system) >= 5
    # torch and its network are in memory by the end.
    assert max(row["process_bytes"] or 0 for row in system) > 150_000_000
    stages = rows(folder / "stages.jsonl")
    assert stages[1]["t"] < system[-1]["t"]


def test_the_operators_of_a_resnet(jobs: tuple[Finished, Finished], folder: Path) -> None:
    table = read(folder / "operators.json")
    assert (table["first"], table["count"], table["device"]) == (7, 2, "cpu")
    calls = {row["name"]: row["calls"] for row in table["cpu"]}
    # ResNet-18 has 20 convolutions, and two steps were recorded.
    assert calls["aten::convolution_backward"] == 40
    assert len(table["cpu"]) == 30
    text = gzip.decompress((folder / "trace.json.gz").read_bytes()).decode()
    assert len(json.loads(text)["traceEvents"]) == table["trace_events"] > 1000
    for place in (jobs[0].root, REPOSITORY, Path.home()):
        assert f"{place}/" not in text


def test_the_configuration(folder: Path) -> None:
    config = read(folder / "config.json")
    given = Hyperparameters.parse({**QUICK, "profile": "on", "epochs": "2", "profile_interval": "100"})
    assert Hyperparameters.parse(config["hyperparameters"]) == given
    assert (config["workers"], config["cache"], config["device"], config["batch_size"]) == (0, "none", "cpu", 8)


def test_off_is_off(jobs: tuple[Finished, Finished]) -> None:
    on, off = jobs
    assert "| monitor.profiler.callback" in on.err.replace("|  ", "| ").replace("  ", "")
    assert "monitor.profiler" not in off.err
    # What an earlier run has left is gone all the same.
    assert list((off.root / "output" / "profiler").iterdir()) == []


def test_the_weights_are_the_same_to_the_byte(jobs: tuple[Finished, Finished]) -> None:
    on, off = ((each.model / "model.safetensors").read_bytes() for each in jobs)
    assert on == off


def test_a_faulty_profilerconfig(tmp_path: Path) -> None:
    configure(tmp_path, {}, {"profilerconfig": {"ProfilingIntervalInMilliseconds": "often"}})
    train(tmp_path, profile="on").fails_for_user(
        "profilerconfig.json: ProfilingIntervalInMilliseconds must be an integer from 100 to 60000", "often"
    )


def test_everything_that_is_written_is_documented(folder: Path) -> None:
    section = DOCS.split("## What is collected", 1)[1].split("\n## ", 1)[0]
    names: set[str] = set()
    for file in folder.iterdir():
        assert f"`{file.name}`" in section
        if file.suffix == ".jsonl":
            names |= {name for row in rows(file) for name in row}
        elif file.suffix == ".json":
            content = read(file)
            names |= set(content)
            names |= {name for value in content.values() if isinstance(value, list) for row in value for name in row}
    # Notes are no keys.
    names -= {letter for note in read(folder / "machine.json")["notes"] for letter in note} - {"t"}
    assert len(names) >= 40
    assert [name for name in sorted(names) if f"`{name}`" not in section] == []
