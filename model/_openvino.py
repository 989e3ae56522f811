"""OpenVINO, imported so that it sends nothing home: `from model._openvino import openvino`, before nncf too.

`import openvino` alone already reports to Google Analytics, and so does every conversion and every call of NNCF, by the
package openvino_telemetry and from child processes of the running one (openvino_telemetry 2025.2: main.py,
backend/backend_ga4.py). What it asks before it sends can't be relied on: the opt-out is a file in the user's home, and
where there is no home that can be written, as in a container, it takes that for consent. But openvino and nncf both
go on without the package when importing it fails, so here it does.
"""

import sys

# Python's own way to say that a module can't be imported.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino  # noqa: E402

__all__ = ["openvino"]
