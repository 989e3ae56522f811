"""The tuning page's axes and sentences, by figures worked out by hand."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reports.charts.parameter_axes import parameter_axis, value_axis
from reports.search_data import SearchObjective, search_data
from reports.tuning_advice import tuning_advice
from tests.train.tuning_documents import ACCURACY, BATCH_SIZE, EPOCHS, LOSS, LR, document, trial


@pytest.mark.parametrize(
    ("entry", "value", "place"),
    [
        (LR, 0.01, 0.5),  # half of two decades
        (LR, 0.001, 0.0),
        (LR, 7.0, 1.0),  # beyond the range: its end
        (EPOCHS, 3, 1 / 3),
        (BATCH_SIZE, 32, 0.375),  # the second of four: 1.5 / 4
        (BATCH_SIZE, 33, None),
        ({"name": "x", "kind": "continuous", "low": 0.9, "high": 0.999, "scale": "reverse_log"}, 0.99, 0.5),
        ({"name": "x", "kind": "continuous", "low": 0.0, "high": 0.4, "scale": "linear"}, 0.1, 0.25),
        ({"name": "x", "kind": "continuous", "low": 0.2, "high": 0.2, "scale": "log"}, 0.2, 0.5),
        (LR, None, None),
        (LR, "nan", None),
    ],
)
def test_where_a_value_lies(entry: dict[str, Any], value: Any, place: float | None) -> None:
    found = parameter_axis(entry).place(value)
    assert found is None if place is None else math.isclose(found or 0.0, place, abs_tol=1e-9)


def test_ticks_have_both_ends() -> None:
    assert [name for _, name in parameter_axis(LR).ticks()] == ["0.001", "0.003", "0.01", "0.03", "0.1"]
    assert [name for _, name in parameter_axis(EPOCHS).ticks()] == ["2", "3", "4", "5"]
    assert parameter_axis(BATCH_SIZE).ticks()[0] == (0.125, "16")
    entry = {"name": "x", "kind": "continuous", "low": 0.9, "high": 0.9999, "scale": "reverse_log"}
    assert [name for _, name in parameter_axis(entry).ticks()] == ["0.9", "0.99", "0.999", "0.9999"]


def test_an_axis_ends_before_what_is_far_off() -> None:
    # Median 0.8, best 0.9: four times their distance below the median is 0.4.
    axis = value_axis([0.9, 0.85, 0.8, 0.75, 0.1], maximize=True)
    assert axis.cut == pytest.approx(0.4)
    assert (axis.beyond(0.1), axis.beyond(0.75)) == (True, False)
    assert axis.on(0.1) == axis.low
    # The same of losses: median 0.2, best 0.1, so 0.6.
    loss = value_axis([0.1, 0.15, 0.2, 0.25, 9.0], maximize=False)
    assert loss.cut == pytest.approx(0.6)
    assert loss.on(9.0) == loss.high
    whole = value_axis([0.9, 0.85, 0.8, 0.75, 0.5], maximize=True)
    assert whole.cut is None
    # 5 % of 0.4 more at each side.
    assert [whole.low, whole.high] == pytest.approx([0.48, 0.92])
    assert value_axis([0.9, 0.8, 0.7], maximize=True, others=[0.2]).cut == pytest.approx(0.7)
    assert value_axis([0.9], maximize=True, others=[0.2]).cut is None


def test_ticks_of_values_differ() -> None:
    for low, high in ((0.0, 1.0), (0.93401, 0.93402), (2.0, 2.0), (1e-9, 3e-9), (-5.0, 100_000.0), (0.0, 0.0)):
        ticks, names = value_axis([low, high], maximize=True).ticks(share=True)
        assert len(ticks) >= 2
        assert len(set(names)) == len(names), names


def test_values_have_units() -> None:
    shown = {
        ("validation_accuracy", 0.9342): "93.42 %", ("latency_ms", 12.3): "12.3 ms", ("epoch_seconds", 4.2): "4.2 s",
        ("validation_loss", 0.12345): "0.1235", ("test_macro_f1", 1.0): "100.00 %",
    }  # fmt: skip
    for (metric, value), words in shown.items():
        assert SearchObjective(metric, True).show(value).replace("\u00a0", " ") == words
    assert SearchObjective("validation_loss", False).gain(1.0, 1.5) == 0.5
    assert SearchObjective("validation_accuracy", True).apart(0.95, 0.938) == "1.2 points"


def advice(trials: list[dict[str, Any]], **more: Any) -> list[str]:
    made = document(trials, **more)
    return [each.text.replace("\u00a0", " ") for each in tuning_advice(made, search_data(made))]


def at(number: int, accuracy: float, lr: float, **more: Any) -> dict[str, Any]:
    return trial(number, (accuracy,), **{"values": {"lr": lr, "batch_size": 32, "epochs": 3}, **more})


def importance(**values: float) -> dict[str, Any]:
    return {"method": "PED-ANOVA", "objective": "validation_accuracy", "values": values, "trials": 20}


def test_the_most_important_hyperparameter() -> None:
    trials = [at(n, 0.5 + n / 100, 0.01) for n in range(1, 6)]
    clear = advice(trials, importance=importance(epochs=0.1, lr=0.7, batch_size=0.2))
    assert (
        "lr matters most (70 % of the importance), then batch_size (20 %); from 20 trials that is a rough estimate."
        in clear
    )
    close = advice(trials, importance=importance(lr=0.5, epochs=0.45, batch_size=0.05))
    assert any(
        each.startswith("lr and epochs matter about equally (50 % and 45 % of the importance)") for each in close
    )
    many = advice(trials, importance={**importance(lr=0.7, epochs=0.3), "trials": 100})
    assert "lr matters most (70 % of the importance), then epochs (30 %)." in many
    assert not any("importance" in each for each in advice(trials))


def test_the_best_at_an_edge() -> None:
    # 0.09 is log10(90) / 2 = 0.977 of the way from 0.001 to 0.1.
    trials = [at(1, 0.6, 0.002), at(2, 0.7, 0.01), at(3, 0.8, 0.08), at(4, 0.9, 0.09)]
    sentence = next(each for each in advice(trials) if "end of its range" in each)
    assert sentence == (
        "The best trial has lr 0.09, at the upper end of its range (0.001 to 0.1, logarithmic): a better one may lie "
        "beyond; search again with the range widened upwards. 2 of the 4 best trials lie there."
    )
    lower = [at(n, 0.9 - n / 100, 0.001 * n) for n in (1, 2, 3)]
    assert any("lr 0.001, at the lower end" in each and "widened downwards" in each for each in advice(lower))
    # 0.05 is 0.85 of the way.
    assert not any("end of its range" in each for each in advice([*trials[:3], at(4, 0.9, 0.05)]))
    assert not any("end of its range" in each for each in advice(trials[2:]))


def test_the_best_of_the_choices_and_what_can_go_no_further() -> None:
    values = [{"lr": 0.01, "batch_size": size, "epochs": 3} for size in (16, 32, 128)]
    trials = [at(n, 0.5 + n / 10, 0.01, values=each) for n, each in enumerate(values, 1)]
    assert any(
        "batch_size 128, the largest of the values tried (16, 32, 64, 128): a better one may lie beyond; search again "
        "with larger ones too." in each
        for each in advice(trials)
    )
    smoothing = {"name": "label_smoothing", "kind": "continuous", "low": 0.0, "high": 0.2, "scale": "linear"}
    least = [at(n, 0.9 - n / 100, 0.01, values={"label_smoothing": 0.001 * n}) for n in (1, 2, 3)]
    hints = [each for each in advice(least, space=[smoothing]) if "label_smoothing" in each]
    assert hints == [
        "The best trial has label_smoothing 0.001, at the lower end of its range (0 to 0.2), which can go no lower."
    ]
    heads = {"name": "head", "kind": "categorical", "values": ["linear", "mlp"]}
    words = [at(n, 0.5 + n / 10, 0.01, values={"head": "mlp"}) for n in (1, 2, 3)]
    assert not any("the values tried" in each for each in advice(words, space=[heads]))


def test_late_and_early_bests() -> None:
    late = [at(n, 0.5 + n / 100, 0.01) for n in range(1, 21)]
    assert "The best came as number 20 of 20: more trials may find a better one." in advice(late)
    early = [at(n, 0.9 - n / 100, 0.01) for n in range(1, 21)]
    assert any(each.startswith("Nothing better came in the 19 trials after number 1:") for each in advice(early))
    assert not any("number" in each for each in advice(early, state="running"))
    assert not any("number" in each for each in advice(early[:5]))


def test_a_cheaper_trial_that_is_as_good() -> None:
    trials = [at(1, 0.9, 0.01, seconds=9.0), at(2, 0.896, 0.02, seconds=3.0), at(3, 0.7, 0.03, seconds=1.0)]
    assert "Trial 2 comes within 0.4 points of it in 3 s instead of 9 s." in advice(trials)
    assert not any("instead of" in each for each in advice([trials[0], {**trials[1], "seconds": 5.0}]))


def test_failures_beyond_all_that_succeeded() -> None:
    good = [at(n, 0.5 + n / 100, 0.01 * n) for n in (1, 2, 3)]
    bad = [
        trial(n, None, "failed", values={"lr": lr, "batch_size": 32, "epochs": 3}) for n, lr in ((4, 0.05), (5, 0.08))
    ]
    assert (
        "2 of 5 trials failed, all with lr of at least 0.05, where none was completed. "
        "Trial 4: the loss became NaN in epoch 1." in advice([*good, *bad])
    )
    mixed = [
        trial(n, None, "failed", values={"lr": lr, "batch_size": 32, "epochs": 3}) for n, lr in ((4, 0.02), (5, 0.08))
    ]
    assert "2 of 5 trials failed. Trial 4: the loss became NaN in epoch 1." in advice([*good, *mixed])


def test_more_epochs_when_the_last_was_the_best() -> None:
    rising = [{"epoch": e, "validation_accuracy": 0.1 * e} for e in (1, 2, 3)]
    trials = [at(1, 0.3, 0.01, epochs=rising)]
    assert "Trial 1 was best after its last epoch: more epochs may help." in advice(trials, space=[LR])
    assert not any("more epochs" in each for each in advice(trials))
    assert not any("more epochs" in each for each in advice([at(1, 0.3, 0.01, epochs=rising[::-1])], space=[LR]))


def test_less_is_better_of_a_loss() -> None:
    trials = [trial(n, (float(n),)) for n in (1, 2, 3)]
    assert "Trial 1 is the best: validation loss 1, 1 better than the median of 3 completed trials." in advice(
        trials, objectives=[LOSS]
    )
    assert (
        "Trial 3 is the best: validation accuracy 300.00 %, 100 points better"
        in advice(trials, objectives=[ACCURACY])[0]
    )


def test_the_page_needs_no_torch() -> None:
    code = (
        "import sys; import train.tuning_report; "
        "print([each for each in ('torch', 'PIL', 'numpy', 'optuna', 'train.data') if each in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
