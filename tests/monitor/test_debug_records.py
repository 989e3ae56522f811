"""The file format and the reductions are smdebug's own."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from monitor.debugger._smdebug import ModeKeys, imported_quietly
from monitor.debugger._smdebug_torch import MendedHook
from monitor.debugger.hook import DERIVED, Summary, derive
from monitor.debugger.writer import StepFile
from tests.train.support import REPOSITORY

with imported_quietly():
    from smdebug.core.writer import FileWriter

VALUES: dict[str, NDArray[np.generic]] = {
    "scalar": np.array(1.5, dtype=np.float32),
    "gradient/Net_a.weight": np.arange(600, dtype=np.float32).reshape(2, 300, 1),
    "long": np.array([2**40, -1]),
    "half": np.array([[0.5, np.inf, np.nan]], dtype=np.float16),
    "double": np.array([math.pi]),
    "flags": np.array([True, False]),
    "pixels": np.zeros((1, 2, 2, 3), dtype=np.uint8),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
    "ümlaut/" + "x" * 200: np.array([1.0]),
}


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.filterwarnings("ignore:tostring:DeprecationWarning")  # smdebug's, and why numpy stays below 2.3
def test_files_are_byte_for_byte_smdebugs(tmp_path: Path) -> None:
    for kind, folder in ((FileWriter, tmp_path / "theirs"), (StepFile, tmp_path / "ours")):
        writer = kind(trial_dir=str(folder), step=1234, worker="worker_0")
        for name, value in VALUES.items():
            writer.write_tensor(tdata=value, tname=name, mode=ModeKeys.EVAL, mode_step=130, timestamp=1.75e9)
        writer.flush()
        writer.write_shape("long", (2,), ModeKeys.EVAL, 130)
        writer.close()
    ours, theirs = content(tmp_path / "ours"), content(tmp_path / "theirs")
    assert ours == theirs
    assert sorted(ours) == [
        "events/000000001234/000000001234_worker_0.tfevents",
        "index/000000001/000000001234_worker_0.json",
    ]


def test_a_step_without_tensors_is_no_file(tmp_path: Path) -> None:
    writer = StepFile(str(tmp_path), "worker_0", 0)
    writer.close()
    assert content(tmp_path) == {}


def test_a_type_that_the_format_has_not(tmp_path: Path) -> None:
    writer = StepFile(str(tmp_path), "worker_0", 0)
    with pytest.raises(ValueError, match="words has the type <U1"):
        writer.write_tensor(np.array(["a"]), "words", ModeKeys.TRAIN, 0)


TENSORS = {
    "plain": torch.linspace(-3, 5, 1000).reshape(10, 100),
    "channels_last": torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)).to(
        memory_format=torch.channels_last
    ),
    "far from 0": torch.full((2000,), 1000.0) + torch.linspace(0, 1e-2, 2000),
    "constant": torch.ones(64),
    "one": torch.tensor([2.5]),
    "scalar": torch.tensor(-2.5),
    "nan": torch.tensor([1.0, math.nan, 2.0]),
    "inf": torch.tensor([1.0, math.inf, 2.0]),
    "both": torch.tensor([-math.inf, math.inf, 2.0]),
    "half": torch.tensor([0.5, -1.5, 3.0]).half(),
    "bfloat16": torch.tensor([0.5, -1.5, 3.0]).bfloat16(),
    "double": torch.tensor([1e200, -1e-200, 3.0], dtype=torch.float64),
    "slice": torch.arange(40.0).reshape(4, 10)[:, ::3],
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.filterwarnings("ignore:std\\(\\)|var\\(\\):UserWarning")  # smdebug's, of a single element
def test_reductions_are_smdebugs(name: str) -> None:
    tensor = TENSORS[name]
    row = Summary().summarise(tensor).tolist()
    # Of 16 bits torch's own results have 16 bits again.
    wide = tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
    for kind, absolute in sorted(DERIVED):
        theirs = float(MendedHook._get_reduction_of_data(kind, wide, "x", absolute))
        ours = derive(row, tensor.numel(), kind, absolute)
        assert ours == pytest.approx(theirs, rel=2e-5, abs=1e-6, nan_ok=True), (kind, absolute)


def test_reductions_by_hand() -> None:
    # (3, -4): mean -1/2, squared distances 12.25 each.
    row = Summary().summarise(torch.tensor([[3.0], [-4.0]])).tolist()
    plain = {"mean": -0.5, "variance": 24.5, "l2": 5, "l1": 7, "sum": -1, "max": 3, "min": -4}
    assert {kind: derive(row, 2, kind, False) for kind in plain} == pytest.approx(plain)
    absolute = {"mean": 3.5, "max": 4, "sum": 7}
    assert {kind: derive(row, 2, kind, True) for kind in absolute} == pytest.approx(absolute)


def test_memory_grows_and_is_given_back() -> None:
    summary = Summary()
    for size in (3, 10, 2):
        values = torch.arange(float(size))
        assert summary.size(values) == (size - 1) / 2
        assert summary.distance(values, values + 2) == 2
    assert [len(each) for each in summary._scratch.values()] == [10]
    summary.release()
    assert summary._scratch == {}


def loaded(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after `code`."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert answer.stderr == ""
    return set(answer.stdout.split())


def test_readers_load_neither_torch_nor_pandas_and_nobody_says_a_word() -> None:
    modules = loaded("import monitor.debugger._smdebug")
    assert "smdebug" in modules
    assert not modules & {"torch", "pandas"}
    assert not loaded("import contract.debugger") & {"torch", "pandas", "smdebug", "numpy"}


@pytest.mark.long
def test_both_doors_in_either_order() -> None:
    told = "assert smdebug.core.utils._torch_dist_imported is torch.distributed"
    for first, second in (("monitor.debugger._smdebug", "torch"), ("torch", "monitor.debugger._smdebug")):
        code = f"import {first}, {second}, monitor.debugger._smdebug_torch, smdebug.core.utils, torch; {told}"
        assert {"smdebug", "torch"} <= loaded(code)
