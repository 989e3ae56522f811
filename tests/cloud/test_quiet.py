"""What libraries note is not for the person: only sentences reach the terminal."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared
from tests.cloud.test_logs import SETTINGS
from tests.cloud.trainings import leave
from tests.train.support import REPOSITORY


def test_a_training_prints_nothing_of_the_sdk(cloud: Simulator, prepared: Prepared, tmp_path: Path) -> None:
    leave(prepared, tmp_path / "left")
    for role in ("train", "valid", "test"):
        for name in ("pug", "beagle"):
            (tmp_path / "photos" / role / name).mkdir(parents=True)
            (tmp_path / "photos" / role / name / "1.jpg").write_bytes(b"photo")
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
