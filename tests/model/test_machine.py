"""Paths, files and the machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contract.files import write_atomic, write_json
from contract.paths import MLPaths
from model.machine import available_cpus, available_memory, cgroup_cpu_quota, cgroup_memory

ROOT = Path(__file__).parents[2]


def test_the_root_is_opt_ml_unless_moved() -> None:
    assert MLPaths.from_environ({}).root == Path("/opt/ml")
    assert MLPaths.from_environ({"KENNEL_ML_ROOT": ""}).root == Path("/opt/ml")
    assert MLPaths.from_environ({"KENNEL_ML_ROOT": "/tmp/x"}).failure == Path("/tmp/x/output/failure")


def test_the_tree_is_sagemakers() -> None:
    paths = MLPaths()
    tree = [
        *(paths.hyperparameters, paths.inputdataconfig, paths.resourceconfig),
        *(paths.input_data, paths.model, paths.output_data, paths.failure),
    ]
    assert [str(path.relative_to("/opt/ml")) for path in tree] == [
        *("input/config/hyperparameters.json", "input/config/inputdataconfig.json"),
        *("input/config/resourceconfig.json", "input/data", "model", "output/data", "output/failure"),
    ]


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "nonsense"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
    ],
)
def test_the_containers_cpu_limit(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert cgroup_cpu_quota(tmp_path) == quota


def test_available_cpus_rounds_a_limit_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 2, 3}, raising=False)
    assert available_cpus(tmp_path) == 4
    for quota, cpus in (("10000", 1), ("250000", 3), ("900000", 4)):
        (tmp_path / "cpu.max").write_text(f"{quota} 100000")
        assert available_cpus(tmp_path) == cpus


def test_available_cpus_are_those_that_a_cpuset_leaves() -> None:
    # A container's cpuset is its processes' affinity.
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from model.machine import available_cpus; print(available_cpus())"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout == "1\n"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "x.txt", b"old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a" / "x.txt", {"loss": float("nan")})
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomic(tmp_path / "folder", b"new")
    assert (tmp_path / "a" / "x.txt").read_bytes() == b"old"
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["a", "folder", "x.txt"]


def test_json_keeps_names_of_any_kind(tmp_path: Path) -> None:
    value = {"name": "Großer Münsterländer", "bytes": "M\udcfcnster"}
    write_json(tmp_path / "x.json", value, durable=False)
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == value


MIB = 1 << 20


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        ({}, None),
        ({"memory.max": "max\n", "memory.current": "5"}, None),
        # 300 MiB in use, 100 of them file pages that can be dropped at once.
        (
            {
                "memory.max": f"{512 * MIB}\n",
                "memory.current": f"{300 * MIB}\n",
                "memory.stat": f"anon 7\ninactive_file {100 * MIB}\n",
            },
            (200 * MIB, 512 * MIB),
        ),
        ({"memory.max": f"{512 * MIB}", "memory.current": "nonsense", "memory.stat": ""}, None),
        ({"memory.max": f"{512 * MIB}"}, None),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "1"}, None),
        (
            {
                "memory/memory.limit_in_bytes": f"{512 * MIB}\n",
                "memory/memory.usage_in_bytes": f"{300 * MIB}\n",
                "memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {50 * MIB}\n",
            },
            (250 * MIB, 512 * MIB),
        ),
    ],
)
def test_the_containers_memory_limit(tmp_path: Path, files: dict[str, str], memory: tuple[int, int] | None) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert cgroup_memory(tmp_path) == memory


def test_available_memory_ends_at_the_containers_limit(tmp_path: Path) -> None:
    machine = available_memory(tmp_path)
    assert machine > 64 * MIB
    for name, content in (("max", 20 * MIB), ("current", 15 * MIB), ("stat", "")):
        (tmp_path / f"memory.{name}").write_text(str(content))
    assert available_memory(tmp_path) == 5 * MIB
    (tmp_path / "memory.current").write_text(str(21 * MIB))
    assert available_memory(tmp_path) == 0
