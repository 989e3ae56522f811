"""OpenVINO, imported so that it sends nothing home and breaks no signals: `from model._openvino import openvino`.

Before nncf, too.

`import openvino` alone already reports to Google Analytics, and so does every conversion and every call of NNCF, by the
package openvino_telemetry and from child processes of the running one (openvino_telemetry 2025.2: main.py,
backend/backend_ga4.py). What it asks before it sends can't be relied on: the opt-out is a file in the user's home, and
where there is no home that can be written, as in a container, it takes that for consent. But openvino and nncf both
go on without the package when importing it fails, so here it does.

A Core that uses the CPU gives the thread a signal stack of its own, and when it dies it puts back the one that it found
(openvino 2026.4.1). Of two whose lives overlap, one puts back the other's, which is freed: the next signal that Python
handles, a child's end say, then kills the process (SIGSEGV). So a process has one Core, which lives as long as it does.
"""

import functools
import importlib
import sys
from typing import Any

_CONVERTER = "openvino.tools.ovc"
# Python's own way to say that a module can't be imported.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
# The converter and what it brings are half of the import's time, and serving needs none of it.
sys.modules[_CONVERTER] = None  # type: ignore[assignment]

import openvino  # noqa: E402

del sys.modules[_CONVERTER]


def _convert_model(*arguments: Any, **settings: Any) -> Any:
    return importlib.import_module(_CONVERTER).convert_model(*arguments, **settings)


openvino.convert_model = _convert_model
_make = openvino.Core


@functools.cache
def _core() -> Any:
    return _make()


# NNCF makes its Cores by this name, too.
openvino.Core = _core

__all__ = ["openvino"]
