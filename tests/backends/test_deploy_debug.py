"""deploy.py debug and report, and the rule table after a training."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backends.terminal import ROOT, deploy

# A training by plain PyTorch and smdebug, as people wrote them; its loss doesn't fall and its weights are all zero.
SCRIPT = """
import sys, warnings
warnings.simplefilter("ignore")
import torch
from smdebug.pytorch import Hook, SaveConfig, modes
torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(4, 3))
hook = Hook(out_dir=sys.argv[1], save_config=SaveConfig(save_interval=1), save_all=True)
hook.register_module(network)
loss = torch.nn.CrossEntropyLoss()
hook.register_loss(loss)
torch.nn.init.zeros_(network[0].weight)
torch.nn.init.zeros_(network[0].bias)
hook.set_mode(modes.TRAIN)
for _ in range(70):
    network.zero_grad()
    loss(network(torch.zeros(8, 4)), torch.arange(8) % 3).backward()
hook.close()
"""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tensors of somebody else's training."""
    folder = tmp_path_factory.mktemp("foreign") / "tensors"
    environment = {name: value for name, value in os.environ.items() if name != "TRAINING_JOB_NAME"}
    subprocess.run([sys.executable, "-c", SCRIPT, str(folder)], check=True, capture_output=True, env=environment)
    return folder


def test_other_peoples_tensors_are_judged(foreign: Path, tmp_path: Path) -> None:
    answer = deploy("debug", foreign, "--runs", tmp_path)
    assert answer.returncode == 0, answer.stderr
    report = json.loads((tmp_path / "debugger-report.json").read_text())
    assert report["tensors"] == str(foreign)
    assert report["steps"]["TRAIN"] == 70
    assert (report["hyperparameters"], report["epochs"], report["outcome"]) == (
        {},
        [],
        {"completed": None, "reason": None},
    )
    found = {rule["name"]: rule for rule in report["rules"]}
    assert found["AllZero"]["status"] == found["LossNotDecreasing"]["status"] == "IssuesFound"
    # Nothing is known of the hyperparameters, so there is only general advice.
    assert found["AllZero"]["advice"] is None
    rows = [line for line in answer.stdout.splitlines() if re.match(r"\w+ +(IssuesFound|NoIssuesFound)", line)]
    assert {"AllZero", "LossNotDecreasing"} <= {row.split()[0] for row in rows if " IssuesFound " in row}
    # 70 steps of the loss ln(3) = 1.0986: all its trend has this value.
    losses = [value for _, _, value in report["trends"]["losses"]["TRAIN"]]
    assert losses == pytest.approx([1.0986] * 70, abs=1e-3)
    assert answer.stdout.splitlines()[-2:] == [
        str(tmp_path / "debugger-report.html"),
        str(tmp_path / "debugger-report.json"),
    ]
    assert "<h1" in (tmp_path / "debugger-report.html").read_text()


def test_rules_are_chosen_and_the_report_named(foreign: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "mine.json"
    answer = deploy("debug", foreign, "--rules", "AllZero:threshold=100,Confusion", "--json", file)
    assert answer.returncode == 0, answer.stderr
    report = json.loads(file.read_text())
    assert [(rule["name"], rule["status"]) for rule in report["rules"]] == [
        ("AllZero", "IssuesFound"),
        ("Confusion", "Error"),
    ]
    assert report["rules"][1]["note"].startswith("nothing to judge: it needs ")
    assert file.with_suffix(".html").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{empty}"], "{empty} holds no saved tensors"),
        (["{empty}/nowhere"], "{empty}/nowhere holds no saved tensors"),
        (["{foreign}", "--rules", "Overfitt,AllZero:threshold=x"], "2 faults in rules: there is no rule 'Overfitt'"),
        (["{foreign}", "--json", "{empty}/page.html"], "--json {empty}/page.html is where the page would go"),
    ],
)
def test_faults_are_one_sentence(foreign: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    given = [each.format(empty=tmp_path, foreign=foreign) for each in arguments]
    answer = deploy("debug", *given, "--runs", tmp_path / "runs")
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"error: {sentence.format(empty=tmp_path)}")
    assert answer.stderr.count("\n") == 1
    assert not list((tmp_path / "runs").glob("*"))


def test_the_module_alone_prints_status_lines(foreign: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "train.debug_tensors", str(foreign), "--rules", "AllZero"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = answer.stdout.splitlines()
    assert lines[0] == "AllZero: InProgress"
    assert lines[1].startswith("AllZero: IssuesFound (step ")
    assert lines[2:] == ["AllZero: IssuesFound"]


def test_a_runs_pages_are_told_and_opened(trained: Path, runs: Path, tmp_path: Path) -> None:
    answer = deploy("report", "first", "--runs", runs)
    assert answer.returncode == 0, answer.stderr
    data = trained / "ml" / "output" / "data"
    names = {"evaluation": "evaluation", "debugger": "debugger-report", "profiler": "profiler-report"}
    pages = [f"{name:<10}  {data / file}.html" for name, file in names.items()]
    assert answer.stdout.splitlines()[-3:] == pages
    assert re.search(r"^VanishingGradient +NoIssuesFound", answer.stdout, re.M)
    assert deploy("report", trained).stdout == answer.stdout
    # The browser, as the standard library finds it.
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/opened\n')
    browser.chmod(0o755)
    command = [sys.executable, str(ROOT / "deploy.py"), "report", "first", "--runs", str(runs), "--open"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "BROWSER": f"{browser} %s"})
    assert (tmp_path / "opened").read_text().split() == [(data / f"{file}.html").as_uri() for file in names.values()]


def test_a_run_without_pages_is_told(tmp_path: Path) -> None:
    answer = deploy("report", "nothing", "--runs", tmp_path)
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: there is no run nothing in ")


def test_an_old_jobs_profiler_output_is_judged(tmp_path: Path) -> None:
    folder = tmp_path / "old-job" / "profiler-output" / "system" / "incremental" / "2021062809"
    folder.mkdir(parents=True)
    # Two cores at 95 and 97 %, ten samples a second apart, as SageMaker's agent wrote them.
    rows = [
        {"Type": "cpu", "Name": f"cpu{core}", "Dimension": "CPUUtilization", "Value": 95.0 + 2 * core,
         "NodeId": "algo-1", "Timestamp": 1624872600.0 + second}
        for second in range(10) for core in range(2)
    ]  # fmt: skip
    (folder / "1624872600.algo-1.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = deploy("debug", tmp_path / "old-job", "--runs", tmp_path / "runs")
    assert answer.returncode == 0, answer.stderr
    assert f"{tmp_path / 'old-job'}: 10 samples of the machine, 0 steps" in answer.stdout
    report = json.loads((tmp_path / "runs" / "profiler-report.json").read_text())
    assert report["source"] == "sagemaker"
    assert report["system"]["statistics"]["cpu"]["mean"] == pytest.approx(96.0)  # (95 + 97) / 2
    assert "OverallSystemUsage" in answer.stdout
    assert "OverallSystemUsage" in (tmp_path / "runs" / "profiler-report.html").read_text()


def test_a_runs_own_profiler_files_are_judged_anew(tmp_path: Path) -> None:
    folder = tmp_path / "profiler"
    folder.mkdir()
    answer = deploy("debug", folder, "--runs", tmp_path)
    assert answer.returncode == 2
    assert "holds no saved tensors" in answer.stderr
    row = {"cpu": [50.0], "iowait": 0.0, "memory": 10.0, "gpu": [], "gpu_memory": [], "gpu_memory_bytes": []}
    (folder / "system.jsonl").write_text("".join(json.dumps({"t": 1e9 + second, **row}) + "\n" for second in range(12)))
    answer = deploy("debug", folder, "--runs", tmp_path, "--rules", "LowGPUUtilization")
    assert answer.returncode == 0, answer.stderr
    assert "12 samples of the machine" in answer.stdout
    assert re.search(r"LowGPUUtilization +Error", answer.stdout)
