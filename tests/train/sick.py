"""Tensors folders for the rules' tests: written by hand, number by number, with smdebug's own writer."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contract.rules.tensor import TENSOR_RULES
from contract.rules.verdict import Finding
from monitor.debugger._smdebug import FileWriter, ModeKeys, imported_quietly
from monitor.debugger.reader import Tensors
from monitor.debugger.rules.base import TensorRule
from monitor.rules import rule_class

REDUCED: dict[str, Callable[..., Any]] = {
    "min": np.min,
    "max": np.max,
    "mean": np.mean,
    "std": np.std,
    "l2": np.linalg.norm,
}


def reduced(name: str, values: Any) -> dict[str, Any]:
    """The tensors that stand for one saved as reductions: min, max, mean, std, l2 and mean of the absolute values."""
    values = np.asarray(values, np.float64)
    found = {f"smdebug/reductions/{kind}/{name}": of(values) for kind, of in REDUCED.items()}
    return found | {f"smdebug/reductions/abs_mean/{name}": np.abs(values).mean()}


def write(
    path: Path, tensors: Mapping[str, Any], number: int = 0, mode: str = "GLOBAL", mode_step: int = 0, worker: int = 0,
    time: float | None = None,
) -> None:  # fmt: skip
    """One step of one worker, by smdebug's writer, which uses what numpy calls deprecated."""
    with imported_quietly():
        writer = FileWriter(str(path), f"worker_{worker}", step=number)
        for name, given in tensors.items():
            writer.write_tensor(np.asarray(given), name, mode=ModeKeys[mode], mode_step=mode_step, timestamp=time)
        writer.close()


class Folder:
    """A tensors folder in the making."""

    def __init__(self, path: Path, collections: Mapping[str, list[str]] | None = None, workers: int = 1) -> None:
        """collections: name -> regular expressions; None: the file that smdebug.pytorch writes by default."""
        self.path = path
        self.mode_steps: dict[str, int] = {}
        self.number = -1
        if collections is None:
            collections = {
                "default": [], "weights": ["^(?!gradient).*weight"], "biases": ["^(?!gradient).*bias"],
                "gradients": ["^gradient"], "losses": ["[Ll]oss_(?!input).*output"],
            }  # fmt: skip
        entries = {
            name: {"name": name, "include_regex": regexes, "tensor_names": [], "save_histogram": True}
            for name, regexes in collections.items()
        }
        content = {"collections": entries, "_meta": {"num_workers": workers}}
        for worker in range(workers):
            file = path / "collections" / "000000000" / f"worker_{worker}_collections.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content))

    def save(self, mode: str, tensors: Mapping[str, Any], worker: int = 0, number: int | None = None) -> "Folder":
        """Write the next global step, or the given one."""
        if number is None:
            number = self.number + 1
        if number > self.number:
            self.number = number
            self.mode_steps[mode] = self.mode_steps.get(mode, -1) + 1
        write(self.path, tensors, number, mode, self.mode_steps[mode], worker)
        return self

    def train(self, **tensors: Any) -> "Folder":
        """A TRAIN step; `loss` stands for the loss's tensor."""
        return self.save("TRAIN", named(tensors))

    def valid(self, **tensors: Any) -> "Folder":
        return self.save("EVAL", named(tensors))

    def judge(self, rule: str, **parameters: Any) -> tuple[list[Finding], int]:
        """(findings, datapoints) of one rule over the whole folder."""
        return judge(self.path, rule, **parameters)


def named(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {"CrossEntropyLoss_output_0" if name == "loss" else name: value for name, value in tensors.items()}


def make(rule: str, **parameters: Any) -> TensorRule:
    made = rule_class(rule)(TENSOR_RULES[rule].defaults() | parameters)
    assert isinstance(made, TensorRule)
    return made


def judge(path: Path, rule: str, **parameters: Any) -> tuple[list[Finding], int]:
    return judge_all(path, {rule: make(rule, **parameters)})[rule]


def judge_all(path: Path, rules: Mapping[str, TensorRule]) -> dict[str, tuple[list[Finding], int]]:
    """(findings, datapoints) of each rule over the whole folder."""
    steps = Tensors(path).poll(final=True)
    told = {}
    for name, rule in rules.items():
        answers = [rule.judge(step) for step in steps]
        findings = [each for answer in answers if answer for each in answer]
        told[name] = (findings + rule.end(), sum(answer is not None for answer in answers))
    return told
