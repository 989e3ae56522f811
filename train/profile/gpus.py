"""Utilisation and memory of NVIDIA GPUs, by NVML (the package nvidia-ml-py)."""

from typing import Any

_MOST_FAILURES = 3


class Gpus:
    """All GPUs that NVML shows. Without the package, a driver or a GPU there are none, and `note` says why.

    names: one a GPU. `sample` gives all of them or, while NVML fails, none; after three failures in a row it gives up.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.note: str | None = None
        self._handles: list[Any] = []
        self._failures = 0
        try:
            import pynvml
        except ImportError:
            self.note = "no GPU is sampled: the package nvidia-ml-py is not installed"
            return
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
            names = [pynvml.nvmlDeviceGetName(each) for each in handles]
            # A partitioned GPU (MIG) has no utilisation of its own; better to know now.
            for each in handles:
                self._read(each)
        except Exception as error:  # noqa: BLE001 - NVMLError, and what ctypes raises on a driver without a function
            self.note = f"no GPU is sampled: {error}"
            return
        self._handles = handles
        self.names = [name.decode() if isinstance(name, bytes) else str(name) for name in names]

    def sample(self) -> dict[str, list[float] | list[int]]:
        """gpu, gpu_memory: percent; gpu_memory_bytes. One value a GPU each."""
        rows = []
        try:
            rows = [self._read(each) for each in self._handles]
            self._failures = 0
        except Exception as error:  # noqa: BLE001 - as above
            rows = []
            self._failures += 1
            if self._failures == _MOST_FAILURES:
                self._handles = []
                self.note = f"GPUs were sampled no longer: {error}"
        return {
            "gpu": [row[0] for row in rows],
            "gpu_memory": [row[1] for row in rows],
            "gpu_memory_bytes": [row[2] for row in rows],
        }

    def _read(self, handle: Any) -> tuple[float, float, int]:
        rates = self._nvml.nvmlDeviceGetUtilizationRates(handle)
        memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
        return float(rates.gpu), round(100 * memory.used / memory.total, 2), int(memory.used)
