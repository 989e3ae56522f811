"""profilerconfig.json as SageMaker and its SDK write it, and what is taken from the hyperparameters."""

import json
from pathlib import Path
from typing import Any

import pytest

from contract.errors import ConfigError
from contract.paths import MLPaths
from contract.profiler import ProfilerSettings, read_settings
from train.job_config import read_job

# What the SageMaker SDK sends for a FrameworkProfile(start_step=5, num_steps=10): note the commas at the ends.
SDK = {
    "S3OutputPath": "s3://bucket/profiler",
    "ProfilingIntervalInMilliseconds": 1000,
    "ProfilingParameters": {
        "LocalPath": "/opt/ml/output/profiler",
        "RotateMaxFileSizeInBytes": "10485760",
        "RotateFileCloseIntervalInSeconds": "60",
        "FileOpenFailThreshold": "50",
        "DetailedProfilingConfig": '{"StartStep": 5, "NumSteps": 10, }',
        "DataloaderProfilingConfig": '{"StartStep": 7, "NumSteps": 1, "MetricsRegex": ".*", }',
        "PythonProfilingConfig": '{"StartStep": 9, "NumSteps": 1, "ProfilerName": "cprofile", }',
    },
    "DisableProfiler": False,
}


def settings(root: Path, config: Any) -> ProfilerSettings:
    paths = MLPaths(root)
    paths.config.mkdir(parents=True, exist_ok=True)
    paths.profilerconfig.write_text(config if isinstance(config, str) else json.dumps(config))
    return read_settings(paths, 500, "auto")


def given(**parameters: Any) -> dict[str, Any]:
    return {"ProfilingParameters": parameters}


def test_without_a_file_the_hyperparameters_count(tmp_path: Path) -> None:
    found = read_settings(MLPaths(tmp_path), 250, "3:4")
    assert found == ProfilerSettings(tmp_path / "output" / "profiler", 250, "3:4", on=True)


def test_the_sdks_file(tmp_path: Path) -> None:
    assert settings(tmp_path, SDK) == ProfilerSettings(tmp_path / "output" / "profiler", 1000, "5:10", on=True)


@pytest.mark.parametrize(
    ("config", "interval", "steps"),
    [
        ({}, 500, "auto"),
        ({"ProfilingParameters": None}, 500, "auto"),
        ({"ProfilingIntervalInMilliseconds": "60000"}, 60_000, "auto"),
        (given(ProfilingIntervalInMilliseconds="200", ProfilerEnabled=True), 200, "auto"),
        # What is told for the job itself goes before.
        ({"ProfilingIntervalInMilliseconds": 100, **given(ProfilingIntervalInMilliseconds=5000)}, 100, "auto"),
        (given(DetailedProfilingConfig='{"StartStep": 5, "NumSteps": 3}'), 500, "5:3"),
        (given(DetailedProfilingConfig={"StartStep": "5", "NumSteps": "3"}), 500, "5:3"),
        (given(detailedprofilingconfig='{"startstep": 5, "numsteps": 3}'), 500, "5:3"),
        (given(DetailedProfilingConfig='{"NumSteps": 2}'), 500, "0:2"),
        (given(DetailedProfilingConfig='{"StartStep": 4}'), 500, "4:1"),
        (given(DetailedProfilingConfig="{'StartStep': 4}"), 500, "4:1"),
        (given(DetailedProfilingConfig='{"DefaultProfiling": true}'), 500, "auto"),
        (given(DetailedProfilingConfig="{}", PythonProfilingConfig='{"StartStep": 9}'), 500, "9:1"),
        (given(DataloaderProfilingConfig='{"StartStep": 7, "NumSteps": 2}'), 500, "7:2"),
        (given(StartStep=2, NumSteps=6), 500, "2:6"),
        # A window of time: none of steps.
        (given(DetailedProfilingConfig='{"StartTimeInSecSinceEpoch": 1, "DurationInSeconds": 9}'), 500, "auto"),
    ],
)
def test_interval_and_window(tmp_path: Path, config: Any, interval: int, steps: str) -> None:
    found = settings(tmp_path, config)
    assert (found.interval_ms, found.steps, found.on) == (interval, steps, True)


@pytest.mark.parametrize(
    "config", [{"DisableProfiler": True}, {"disableprofiler": "True"}, given(ProfilerEnabled=False)]
)
def test_switched_off(tmp_path: Path, config: Any) -> None:
    found = settings(tmp_path, config)
    assert not found.on
    assert found.window(1000) == range(0)


def test_the_folder(tmp_path: Path) -> None:
    assert settings(tmp_path, given(LocalPath="/opt/ml/output/mine/")).folder == tmp_path / "output" / "mine"
    assert settings(tmp_path, given(LocalPath="/mnt/profile")).folder == Path("/mnt/profile")
    assert settings(tmp_path, given(LocalPath="")).folder == tmp_path / "output" / "profiler"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("{", "can't be read as JSON ("),
        ([1], "the file must be a JSON object, got [1]"),
        ({"ProfilingParameters": "x"}, 'ProfilingParameters must be a JSON object, got "x"'),
        (
            {"ProfilingIntervalInMilliseconds": 50},
            "ProfilingIntervalInMilliseconds must be an integer from 100 to 60000, got 50",
        ),
        (
            {"ProfilingIntervalInMilliseconds": "soon"},
            'ProfilingIntervalInMilliseconds must be an integer from 100 to 60000, got "soon"',
        ),
        ({"ProfilingIntervalInMilliseconds": True}, "got true"),
        ({"ProfilingIntervalInMilliseconds": [500]}, "got [500]"),
        ({"DisableProfiler": "perhaps"}, 'DisableProfiler must be true or false, got "perhaps"'),
        (given(ProfilerEnabled=3), "ProfilerEnabled must be true or false, got 3"),
        (given(LocalPath="output"), 'LocalPath must be an absolute path, got "output"'),
        (
            given(DetailedProfilingConfig="StartStep 5"),
            'DetailedProfilingConfig must be a JSON object, got "StartStep 5"',
        ),
        (
            given(DetailedProfilingConfig='{"StartStep": -1}'),
            "StartStep of DetailedProfilingConfig must be an integer from 0 to 999999, got -1",
        ),
        (
            given(PythonProfilingConfig='{"NumSteps": 0}'),
            "NumSteps of PythonProfilingConfig must be an integer from 1 to 999, got 0",
        ),
        (given(NumSteps=1.5), "NumSteps of ProfilingParameters must be an integer from 1 to 999, got 1.5"),
    ],
)
def test_a_faulty_file_is_told_in_one_sentence(tmp_path: Path, config: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, config)
    text = str(caught.value)
    assert text.startswith("profilerconfig.json: ")
    assert told in text
    assert "\n" not in text


def test_a_job_reads_it_with_its_other_files(tmp_path: Path) -> None:
    paths = MLPaths(tmp_path)
    paths.config.mkdir(parents=True)
    paths.profilerconfig.write_text('{"ProfilingIntervalInMilliseconds": 1}')
    paths.hyperparameters.write_text('{"epochs": "0"}')
    with pytest.raises(ConfigError) as caught:
        read_job(paths)
    assert str(caught.value).startswith("2 configuration faults: ")
    assert "ProfilingIntervalInMilliseconds must be" in str(caught.value)
    # Who switches the profiler off needs no valid file for it.
    paths.hyperparameters.write_text('{"profile": "off"}')
    assert read_job(paths).hyperparameters.profile == "off"


@pytest.mark.parametrize(
    ("steps", "total", "window"),
    [
        ("none", 100, range(0)),
        ("auto", 100, range(10, 13)),
        ("auto", 15, range(10, 13)),
        ("auto", 14, range(1, 2)),
        ("auto", 2, range(1, 2)),
        ("auto", 1, range(1, 1)),  # the only step has everything else's first time in it
        ("5:2", 100, range(5, 7)),
        ("5:9", 8, range(5, 8)),
        ("5:9", 3, range(3, 3)),
    ],
)
def test_the_window_of_a_training(steps: str, total: int, window: range) -> None:
    assert ProfilerSettings(Path("x"), 500, steps).window(total) == window
