"""Rules that judge the course of the loss, also when training should have ended."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from contract.rules.verdict import Finding
from monitor.debugger.rules.base import TRAINING, Step, TensorRule, losses, mean_and_error
from monitor.debugger.rules.phases import Phase, Phases

LEARNED: Final = 0.9
"""A loss below this share of where it began has been learning: LossNotDecreasing then no longer calls it flat, and
Overtraining can say that it stopped."""


_LINES: Final = (5, 10, 20, 40, 80, 160)


@dataclass(frozen=True)
class _Window:
    """The mean of the losses saved in at least num_steps steps. at: the mean of their steps."""

    at: float
    mean: float
    error: float
    first: int
    last: int


class _Course:
    """One loss in one mode, in windows of at least num_steps steps and `least` losses."""

    def __init__(self, num_steps: int, least: int) -> None:
        self.windows: list[_Window] = []
        self._num_steps, self._least = num_steps, least
        self._now: list[tuple[int, float]] = []
        self.number = 0

    def add(self, mode_step: int, loss: float, number: int) -> bool:
        """Whether this loss, the first one after a window, completes it. number: its global step."""
        done = self.close(mode_step)
        self.number = number
        self._now.append((mode_step, loss))
        return done

    def close(self, next_step: int) -> bool:
        if len(self._now) < self._least or next_step - self._now[0][0] < self._num_steps:
            return False
        steps, values = [step for step, _ in self._now], [loss for _, loss in self._now]
        mean, error = mean_and_error(values)
        self.windows.append(_Window(float(np.mean(steps)), mean, error, steps[0], steps[-1]))
        self._now = []
        return True

    @property
    def last_step(self) -> int:
        return self._now[-1][0] if self._now else 0


def _slope(windows: list[_Window]) -> tuple[float, float]:
    """Of the line through the windows' means, by least squares, and its standard error from theirs; a step."""
    steps = np.array([each.at for each in windows])
    away = steps - steps.mean()
    weights = away / (away**2).sum()
    means, errors = (np.array([getattr(each, which) for each in windows]) for which in ("mean", "error"))
    return float(weights @ means), float(np.sqrt((weights**2) @ errors**2))


class LossNotDecreasing(TensorRule):
    """The loss stays where it began, or rises.

    A loss of a single batch is noisy, so means are compared, of windows that span at least num_steps steps and hold at
    least 4 losses; validation phases count as one loss each. Of the documented comparison with the loss num_steps steps
    before, Kennel's own reading is:

    - not falling: a straight line through the newest 5 windows falls by less than diff_percent of its first window in
      num_steps steps, while the mean of these is above 90 % of the first of all. Where losses are so noisy that three
      standard errors of the line, from end to end, are more than a tenth of the first window, the newest 10, 20, 40, 80
      or 160 windows are taken. A loss that has learned and then levels off is not judged here (see Overtraining);
    - rising: the newest two windows together are above the two before by more than increase_threshold_percent and by
      more than 5 standard errors, while above half of the first of all.

    Modes are never compared with each other. GLOBAL judges training losses; validation losses are for Overfit, unless a
    folder holds no others.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._courses: dict[tuple[str, str], _Course] = {}
        self._trains = False
        self._phases = Phases()

    def judge(self, step: Step) -> list[Finding] | None:
        self._trains |= step.mode in TRAINING
        found = self._losses(step)
        phase = self._phases.add(step, found)
        findings = self._validation(phase) if phase and self._wanted("EVAL") else []
        if not found or not self._wanted(step.mode):
            return findings or None
        for name, loss in found.items() if step.mode != "EVAL" else ():
            findings += self._add(step.mode, name, step.mode_step, loss, step.number)
        comparable = any(len(course.windows) >= 4 for course in self._courses.values())
        return findings if findings or comparable else None

    def end(self) -> list[Finding]:
        phase = self._phases.close()
        findings = self._validation(phase) if phase and self._wanted("EVAL") else []
        for (mode, name), course in self._courses.items():
            if course.close(course.last_step + 1):
                findings += self._compare(mode, name, course)
        return findings

    def needs(self) -> str:
        return "at least 20 losses, over five times num_steps steps (collection losses)"

    def _wanted(self, mode: str) -> bool:
        wanted = str(self.parameters["mode"]).strip().upper()
        if wanted in ("", "GLOBAL"):
            return mode in TRAINING or not self._trains
        return mode == wanted

    def _losses(self, step: Step) -> dict[str, float]:
        given = {"tensor_regex": self.parameters["tensor_regex"]}
        if self.parameters["use_losses_collection"]:
            given["collection_names"] = "losses"
        return losses(step, given) if any(given.values()) else {}

    def _validation(self, phase: Phase) -> list[Finding]:
        findings = []
        for name, values in phase.validation.items():
            findings += self._add("EVAL", name, phase.mode_step, float(np.mean(values)), phase.number)
        return findings

    def _add(self, mode: str, name: str, mode_step: int, loss: float, number: int) -> list[Finding]:
        least = 1 if mode == "EVAL" else 4
        course = self._courses.setdefault((mode, name), _Course(self.parameters["num_steps"], least))
        return self._compare(mode, name, course) if course.add(mode_step, loss, number) else []

    def _compare(self, mode: str, name: str, course: _Course) -> list[Finding]:
        faults = [each for each in (self._flat(name, course.windows), self._rise(name, course.windows)) if each][:1]
        last = course.windows[-1].last
        at = course.number
        return [Finding(text, value, step=at, mode=mode, mode_step=last, tensor=name) for text, value in faults]

    def _flat(self, name: str, windows: list[_Window]) -> tuple[str, float] | None:
        start = windows[0]
        learned = (1 - LEARNED) * abs(start.mean)
        if np.mean([each.mean for each in windows[-5:]]) <= start.mean - learned:
            return None
        lines = (windows[-count:] for count in _LINES if count <= len(windows))
        clear = (each for each in lines if 3 * _slope(each)[1] * (each[-1].at - each[0].at) <= learned)
        recent = next(clear, None)
        if recent is None:
            return None
        fall = 100 * -_slope(recent)[0] * self.parameters["num_steps"] / (abs(recent[0].mean) or 1.0)
        if fall >= self.parameters["diff_percent"]:
            return None
        text = (
            f"{name} changes by {-fall:+.3g} % in {self.parameters['num_steps']} steps, from {recent[0].mean:.4g} "
            f"(steps {recent[0].first} to {recent[0].last}) to {recent[-1].mean:.4g} (steps {recent[-1].first} to "
            f"{recent[-1].last}); it should fall by {self.parameters['diff_percent']:g} %"
        )
        return text, float(fall)

    def _rise(self, name: str, windows: list[_Window]) -> tuple[str, float] | None:
        if len(windows) < 4:
            return None
        *before, third, fourth = windows[-4:]
        low, high = (before[0].mean + before[1].mean) / 2, (third.mean + fourth.mean) / 2
        error = math.hypot(*(each.error for each in windows[-4:])) / 2
        rise = 100 * (high - low) / (abs(low) or 1.0)
        limit = self.parameters["increase_threshold_percent"]
        if rise <= limit or high - low <= 5 * error or high <= 0.5 * windows[0].mean:
            return None
        text = (
            f"{name} rose by {rise:.3g} %, from {low:.4g} (steps {before[0].first} to {before[1].last}) to {high:.4g} "
            f"(steps {third.first} to {fourth.last}); {limit:g} % are allowed"
        )
        return text, -rise


class Overfit(TensorRule):
    """The validation loss is above the training loss: (validation - training) / training > ratio_threshold.

    Validation: the mean of one phase, that is of consecutive EVAL steps that end at start_step or later. Training: the
    mean of the steps since the phase before. It fires at the patience-th phase in a row. Kennel's own reading: the
    validation loss has to be above (1 + ratio_threshold) training by two standard errors, and at least 1 % of the
    first phase's training loss, below which both are practically 0 and their ratio says nothing. A phase is reported
    when the next one, or the end, has come: a validation loss that falls by a tenth or more until then is learning, not
    overfitting (as while batch normalisation's averages warm up), and the phases in a row begin anew. Nor is a
    training overfitted whose loss is more than twice the very first one: it has learnt nothing.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._phases = Phases()
        self._first: dict[str, float] = {}  # mean of the first phase
        self._begun: dict[str, float] = {}  # the very first training loss
        self._above: dict[str, int] = {}
        self._held: dict[str, tuple[float, Finding]] = {}

    def judge(self, step: Step) -> list[Finding] | None:
        found = losses(step, self.parameters)
        phase = self._phases.add(step, found)
        if phase:
            return self._judge(phase)
        return [] if found and step.mode == "EVAL" else None

    def end(self) -> list[Finding]:
        phase = self._phases.close()
        findings = self._judge(phase) if phase else []
        return findings + [finding for _, finding in self._held.values()]

    def needs(self) -> str:
        return "losses of training and validation (collection losses, in TRAIN and EVAL steps)"

    def _judge(self, phase: Phase) -> list[Finding]:
        findings = []
        for name, training, validation in phase.pairs():
            held = self._held.pop(name, None)
            if held is not None:
                if np.mean(validation) > 0.9 * held[0]:
                    findings.append(held[1])
                else:
                    self._above[name] = 0
            found = self._compare(phase, name, training, validation)
            if found is not None:
                self._held[name] = (float(np.mean(validation)), found)
        return findings

    def _compare(self, phase: Phase, name: str, train: list[float], valid: list[float]) -> Finding | None:
        (training, train_error), (validation, valid_error) = mean_and_error(train), mean_and_error(valid)
        limit = 1 + self.parameters["ratio_threshold"]
        first = self._first.setdefault(name, training)
        begun = self._begun.setdefault(name, train[0])
        if phase.number < self.parameters["start_step"] or training <= 0 or training > 2 * begun:
            return None
        clear = validation - limit * training > 2 * math.hypot(valid_error, limit * train_error)
        self._above[name] = self._above.get(name, 0) + 1 if clear and validation > 0.01 * first else 0
        if self._above[name] < self.parameters["patience"]:
            return None
        ratio = (validation - training) / training
        text = (
            f"{name}: validation {validation:.4g} is {100 * ratio:.3g} % above training {training:.4g}; "
            f"{100 * self.parameters['ratio_threshold']:g} % are allowed"
        )
        return phase.finding(text, ratio, name)


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


class Overtraining(TensorRule):
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
        findings = self._phase(phase) if phase else []
        self._validates |= step.mode == "EVAL" and bool(found)
        if step.mode in TRAINING and not self._validates:
            findings += self._train(step, found)
        return findings or ([] if found else None)

    def end(self) -> list[Finding]:
        phase = self._phases.close()
        return self._phase(phase) if phase else []

    def needs(self) -> str:
        return "losses (collection losses)"

    def _train(self, step: Step, found: dict[str, float]) -> list[Finding]:
        self._count += bool(found)
        findings = []
        for name, value in found.items():
            window = self._windows.setdefault(name, [])
            window.append(value)
            if len(window) >= max(10, self._count / 10):
                findings += self._add(step.mode, name, window, step.number, step.mode_step)
                self._windows[name] = []
        return findings

    def _phase(self, phase: Phase) -> list[Finding]:
        findings = []
        for mode, means in (("TRAIN", phase.training), ("EVAL", phase.validation)):
            for name, values in means.items():
                findings += self._add(mode, name, values, phase.number, phase.mode_step)
        return findings

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
