"""docs/cloud_training.md says what is so."""

import re
from pathlib import Path

import pytest

from backends.sagemaker.jobs.debugger import _DEBUG, _PROFILE
from backends.sagemaker.jobs.polling import poll_seconds
from backends.sagemaker.storage import upload
from backends.settings.sections import Settings
from tests.cloud.conftest import settings
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared
from tests.train.support import REPOSITORY

PAGE = (REPOSITORY / "docs" / "cloud_training.md").read_text()


def test_the_rules_that_can_be_named() -> None:
    for kind, names in (("debugger", _DEBUG), ("profiler", _PROFILE)):
        (row,) = re.findall(rf"^\| {kind} \| (.*) \|$", PAGE, re.M)
        assert row.split(", ") == list(names)


def test_the_settings_it_names_exist() -> None:
    named = re.findall(r"`(data|train|sagemaker)\.(\w+)(?:=\w+)?`", PAGE)
    assert len(named) >= 15
    assert [each for each in named if not hasattr(getattr(Settings(), each[0]), each[1])] == []


def test_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KENNEL_POLL_S", raising=False)
    assert poll_seconds() == 5
    assert upload._ONE_PART == 64 * 2**20
    assert "files above 64 MiB in parts" in PAGE


@pytest.mark.beyond_policy("photos of the reader's own, outside Kennel's prefix")
def test_the_example(cloud: Simulator, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(example, {"settings": settings(), "__name__": "example"})
    (request,) = cloud.requests("CreateTrainingJob")
    assert request["HyperParameters"]["epochs"] == "3"
    assert [each["ChannelName"] for each in request["InputDataConfig"]] == ["train", "valid"]
    assert request["ProfilerConfig"] == {"DisableProfiler": True}
    assert len(list((tmp_path / "runs").iterdir())) == 1
