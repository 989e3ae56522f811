"""What libraries note is not for the person: only sentences reach the terminal."""

import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from deploy import app
from tests.backends.photos import make_photos
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared
from tests.cloud.test_logs import SETTINGS
from tests.cloud.trainings import leave
from tests.train.support import REPOSITORY


def test_a_training_prints_nothing_of_the_sdk(cloud: Simulator, prepared: Prepared, tmp_path: Path) -> None:
    leave(prepared, tmp_path / "left")
    make_photos(tmp_path / "photos")
    command = ["train", "--on", "sagemaker", "--yes", "--data", str(tmp_path / "photos"), "--name", "first",
               "--set", "pretrained=none", "--runs", str(tmp_path / "runs"), *SETTINGS]  # fmt: skip
    shown = subprocess.run(
        [sys.executable, str(REPOSITORY / "deploy.py"), *command], capture_output=True, text=True, check=False,
        cwd=tmp_path, env={**os.environ, "KENNEL_POLL_S": "0.05"},
    )  # fmt: skip
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "sagemaker.config" not in shown.stdout
    assert "INFO" not in shown.stdout
    assert shown.stdout.splitlines()[-2] == "first: test accuracy 0.8750"


def test_photos_are_checked_before_they_are_sent(cloud: Simulator, tmp_path: Path) -> None:
    (tmp_path / "photos" / "train" / "pug").mkdir(parents=True)
    (tmp_path / "photos" / "train" / "pug" / "1.jpg").write_bytes(b"no photo")
    command = ["train", "--on", "sagemaker", "--yes", "--data", str(tmp_path / "photos"), "--name", "first",
               "--set", "pretrained=none", "--runs", str(tmp_path / "runs"), *SETTINGS]  # fmt: skip
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 2
    assert "pug" in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    assert cloud.calls == []
