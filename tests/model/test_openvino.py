"""OpenVINO, imported by its one door."""

import subprocess
import sys

# Two Cores whose lives overlap, then a signal that Python handles.
CORES = """
import signal
from model._openvino import openvino
ops = openvino.opset13
entry = ops.parameter([1], openvino.Type.f32)
model = openvino.Model([ops.relu(entry)], [entry], "toy")
cores = [openvino.Core(), openvino.Core()]
compiled = [core.compile_model(model, "CPU") for core in cores]
while cores:
    cores.pop(0), compiled.pop(0)
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
signal.raise_signal(signal.SIGUSR1)
"""


def test_a_signal_after_openvino_is_survived() -> None:
    # With openvino's own Core, as of 2026.4.1, this ends with SIGSEGV.
    result = subprocess.run([sys.executable, "-c", CORES], capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (0, "handled\n"), result.stderr


def test_no_telemetry() -> None:
    code = "from model._openvino import openvino; import sys; print([m for m in sys.modules if 'telemetry' in m])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "openvino_telemetry." not in result.stdout


LEAN = """
import sys
from model._openvino import openvino
print(sorted(name for name in ("absl", "numpy.ma", "openvino.tools.ovc", "torch") if name in sys.modules))
try:
    openvino.convert_model("/nowhere/at/all.onnx")
except Exception:
    print("openvino.tools.ovc" in sys.modules)
"""


def test_the_converter_comes_when_it_is_called() -> None:
    result = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.splitlines() == ["[]", "True"], result.stderr
