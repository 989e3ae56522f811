"""A search in one job against one training and against a process for each trial; and at the tutorials' size."""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.breed_photos import make_photos
from benchmarks.timing import print_facts

ROOT: Final = Path(__file__).resolve().parents[1]
SAMPLE: Final = ROOT / "local_test" / "data"
PHOTOS: Final = ROOT / "runs" / "tuning" / "photos"
# What isn't named is as it is by default: debugger, profiler and the forms for serving are made, too.
FROZEN: Final = {"pretrained": "none", "freeze": "backbone", "image_size": 64, "epochs": 5, "lr": 0.01}
FULL: Final = {"pretrained": "none", "image_size": 48, "epochs": 6}
FULL_SEARCH: Final = {
    "tune_trials": 10,
    "tune_space": "lr=0.0001:0.1:log; batch_size=16,32,64; weight_decay=0.001:0.3:log",
}
LARGE: Final = {"pretrained": "none", "freeze": "backbone", "feature_views": 1, "epochs": 5, "lr": 0.01}


@dataclass(frozen=True)
class Job:
    """A finished `python -m train`. seconds: of the whole process; log: its lines, each with the second it came in."""

    seconds: float
    log: list[tuple[float, str]]
    document: Mapping[str, Any]

    def first(self, pattern: str) -> float:
        """The second of the first line that matches."""
        return next(second for second, line in self.log if re.search(pattern, line))


def main() -> None:
    """Frozen backbone, full fine-tuning, the tutorials' size."""
    print_facts("torch", "openvino", "optuna")
    subprocess.run([sys.executable, "-m", "examples.sample_data", str(SAMPLE)], cwd=ROOT, check=True)
    make_photos(PHOTOS)
    frozen()
    full()
    for precision in ("float32", "bfloat16"):
        large(precision)


def frozen(rounds: int = 2) -> None:
    """20 trials in one job against one such training, in turn; against 20 processes, once."""
    single: list[Job] = []
    search: list[Job] = []
    for number in range(rounds):
        for tuned in (False, True) if number % 2 == 0 else (True, False):
            job = train(SAMPLE, {**FROZEN, "tune_trials": 20} if tuned else FROZEN)
            (search if tuned else single).append(job)
    ratios = [own.seconds / one.seconds for own, one in zip(search, single, strict=True)]
    print(f"frozen backbone, 64 px, 720 training images, 20 trials (n = {rounds} rounds)")
    _print("one training", [each.seconds for each in single])
    _print("one job, 20 trials", [each.seconds for each in search])
    print(f"  one job / one training: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    separate(search[-1], SAMPLE)


def full() -> None:
    """10 trials of full fine-tuning, pruned, in one job, against 10 processes without pruning."""
    print("full fine-tuning, 48 px, 720 training images, 10 trials of 6 epochs (n = 1)")
    for pruner in ("median", "hyperband"):
        job = train(SAMPLE, {**FULL, **FULL_SEARCH, "tune_pruner": pruner})
        counts = ", ".join(f"{count} {state}" for state, count in job.document["counts"].items())
        epochs = sum(len(each["epochs"]) for each in job.document["trials"])
        _print(f"one job, {pruner}", [job.seconds])
        print(f"  {counts}; {epochs} epochs of {10 * 6}; and the winner's 6 once more")
        if pruner == "median":
            separate(job, SAMPLE)


def separate(search: Job, data: Path) -> None:
    """Each trial of the search as a training process of its own, as a tuner starts them."""
    base = {name: value for name, value in search.document["base"].items() if not name.startswith("tune_")}
    seconds = [train(data, {**base, **trial["values"]}).seconds for trial in search.document["trials"]]
    print(f"  the same {len(seconds)} trials as {len(seconds)} processes: {sum(seconds):.1f} s; median of one "
          f"{statistics.median(seconds):.1f} s")  # fmt: skip
    print(f"  processes / one job: {sum(seconds) / search.seconds:.1f}")


def large(precision: str) -> None:
    """20 trials at the tutorials' size, from the start of the process; and where the time goes."""
    job = train(PHOTOS, {**LARGE, "tune_trials": 20, "feature_precision": precision})
    checked = job.first(r"^data: \d+ classes")
    computed = max(second for second, line in job.log if line.startswith("features: "))
    searched = max(second for second, line in job.log if re.match(r"trial \d+ of 20", line))
    best = max(each["objective"][0] for each in job.document["trials"] if each["objective"])
    print(f"133 classes, 6,680 + 835 photos of 500 x 375, 224 px, frozen backbone, 20 trials, {precision} (n = 1)")
    print(f"  {checked:.1f} s: photos listed and checked")
    print(f"  {computed:.1f} s: features computed")
    print(f"  {searched:.1f} s: 20 trials done; the best has validation accuracy {best:.3f} (chance: 0.008)")
    print(f"  {job.seconds:.1f} s: winner trained, evaluated, exported; the process has ended")


def _print(name: str, seconds: list[float]) -> None:
    print(f"  {name:<28} {statistics.median(seconds):8.1f} s   ({min(seconds):.1f} to {max(seconds):.1f})")


def train(data: Path, values: Mapping[str, Any]) -> Job:
    """One `python -m train` on a tree of its own."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "input" / "config").mkdir(parents=True)
        (root / "input" / "data").mkdir()
        (root / "input" / "data" / "photos").symlink_to(data)
        texts = {name: str(value) for name, value in values.items()}
        (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps(texts))
        environment = {name: value for name, value in os.environ.items() if name != "KENNEL_FEATURE_CACHE"}
        environment |= {"KENNEL_ML_ROOT": folder, "PYTHONUNBUFFERED": "1"}
        start = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "train"], cwd=ROOT, env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        log = [(time.monotonic() - start, line.rstrip("\n")) for line in process.stdout]
        if process.wait():
            sys.exit("\n".join(line for _, line in log[-5:]))
        seconds = time.monotonic() - start
        report = root / "output" / "data" / "tuning.json"
        return Job(seconds, log, json.loads(report.read_text()) if report.is_file() else {})


if __name__ == "__main__":
    main()
