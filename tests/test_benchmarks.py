"""The benchmarks' frame: what they call and print. How fast anything is decides no test."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.timing import compare, print_facts

ROOT = Path(__file__).resolve().parents[1]


def test_alternatives_are_called_equally_often_and_in_turn(capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[str] = []
    compare("two ways", {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, calls=2)
    # Once each to warm up, then rounds of two calls.
    assert "".join(calls) == "ab" + "aabb" * 3
    title, first, second = capsys.readouterr().out.splitlines()
    assert title == "two ways (n = 3 rounds of 2)"
    assert first.split()[0] == "a"
    assert first.endswith("x 1.00")
    assert second.split()[0] == "b"


def test_a_figure_comes_with_machine_versions_and_command(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts("pillow")
    facts, command = capsys.readouterr().out.splitlines()
    assert " cores; Python 3." in facts
    assert ", pillow 1" in facts
    assert command.startswith("command: python -m benchmarks")


def test_an_unknown_name_is_one_sentence() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks", "flying"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    known = "debugger, decoding, forms, insight, profiler, recipe, serving, startup, training_step, transform, tuning"
    assert answer.stderr == f"no such benchmark: flying; there are {known}\n"


@pytest.mark.parametrize("words", [["--quick"], ["forms", "--quick"], ["serving", "forms", "--quick"]])
def test_options_belong_to_one_benchmark_that_has_some(words: list[str]) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr == "options come after one name, and only serving and startup take any\n"


def test_a_benchmark_hears_its_options() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks", "serving", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0
    for option in ("--quick", "--only", "--sizes", "--rounds", "--seconds"):
        assert option in answer.stdout
