"""How a machine is divided among trials, and which GPUs it has."""

from pathlib import Path

import pytest

from backends.base import WHOLE_MACHINE, MachineSlot
from backends.process import gpu_uuids, visible_uuids
from backends.search.trial import divide

LISTING = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa-1)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb-2)
  MIG 1g.5gb Device 0: (UUID: MIG-cccc-3)
  MIG 2g.10gb Device 1: (UUID: MIG-dddd-4)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-eeee-5)
"""


@pytest.mark.parametrize(
    ("cores", "count", "shares"),
    [
        ([0, 1, 2, 3], 2, [(0, 1), (2, 3)]),
        ([0, 1, 4, 5, 8], 2, [(0, 1), (4, 5, 8)]),
        ([3, 5], 3, [(3,), (3,), (5,)]),
        ([], 2, [(), ()]),
    ],
)
def test_cores_are_shared_out_evenly(cores: list[int], count: int, shares: list[tuple[int, ...]]) -> None:
    assert [slot.cores for slot in divide([], cores, count)] == shares


def test_one_trial_has_the_whole_machine_and_several_take_turns_with_the_gpus() -> None:
    assert divide(["GPU-a", "GPU-b"], [0, 1], 1) == [WHOLE_MACHINE]
    assert divide(["GPU-a", "GPU-b"], [0, 1, 2], 3) == [
        MachineSlot((0,), "GPU-a"),
        MachineSlot((1,), "GPU-b"),
        MachineSlot((2,), "GPU-a"),
    ]


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, ["GPU-aaaa-1", "MIG-cccc-3", "MIG-dddd-4", "GPU-eeee-5"]),
        ("2,0", ["GPU-eeee-5", "GPU-aaaa-1"]),
        ("MIG-dddd-4", ["MIG-dddd-4"]),
        ("0,9,2", ["GPU-aaaa-1"]),  # CUDA ends at the first that isn't there
        ("", []),
        ("-1", []),
    ],
)
def test_gpus_are_those_that_cuda_would_see(visible: str | None, found: list[str]) -> None:
    assert visible_uuids(LISTING, visible) == found


def test_the_drivers_command_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    command = tmp_path / "nvidia-smi"
    command.write_text('#!/bin/sh\n[ "$1" = -L ] && echo "GPU 0: NVIDIA H200 (UUID: GPU-77)"\n')
    command.chmod(0o755)
    assert gpu_uuids() == ["GPU-77"]
    command.write_text("#!/bin/sh\necho couldn't communicate with the NVIDIA driver\nexit 9\n")
    assert gpu_uuids() == []
