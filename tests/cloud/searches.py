"""Searches in the simulated account, whose training jobs end as their learning rate says."""

import json
from collections.abc import Callable
from pathlib import Path

from backends.runs import Run, create_run
from backends.search.request import SearchRequest
from contract.hyperparameters import Hyperparameters
from tests.cloud.simulator.work import Prepared, Task

DEFAULTS = {
    "tune_trials": 4, "tune_parallel": 2, "tune_space": "lr=0.001:0.1:log; batch_size=16,32", "epochs": 2, "seed": 7,
    "pretrained": "none", "image_size": 64,
}  # fmt: skip


def accuracy(rate: float) -> float:
    """What a trial with that learning rate reaches: the more, the smaller the rate."""
    return round(1 - 5 * rate, 6)


class Trials(Prepared):
    """Training jobs in two epochs, of which the first is the better one; without a process."""

    def __init__(self, fails: Callable[[float], bool] = lambda _: False) -> None:
        super().__init__()
        self.fails = fails

    def run(self, task: Task) -> int:
        given = json.loads((task.tree / "input" / "config" / "hyperparameters.json").read_text())
        rate = float(given["lr"])
        while not self.go.wait(0.02):
            if task.stop.is_set():
                return 143
        if self.fails(rate):
            (task.tree / "output" / "failure").write_text("the loss is nan after step 3; lower lr")
            return 2
        best = accuracy(rate)
        loss = "train_loss=0.500000; train_accuracy=0.600000; validation_loss=0.400000;"
        task.say("loading data")
        task.say(f"epoch=1; {loss} validation_accuracy={best:.6f}; learning_rate={rate:.6f}; epoch_seconds=1.000000;")
        task.say(f"epoch=2; {loss} validation_accuracy={best - 0.1:.6f}; learning_rate=0.000000; epoch_seconds=1.5;")
        task.say(f"{loss} validation_accuracy={best:.6f}; learning_rate={rate:.6f}; epoch_seconds=1.000000;")
        model = {"classes": [], "metrics": {"validation_accuracy": best}, "provenance": {"completed": True}}
        (task.tree / "model" / "kennel.json").write_text(json.dumps(model))
        (task.tree / "output" / "data" / "metrics.jsonl").write_text('{"epoch": 1}\n')
        return 0


def photos(folder: Path) -> Path:
    """A folder that looks like a data set."""
    for name in ("train/dog/1.jpg", "train/cat/1.jpg", "valid/dog/2.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def request(data: Path, **chosen: object) -> SearchRequest:
    return SearchRequest(data, Hyperparameters.parse({**DEFAULTS, **chosen}))


def tuning_run(runs: Path, wanted: SearchRequest, name: str = "search") -> Run:
    return create_run(runs, "tuning", name, backend="sagemaker", **wanted.to_record())
