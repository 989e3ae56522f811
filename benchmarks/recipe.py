"""What each part of the training recipe is worth: the default with one part changed, over seeds, paired.

Fine-tunes on few photos of 12 invented breeds from weights that were trained on 24 others. Every finished run
is kept in runs/recipe/results.jsonl, so an interrupted benchmark goes on.
"""

import contextlib
import io
import json
import os
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, Final

from benchmarks.other_breeds import draw_set, random_breeds
from benchmarks.timing import print_facts
from contract.hyperparameters import Hyperparameters
from contract.job import Job
from contract.paths import MLPaths
from model.machine import available_cpus

FOLDER: Final = Path("runs/recipe")
RESULTS: Final = FOLDER / "results.jsonl"
COSTS: Final = FOLDER / "costs.jsonl"
SEEDS: Final = range(5)
COST_ROUNDS: Final = range(3)
PRETRAINING: Final = {"epochs": 12, "pretrained": "none", "image_size": 48}
BASE: Final[dict[str, Any]] = {
    "image_size": 40, "epochs": 10, "batch_size": 32, "device": "cpu", "workers": 0,
    "export": "none", "tensorboard": "off", "debug": "off", "profile": "off",
}  # fmt: skip
EVEN: Final[dict[str, int | list[int]]] = {"train": 16, "valid": 6, "test": 50}
UNEVEN: Final[dict[str, int | list[int]]] = {
    "train": [36, 36, 30, 24, 18, 14, 10, 8, 6, 4, 3, 3],
    "valid": 6,
    "test": 50,
}

# name -> what differs from the default; a third entry names the data set.
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "from scratch": {"pretrained": "none"},
    "freeze=backbone": {"freeze": "backbone"},
    "freeze=backbone, lr=0.01, epochs=100": {"freeze": "backbone", "lr": 0.01, "epochs": 100},
    "freeze=gradual": {"freeze": "gradual"},
    "optimizer=sgd, lr=0.1": {"optimizer": "sgd", "lr": 0.1},
    "optimizer=sgd, lr=0.02": {"optimizer": "sgd", "lr": 0.02},
    "backbone_lr_ratio=0.3": {"backbone_lr_ratio": 0.3},
    "backbone_lr_ratio=1": {"backbone_lr_ratio": 1.0},
    "lr_schedule=constant": {"lr_schedule": "constant"},
    "warmup_ratio=0": {"warmup_ratio": 0.0},
    "label_smoothing=0.1": {"label_smoothing": 0.1},
    "crop_scale=1 (no random crop)": {"crop_scale": 1.0},
    "crop_scale=0.25": {"crop_scale": 0.25},
    "flip=0": {"flip": 0.0},
    "auto_augment=trivial": {"auto_augment": "trivial"},
    "auto_augment=rand": {"auto_augment": "rand"},
    "mixup=0.2": {"mixup": 0.2},
    "cutmix=1": {"cutmix": 1.0},
    "ema_decay=0.99": {"ema_decay": 0.99},
    "test_image_size=48": {"test_image_size": 48},
    "grad_clip=1": {"grad_clip": 1.0},
    "weight_decay=0": {"weight_decay": 0.0},
    "head=mlp": {"head": "mlp"},
    "patience=3": {"patience": 3},
    "uneven classes": {"data": "uneven"},
    "uneven, class_balance=weights": {"data": "uneven", "class_balance": "weights"},
    "uneven, class_balance=sampling": {"data": "uneven", "class_balance": "sampling"},
}


def main() -> None:
    """Draw, pretrain, measure what an epoch costs, run every variant with every seed, and print the table."""
    print_facts("torch", "torchvision", "pillow")
    weights = str(prepare())
    with workers() as pool:
        # Short runs, in turn, so that whatever slows the machine down slows all of them.
        _run_all(
            pool, {name: {**changes, "epochs": 4} for name, changes in VARIANTS.items()}, COST_ROUNDS, weights, COSTS
        )
        _run_all(pool, VARIANTS, SEEDS, weights, RESULTS)
    print(table(read(RESULTS), read(COSTS)))


def _run_all(
    pool: ProcessPoolExecutor, variants: Mapping[str, dict[str, Any]], seeds: range, weights: str, file: Path
) -> None:
    done = read(file)
    jobs = [(name, variants[name], seed, weights) for seed in seeds for name in variants if (name, seed) not in done]
    for row in pool.map(_run, jobs):
        with file.open("a") as rows:
            rows.write(json.dumps(row) + "\n")


def prepare() -> Path:
    """The photo sets, and the weights file that pretraining gives."""
    draw_set(FOLDER / "pretraining", random_breeds(24, seed=1), {"train": 80, "valid": 10}, seed=1)
    target = random_breeds(12, seed=2)
    draw_set(FOLDER / "even", target, EVEN, seed=2)
    draw_set(FOLDER / "uneven", target, UNEVEN, seed=3)
    root = FOLDER / "weights"
    weights = root / "model" / "model.safetensors"
    if not (root / "model" / "kennel.json").exists():
        _train(root, FOLDER / "pretraining", {**BASE, **PRETRAINING})
    return weights


def read(file: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The finished runs by variant and seed."""
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return {(row["variant"], row["seed"]): row for row in rows}


def workers() -> ProcessPoolExecutor:
    """A process for each core, on that core alone: threads that wait for each other would be measured too."""
    context = get_context("spawn")
    cores = context.SimpleQueue()
    for core in sorted(os.sched_getaffinity(0)):
        cores.put(core)
    return ProcessPoolExecutor(available_cpus(), context, initializer=_take_core, initargs=(cores,))


def _take_core(cores: "SimpleQueue[int]") -> None:
    os.sched_setaffinity(0, {cores.get()})


def _run(job: tuple[str, Mapping[str, Any], int, str]) -> dict[str, Any]:
    name, changes, seed, weights = job
    values = {**BASE, "pretrained": weights, "seed": seed, **changes}
    data = FOLDER / values.pop("data", "even")
    root = FOLDER / "run" / str(os.getpid())
    start = time.perf_counter()
    _train(root, data, values)
    seconds = time.perf_counter() - start
    report = json.loads((root / "output" / "data" / "evaluation.json").read_text())
    epochs = [json.loads(line) for line in (root / "output" / "data" / "metrics.jsonl").read_text().splitlines()]
    each = [row["epoch_seconds"] for row in epochs if "epoch_seconds" in row]
    return {
        "variant": name,
        "seed": seed,
        "accuracy": report["accuracy"],
        "macro_f1": report["macro_f1"],
        "epochs": len(each),
        "epoch_seconds": statistics.median(each),
        "seconds": seconds,
    }


def _train(root: Path, data: Path, values: Mapping[str, Any]) -> None:
    from train.job import run_job

    paths = MLPaths(root.resolve())
    chosen = Hyperparameters.parse({name: str(value) for name, value in values.items()})
    with contextlib.redirect_stdout(io.StringIO()):
        run_job(paths, Job(chosen, {"data": data.resolve()}))


Results = Mapping[tuple[str, int], Mapping[str, Any]]


def table(results: Results, costs: Results) -> str:
    """Markdown: mean test accuracy, the paired difference to the base with its 95 % interval, and epoch time."""
    lines = ["| variant | test accuracy | macro F1 | difference (points) | epoch time |", "|---|---|---|---|---|"]
    for name, changes in VARIANTS.items():
        rows = [results[name, seed] for seed in SEEDS if (name, seed) in results]
        base_name = "uneven classes" if changes.get("data") == "uneven" else "default"
        base = [results[base_name, seed] for seed in SEEDS if (name, seed) in results and (base_name, seed) in results]
        if not rows or len(rows) != len(base):
            continue
        accuracy = [100 * row["accuracy"] for row in rows]
        f1 = statistics.mean(100 * row["macro_f1"] for row in rows)
        differences = [100 * (own["accuracy"] - other["accuracy"]) for own, other in zip(rows, base, strict=True)]
        ratios = [
            costs[name, n]["epoch_seconds"] / costs[base_name, n]["epoch_seconds"]
            for n in COST_ROUNDS
            if (name, n) in costs and (base_name, n) in costs
        ]
        ratio = statistics.median(ratios) if ratios else 1.0
        cost = f"x {ratio:.{2 if ratio >= 0.01 else 4}f}"
        spread = statistics.stdev(accuracy) if len(accuracy) > 1 else 0.0
        shown = "" if name == base_name else interval(differences)
        lines.append(f"| {name} | {statistics.mean(accuracy):.1f} +- {spread:.1f} | {f1:.1f} | {shown} | {cost} |")
    return "\n".join(lines)


def interval(differences: list[float]) -> str:
    """Mean and half width of the 95 % confidence interval by Student's t."""
    from scipy import stats

    n = len(differences)
    half = float(stats.t.ppf(0.975, n - 1)) * statistics.stdev(differences) / n**0.5 if n > 1 else float("nan")
    return f"{statistics.mean(differences):+.1f} +- {half:.1f}"
