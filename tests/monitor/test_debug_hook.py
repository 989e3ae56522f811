"""The hook's life: faults, earlier runs' tensors, resumed runs, jobs on SageMaker, several processes."""

import copy
import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from monitor.callbacks import Callback
from monitor.debugger.hook import Hook, Summary
from monitor.debugger.writer import StepFile
from tests.train.support import REPOSITORY
from tests.train.tensors import Tensors, hook, torch_hooks, train_by_hand, trainer, two_layers
from train.checkpoint import capture, restore
from train.trainer import Trainer


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("owner", "name", "cause"),
    [
        (StepFile, "close", "OSError: [Errno 28] No space left on device"),
        (Summary, "summarise", "OSError"),
        (Summary, "distance", "OSError"),
        (Hook, "begin", "OSError"),
        (Hook, "attach", "OSError"),
        (Hook, "_prepare_collections", "OSError"),
        (Hook, "export_collections", "OSError"),
        (Hook, "close", "OSError"),
    ],
)
def test_a_fault_is_told_once_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    owner: type, name: str, cause: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(owner, name, full_disk)
    expected = trainer([]).fit()
    training = trainer([hook(tmp_path)])
    got = training.fit()
    assert all(torch.equal(got.weights[key], value) for key, value in expected.weights.items())
    said = capsys.readouterr().err
    assert said.startswith("WARNING: the debugger's hook is switched off, training goes on: no more tensors are ")
    assert cause in said
    assert said.count("\n") == 1
    assert torch_hooks(training.network) == 0
    assert repr(training.network.get_submodule("backbone.relu")) == "ReLU(inplace=True)"
    assert list(tmp_path.rglob("*.tmp")) == []


def test_a_fault_within_the_forward_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("monitor.debugger.hook.active_share", full_disk)
    network = two_layers()
    state = train_by_hand([hook(tmp_path)], network, steps=3)
    assert state.step == 3
    assert capsys.readouterr().err.count("WARNING") == 1
    assert torch_hooks(network) == 0
    # Readers needn't wait for more.
    assert (tmp_path / "tensors" / "training_job_end.ts").is_file()


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tensors").write_text("a file, not a folder")
    network = two_layers()
    assert train_by_hand([hook(tmp_path)], network, steps=2).step == 2
    assert capsys.readouterr().err.count("WARNING") == 1


def test_another_hook_works_after_a_failed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(StepFile, "close", full_disk)
        train_by_hand([hook(tmp_path)], two_layers())
    train_by_hand([hook(tmp_path)], two_layers())
    assert Tensors(tmp_path / "tensors").steps() == [0]


def test_a_half_written_file_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(file: Path, content: bytes) -> int:
        with file.open("wb") as stream:
            stream.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    train_by_hand([hook(tmp_path)], two_layers())
    monkeypatch.undo()
    files = [file.name for file in tmp_path.rglob("*") if file.is_file()]
    assert sorted(files) == ["training_job_end.ts", "worker_0_collections.json"]


def test_exploding_values_are_saved_as_they_are(tmp_path: Path) -> None:
    network = two_layers()
    with torch.no_grad():
        network.get_parameter("head.bias")[0] = math.nan
    train_by_hand([hook(tmp_path)], network)
    tensors = Tensors(tmp_path / "tensors")
    assert math.isnan(tensors.value("CrossEntropyLoss_output_0"))
    assert all(
        math.isnan(tensors.reduction("gradient/Sequential_head.weight", kind)) for kind in ("min", "max", "mean", "l2")
    )


def test_empty_parameters_are_left_out(tmp_path: Path) -> None:
    class Empty(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(*two_layers())
            self.nothing = nn.Parameter(torch.empty(0))

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            for layer in list(self)[:3]:
                values = layer(values)
            return values + self.nothing.sum()

    train_by_hand([hook(tmp_path)], Empty())
    tensors = Tensors(tmp_path / "tensors")
    assert tensors.names("weights") == ["Empty_0.weight", "Empty_2.weight"]


def test_an_earlier_runs_tensors_are_replaced(tmp_path: Path) -> None:
    train_by_hand([hook(tmp_path)], two_layers(), steps=5)
    (tmp_path / "tensors" / "mine.txt").write_text("not smdebug's")
    train_by_hand([hook(tmp_path)], two_layers(), steps=2)
    assert Tensors(tmp_path / "tensors").steps() == [0, 1]
    assert (tmp_path / "tensors" / "mine.txt").exists()


def test_a_killed_runs_claim_does_not_silence_the_next(tmp_path: Path) -> None:
    (tmp_path / "tensors").mkdir()
    (tmp_path / "tensors" / "claim.smd").touch()
    train_by_hand([hook(tmp_path)], two_layers())
    assert Tensors(tmp_path / "tensors").steps() == [0]
    assert not (tmp_path / "tensors" / "claim.smd").exists()


def gone_on(folder: Path) -> Trainer:
    """A training of two epochs that goes on after its first one, under a hook on that folder."""
    kept = []
    trainer([], save=lambda first: kept.append(copy.deepcopy(capture(first)))).fit()
    second = trainer([hook(folder)])
    restore(second, *kept[0])
    second.fit()
    return second


def test_a_training_that_goes_on_counts_its_steps_on(tmp_path: Path) -> None:
    gone_on(tmp_path)
    tensors = Tensors(tmp_path / "tensors")
    # Of an epoch, three batches of training and two of validation.
    assert tensors.steps("TRAIN") == [3, 4, 5]
    assert tensors.steps("EVAL") == [2, 3]
    assert tensors.steps() == [5, 6, 7, 8, 9]
    assert tensors.saved("gradient/Classifier_head.weight") == [3, 4, 5]


def test_a_training_that_goes_on_keeps_the_tensors_that_are_there(tmp_path: Path) -> None:
    trainer([hook(tmp_path)]).fit()
    before = Tensors(tmp_path / "tensors")
    loss = [before.value("CrossEntropyLoss_output_0", step) for step in range(6)]
    gone_on(tmp_path)
    tensors = Tensors(tmp_path / "tensors")
    assert tensors.steps() == list(range(10))
    assert [tensors.value("CrossEntropyLoss_output_0", step) for step in range(6)] == loss


def test_smdebug_leaves_nothing_beside_the_checkpoints(tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "checkpointconfig.json").write_text(json.dumps({"LocalPath": str(checkpoints)}))
    # As smdebug would have left it there: steps that another training has seen.
    (checkpoints / "metadata.json").write_text('[{"training-run": 0')

    class Checkpoints(nn.Sequential):
        """Leaves a checkpoint in each forward pass, before the next step begins."""

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            (checkpoints / f"{len(list(checkpoints.iterdir()))}.pt").write_bytes(b"weights")
            return torch.as_tensor(super().forward(values))  # type: ignore[no-untyped-call]

    train_by_hand([hook(tmp_path)], Checkpoints(*two_layers()), steps=3)
    assert Tensors(tmp_path / "tensors").steps() == [0, 1, 2]
    assert (checkpoints / "metadata.json").read_text() == '[{"training-run": 0'


class Interrupted(Callback):
    """Ctrl-C in the middle of the step with this number."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_phase(self, phase: str) -> None:
        if phase == "backward":
            self.step -= 1
            if self.step < 0:
                raise KeyboardInterrupt


def test_a_step_that_is_cut_short_is_not_saved(tmp_path: Path) -> None:
    config = {"HookParameters": {"save_all": "true", "save_interval": "1"}}
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "debughookconfig.json").write_text(json.dumps(config))
    training = trainer([hook(tmp_path), Interrupted(2)])
    with pytest.raises(KeyboardInterrupt):
        training.fit()
    assert torch_hooks(training.network) == 0
    assert Tensors(tmp_path / "tensors").steps() == [0, 1]
    assert (tmp_path / "tensors" / "training_job_end.ts").exists()


def test_jobs_on_sagemaker_have_no_end_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_by_hand([hook(tmp_path)], two_layers())
    assert (tmp_path / "tensors" / "training_job_end.ts").exists()
    monkeypatch.setenv("TRAINING_JOB_NAME", "job-7")
    train_by_hand([hook(tmp_path)], two_layers())
    assert not (tmp_path / "tensors" / "training_job_end.ts").exists()
    assert Tensors(tmp_path / "tensors").steps() == [0]


RANK = """
import sys
from pathlib import Path
import torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tests.train.tensors import hook, torch_hooks, train_by_hand, two_layers, INPUTS
torch.set_num_threads(1)
rank, folder = int(sys.argv[1]), Path(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
for name in ("one", "all"):
    network = DistributedDataParallel(two_layers())
    # Rank 1 sees twice the inputs.
    train_by_hand([hook(folder / name)], network, steps=2, inputs=INPUTS * (rank + 1))
    assert torch_hooks(network) == 0
    dist.barrier()
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes that train together: in `one` with Kennel's own choice, in `all` each saving its own tensors."""
    folder = tmp_path_factory.mktemp("ranks")
    train_by_hand([hook(folder / "one")], two_layers(), steps=5)  # what an earlier run left
    config = {
        "HookParameters": {"include_workers": "all", "save_interval": "1"},
        "CollectionConfigurations": [{"CollectionName": "labels"}, {"CollectionName": "gradients"}],
    }
    (folder / "all" / "config").mkdir(parents=True)
    (folder / "all" / "config" / "debughookconfig.json").write_text(json.dumps(config))
    environ = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", RANK, str(rank), str(folder)],
            cwd=REPOSITORY,
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        for process in processes:
            _, said = process.communicate(timeout=200)
            assert process.returncode == 0, said
            assert "WARNING" not in said
    finally:
        for process in processes:
            process.kill()
    return folder


@pytest.mark.long
def test_two_processes_have_one_that_writes(ranks: Path) -> None:
    tensors = Tensors(ranks / "one" / "tensors")
    assert tensors.trial.workers() == ["worker_0"]
    assert tensors.steps("TRAIN") == [0, 1]
    # The names are those of the network itself.
    assert tensors.names("weights") == ["Sequential_first.weight", "Sequential_head.weight"]
    # Averaged over both, as the optimizer takes it: (1/2, 1, ...) and twice that.
    assert tensors.reduction("gradient/Sequential_head.weight", "max") == pytest.approx(1.5)


@pytest.mark.long
def test_two_processes_that_both_write(ranks: Path) -> None:
    tensors = Tensors(ranks / "all" / "tensors")
    assert tensors.trial.workers() == ["worker_0", "worker_1"]
    assert tensors.steps("TRAIN") == [0, 1]
    assert tensors.names("labels") == ["labels"]
