"""What the backends on this machine share: commands that leave a report, and deployments on a port."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from backends import client
from backends.base import ProgressCallback
from backends.inputs import check_data_path
from backends.runs import Run

_START_LIMIT_S: Final = 120.0


class MachineBackend:
    """The part of a backend that is the same for processes and containers."""

    def check_data(self, data: Path, report: Path, watch: ProgressCallback) -> None:
        self._command("train.check_data", {"--data": check_data_path(data)}, report, watch)

    def evaluate(
        self, artifact: Path, data: Path, report: Path, watch: ProgressCallback, baseline: Path | None = None
    ) -> None:
        inputs = {"--artifact": artifact, "--data": check_data_path(data)}
        if baseline is None:
            self._command("train.evaluate", inputs, report, watch)
        else:
            self._command("train.compare", {**inputs, "--baseline": baseline}, report, watch)

    def _command(
        self, module: str, inputs: Mapping[str, Path], report: Path, watch: ProgressCallback, *words: str
    ) -> None:
        """Run `python -m module` with an option for each input, and leave its report, whose folder is made.

        Raises BackendError with the command's last error.
        """
        raise NotImplementedError

    def wait_ready(self, run: Run, goes_on: Callable[[], bool]) -> bool:
        return client.wait_ready(run.record["url"], goes_on, _START_LIMIT_S)

    def ask(self, run: Run, image: Path) -> dict[str, Any]:
        return client.predict(run.record["url"], image)
