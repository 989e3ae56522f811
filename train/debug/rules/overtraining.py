"""The rule that says when training should have ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.rules.verdict import Finding
from train.debug.rules.base import Rule, Step
from train.debug.rules.common import TRAINING, losses, mean_and_error
from train.debug.rules.losses import LEARNED
from train.debug.rules.phases import Phase, Phases


@dataclass
class _Best:
    """The lowest mean so far, and how many judgements came since."""

    first: float
    best: float
    since: int = 0

    def add(self, mean: float, delta: float) -> None:
        if mean < self.best - delta:
            self.best, self.since = mean, 0
        else:
            self.since += 1


class Overtraining(Rule):
    """The loss has stopped improving: more than patience_train, or patience_validation, judgements in a row have not
    been below the best one by more than delta.

    Documented by the step; Kennel's own reading is by the mean, for single batches are noisy. A judgement is, of
    validation, the mean of a phase (consecutive EVAL steps); of training, the mean since the phase before, or, while
    there is no validation, the mean of 10 losses or a tenth of all so far, whichever are more. Only what had improved
    by a tenth can have stopped: a loss that never fell is LossNotDecreasing's.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._phases = Phases()
        self._best: dict[tuple[str, str], _Best] = {}
        self._windows: dict[str, list[float]] = {}
        self._count = 0
        self._validates = False

    def judge(self, step: Step) -> list[Finding] | None:
        found = losses(step)
        phase = self._phases.add(step, found)
        told = self._phase(phase) if phase else []
        self._validates |= step.mode == "EVAL" and bool(found)
        if step.mode in TRAINING and not self._validates:
            told += self._train(step, found)
        return told or ([] if found else None)

    def end(self) -> list[Finding]:
        phase = self._phases.close()
        return self._phase(phase) if phase else []

    def needs(self) -> str:
        return "losses (collection losses)"

    def _train(self, step: Step, found: dict[str, float]) -> list[Finding]:
        self._count += bool(found)
        told = []
        for name, value in found.items():
            window = self._windows.setdefault(name, [])
            window.append(value)
            if len(window) >= max(10, self._count / 10):
                told += self._add(step.mode, name, window, step.number, step.mode_step)
                self._windows[name] = []
        return told

    def _phase(self, phase: Phase) -> list[Finding]:
        told = []
        for mode, means in (("TRAIN", phase.training), ("EVAL", phase.validation)):
            for name, values in means.items():
                told += self._add(mode, name, values, phase.number, phase.mode_step)
        return told

    def _add(self, mode: str, name: str, values: list[float], number: int, mode_step: int) -> list[Finding]:
        mean, _ = mean_and_error(values)
        patience = self.parameters["patience_validation" if mode == "EVAL" else "patience_train"]
        known = self._best.get((mode, name))
        if known is None:
            self._best[mode, name] = _Best(mean, mean)
            return []
        known.add(mean, self.parameters["delta"])
        if known.since <= patience or known.best > LEARNED * known.first:
            return []
        which = "validation" if mode == "EVAL" else "training"
        text = (
            f"{name} ({which}) has not been below its best {known.best:.4g} by "
            f"more than {self.parameters['delta']:g} for {known.since} judgements in a row; now {mean:.4g}"
        )
        return [Finding(text, mean, step=number, mode=mode, mode_step=mode_step, tensor=name)]
