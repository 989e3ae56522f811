"""The rules of the loss on hand-made losses, just on both sides of each threshold."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.rules.verdict import Finding
from monitor.debugger.rules.base import Array
from tests.train.sick import Folder, make, named


class Losses:
    """Steps that hold one loss each, without a folder."""

    def __init__(
        self, mode: str, number: int, mode_step: int, loss: Any, name: str = "CrossEntropyLoss_output_0"
    ) -> None:
        self.mode, self.number, self.mode_step, self.loss, self.name = mode, number, mode_step, loss, name
        self.time: float | None = None

    def names(self, *collections: str) -> list[str]:
        return [self.name] if "losses" in collections else []

    def matching(self, regex: str) -> list[str]:
        return [self.name] if regex in self.name else []

    def value(self, name: str) -> Array | None:
        return np.array([self.loss]) if name == self.name else None

    def shape(self, name: str) -> tuple[int, ...] | None:
        return (1,) if name == self.name else None

    def reduction(self, name: str, kind: str, absolute: bool = False) -> float | None:
        return float(self.loss) if name == self.name else None


def course(losses: Iterable[tuple[str, float]]) -> list[Losses]:
    counts: dict[str, int] = {}
    steps = []
    for number, (mode, loss) in enumerate(losses):
        steps.append(Losses(mode, number, counts.get(mode, 0), loss))
        counts[mode] = counts.get(mode, 0) + 1
    return steps


def judged(rule: str, losses: Iterable[tuple[str, float]], **parameters: Any) -> tuple[list[Finding], int]:
    judging = make(rule, **parameters)
    answers = [judging.judge(step) for step in course(losses)]
    findings = [each for answer in answers if answer for each in answer] + judging.end()
    return findings, sum(answer is not None for answer in answers)


def train(losses: Iterable[float]) -> list[tuple[str, float]]:
    return [("TRAIN", float(loss)) for loss in losses]


def line(fall: float, count: int = 50) -> list[tuple[str, float]]:
    """Losses on a line whose first window of 10 has the mean 1 and which falls by so much in 10 steps."""
    return train(1 - fall * (np.arange(count) - 4.5) / 10)


class TestLossNotDecreasing:
    def test_falls_too_little(self) -> None:
        # By 0.0009 of a first window of mean 1 in 10 steps: 0.09 %, less than 0.1 %.
        (finding,), datapoints = judged("LossNotDecreasing", line(0.0009))
        assert finding.value == pytest.approx(0.09)
        assert (finding.mode_step, finding.mode, datapoints) == (49, "TRAIN", 10)  # from the fourth window on
        assert "steps 0 to 9" in finding.text
        assert "steps 40 to 49" in finding.text

    def test_falls_enough(self) -> None:
        assert judged("LossNotDecreasing", line(0.0011)) == ([], 10)

    def test_needs_five_windows(self) -> None:
        assert judged("LossNotDecreasing", line(0.0, 49))[0] == []
        assert len(judged("LossNotDecreasing", line(0.0, 50))[0]) == 1

    def test_parameters(self) -> None:
        assert judged("LossNotDecreasing", line(0.0009), diff_percent=0.05)[0] == []
        # 100 losses make 5 windows of 20 steps; in 20 steps the loss falls by 0.0018, 0.18 %.
        assert judged("LossNotDecreasing", line(0.0009, 100), num_steps=20)[0] == []
        assert judged("LossNotDecreasing", line(0.0), tensor_regex="other", use_losses_collection=False) == ([], 0)
        assert judged("LossNotDecreasing", line(0.0), tensor_regex="Cross", use_losses_collection=False)[1] == 10

    def test_a_loss_that_has_learned_may_level_off(self) -> None:
        # The newest windows against 90 % of the first, which has the mean 1: 0.89 has learned, 0.91 has not.
        assert judged("LossNotDecreasing", train([1.0] * 10 + [0.89] * 140))[0] == []
        assert judged("LossNotDecreasing", train([1.0] * 10 + [0.91] * 140))[0] != []

    def test_rises(self) -> None:
        # Two windows at 1, two at 1.06: 6 %; and two at 1.04: 4 %, both without any noise. 5 % are allowed.
        (finding,), _ = judged("LossNotDecreasing", train([1.0] * 20 + [1.06] * 20))
        assert finding.value == pytest.approx(-6)
        assert "rose by 6 %" in finding.text
        assert judged("LossNotDecreasing", train([1.0] * 20 + [1.04] * 20))[0] == []
        assert judged("LossNotDecreasing", train([1.0] * 20 + [1.04] * 20), increase_threshold_percent=3.0)[0] != []

    def test_what_the_noise_hides_is_not_judged(self) -> None:
        # A window's error is 0.167 of 1, as below. The line's, at steps 10 apart, is 0.167 / (10 * sqrt(10)) with 5
        # windows (squared distances 4 + 1 + 0 + 1 + 4): three times that over the span of 40 steps is 0.63, more than a
        # tenth. With noise a tenth as large it is 0.063.
        noise = np.tile([0.5, -0.5], 25)
        assert judged("LossNotDecreasing", train(1 + noise))[0] == []
        assert judged("LossNotDecreasing", train(1 + noise / 10))[0] != []

    def test_a_rise_within_the_noise_is_none(self) -> None:
        # Losses alternate by +-0.5: a window's error is 0.5 * sqrt(10 / 9) / sqrt(10) = 0.167, that of the difference
        # of two pairs sqrt(4) * 0.167 / 2 = 0.167; the rise of 0.06 is far below 5 of these, one of 0.9 is above.
        noise = np.tile([0.5, -0.5], 20)
        assert judged("LossNotDecreasing", train(noise + np.repeat([1.0, 1.06], 20)))[0] == []
        assert judged("LossNotDecreasing", train(noise + np.repeat([1.0, 1.9], 20)))[0] != []

    def test_training_is_never_compared_with_validation(self) -> None:
        # Training falls; validation, ten times as high, rises: GLOBAL judges training.
        both = [
            each for pair in zip(line(0.01, 60), [("EVAL", 10.0 + n) for n in range(60)], strict=True) for each in pair
        ]
        assert judged("LossNotDecreasing", both)[0] == []
        findings, _ = judged("LossNotDecreasing", both, mode="EVAL")
        assert {each.mode for each in findings} == {"EVAL"}
        assert judged("LossNotDecreasing", both, mode="TRAIN")[0] == []

    def test_validation_alone_is_judged(self) -> None:
        assert {each.mode for each in judged("LossNotDecreasing", [("EVAL", 1.0)] * 80)[0]} <= {"EVAL"}

    def test_losses_saved_every_500_steps(self, tmp_path: Path) -> None:
        # The default of SageMaker's hook: 4 losses make a window, 20 a judgement.
        folder = Folder(tmp_path)
        for number in range(20):
            folder.mode_steps["TRAIN"] = 500 * number - 1
            folder.save("TRAIN", named({"loss": 1.0}), number=500 * number)
        (finding,), _ = folder.judge("LossNotDecreasing")
        assert finding.value == pytest.approx(0)
        assert "steps 8000 to 9500" in finding.text

    def test_nan_is_not_judged(self) -> None:
        assert judged("LossNotDecreasing", train([float("nan")] * 60)) == ([], 0)


def phases(*pairs: tuple[float, float]) -> list[tuple[str, float]]:
    """Four training steps and two of validation a phase."""
    return [each for training, valid in pairs for each in [("TRAIN", training)] * 4 + [("EVAL", valid)] * 2]


class TestOverfit:
    def test_a_validation_loss_that_falls_by_a_tenth_is_learning(self) -> None:
        # 900 and 20 are far above 2, but 20 < 0.9 * 900 and 1.5 < 0.9 * 20; 1.5 is within 10 % of 1.5.
        assert judged("Overfit", phases((3.0, 900.0), (2.0, 20.0), (1.5, 1.5)))[0] == []
        (finding,) = judged("Overfit", phases((3.0, 900.0), (2.0, 20.0), (1.5, 19.0), (1.4, 1.5)))[0]
        assert finding.value == 9.0  # (20 - 2) / 2; 19 is above 0.9 * 20, and 1.5 below 0.9 * 19

    def test_a_training_that_diverges_is_not_overfitted(self) -> None:
        # 50 is more than twice the first loss, 2; 3.9 isn't.
        first = ("TRAIN", 2.0)
        assert judged("Overfit", [first, *phases((50.0, 1e9))])[0] == []
        assert judged("Overfit", [first, *phases((3.9, 1e9))])[0] != []

    def test_ratio(self) -> None:
        # (1.11 - 1) / 1 = 0.11 and (1.09 - 1) / 1 = 0.09, around 0.1.
        (finding,), datapoints = judged("Overfit", phases((1.0, 1.11)))
        assert finding.value == pytest.approx(0.11)
        assert (finding.step, finding.mode, finding.mode_step, datapoints) == (5, "EVAL", 1, 2)
        assert judged("Overfit", phases((1.0, 1.09)))[0] == []
        assert judged("Overfit", phases((1.0, 1.11)), ratio_threshold=0.12)[0] == []

    def test_training_losses_of_its_own_epoch_count(self) -> None:
        # 0.9 is below all of the first epoch, but 12.5 % above the second.
        findings, _ = judged("Overfit", phases((2.0, 1.0), (0.8, 0.9)))
        assert [each.step for each in findings] == [11]

    def test_patience(self) -> None:
        # The second validation loss, 1.09, is no fall by a tenth from 1.2, and 9 % above training.
        steps = phases((1.0, 1.2), (1.0, 1.09), (1.0, 1.2), (1.0, 1.2))
        assert [each.step for each in judged("Overfit", steps)[0]] == [5, 17, 23]
        assert [each.step for each in judged("Overfit", steps, patience=2)[0]] == [23]
        assert judged("Overfit", steps, patience=3)[0] == []

    def test_start_step(self) -> None:
        steps = phases((1.0, 1.2), (1.0, 1.2))
        assert [each.step for each in judged("Overfit", steps, start_step=6)[0]] == [11]

    def test_noise_is_no_overfitting(self) -> None:
        # Training alternates by +-0.4: s = 0.4 * sqrt(4 / 3), error s / sqrt(4) = 0.231. The validation loss has to be
        # above 1.1 by 2 * 1.1 * 0.231 = 0.508, so 1.5 isn't and 1.7 is.
        steps = train([1.4, 0.6, 1.4, 0.6])
        assert judged("Overfit", [*steps, ("EVAL", 1.5)])[0] == []
        assert judged("Overfit", [*steps, ("EVAL", 1.7)])[0] != []

    def test_losses_of_practically_0(self) -> None:
        # 1 % of the first phase's training loss, 1.
        assert judged("Overfit", phases((1.0, 1.0), (0.001, 0.009)))[0] == []
        assert judged("Overfit", phases((1.0, 1.0), (0.001, 0.011)))[0] != []

    def test_without_validation_nothing_is_judged(self) -> None:
        assert judged("Overfit", train([1.0] * 20)) == ([], 0)


class TestOvertraining:
    @pytest.mark.parametrize(("patience", "told"), [(10, 0), (9, 1)])
    def test_validation(self, patience: int, told: int) -> None:
        # Best at the second phase, then 10 without: more than 9, not more than 10. Training keeps improving.
        valid = [1.0, 0.5, *[0.6] * 10]
        steps = phases(*((10.0 - n, loss) for n, loss in enumerate(valid)))
        findings, datapoints = judged("Overtraining", steps, patience_validation=patience)
        assert (len(findings), datapoints) == (told, 72)
        assert {each.mode for each in findings} <= {"EVAL"}

    @pytest.mark.parametrize(("patience", "told"), [(5, 0), (4, 1)])
    def test_training(self, patience: int, told: int) -> None:
        # The same with 5 phases of training, while validation keeps improving.
        training = [1.0, 0.5, *[0.5] * 5]
        steps = phases(*((loss, 10.0 - n) for n, loss in enumerate(training)))
        findings, _ = judged("Overtraining", steps, patience_train=patience)
        assert [each.mode for each in findings] == ["TRAIN"] * told

    def test_delta(self) -> None:
        # Each phase is lower by 0.009: no improvement by 0.01, but every second is one by 0.01 against the best.
        steps = phases(*((1.0, 1.0 - 0.009 * n) for n in range(40)))
        assert judged("Overtraining", steps)[0] == []
        # Against 0.5, all 12 phases are within 0.01.
        steps = phases((1.0, 1.0), *((1.0, 0.5 - 0.0007 * n) for n in range(13)))
        assert [each.step for each in judged("Overtraining", steps)[0]] == [77, 83]
        assert judged("Overtraining", steps, delta=0.001)[0] == []

    def test_what_never_improved_has_not_stopped(self) -> None:
        # To 0.91 of the first, and to 0.89.
        assert judged("Overtraining", phases((1.0, 1.0), *[(1.0, 0.91)] * 20))[0] == []
        assert judged("Overtraining", phases((1.0, 1.0), *[(1.0, 0.89)] * 20))[0] != []

    def test_training_alone_is_judged_by_tens(self) -> None:
        # 10 at 1, 10 at 0.5, then 5 tens at 0.5 (nothing yet), then a sixth.
        assert judged("Overtraining", train([1.0] * 10 + [0.5] * 60))[0] == []
        (finding,), _ = judged("Overtraining", train([1.0] * 10 + [0.5] * 70))
        assert finding.step == 79


@pytest.mark.parametrize("rule", ["LossNotDecreasing", "Overfit", "Overtraining"])
@pytest.mark.parametrize("seed", range(5))
def test_healthy_noisy_training_is_left_alone(rule: str, seed: int) -> None:
    # From 2.3 to 0.3 over 20 epochs of 25 steps, batches that scatter by 15 %, validation 3 % above training.
    generator = np.random.default_rng(seed)
    level: Callable[[float], float] = lambda epoch: 0.25 + 2.05 * 0.85**epoch  # noqa: E731
    steps: list[tuple[str, float]] = []
    for epoch in range(20):
        steps += train(level(epoch + n / 25) * generator.normal(1, 0.15) for n in range(25))
        steps += [("EVAL", 1.03 * level(epoch + 1) * generator.normal(1, 0.15)) for _ in range(8)]
    findings, datapoints = judged(rule, steps)
    assert ([each.text for each in findings], datapoints > 0) == ([], True)
