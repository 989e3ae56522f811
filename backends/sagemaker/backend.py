"""Jobs and endpoints on SageMaker, by the protocol that all backends keep."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

from backends.base import WHOLE_MACHINE, MachineSlot, ProgressCallback
from backends.cancel import CancelToken, cancel_on_signals
from backends.console import say, show_progress
from backends.errors import BackendError, StillRunning
from backends.inputs import is_url
from backends.local import LocalBackend
from backends.runs import Run
from backends.sagemaker.account import Account, ConfirmCost, aws_record
from backends.sagemaker.billing.consent import ConsentPrompt as Asking
from backends.sagemaker.billing.estimate import money
from backends.sagemaker.billing.items import Item
from backends.sagemaker.endpoints import config, endpoints, invoke
from backends.sagemaker.jobs import evaluation as evaluate
from backends.sagemaker.jobs import job, training, transform, tuning
from backends.sagemaker.jobs.transform import list_s3_images
from backends.sagemaker.logs import save_tail
from backends.sagemaker.names import S3Location
from backends.sagemaker.resources.delete import delete_resources, plan_removal
from backends.sagemaker.resources.inventory import list_resources
from backends.sagemaker.storage import datasets as data
from backends.sagemaker.storage.datasets import check_dataset
from backends.sagemaker.storage.objects import download_objects
from backends.search.request import SearchRequest
from backends.settings.sections import Settings
from backends.transform.inputs import ImageFiles, TransformBatch
from contract.hyperparameters import Hyperparameters
from tuning.settings import SearchSettings

# Artifacts, reports, tensors and logs of a search, at most: agreed to with the rest.
_RESULTS_GB: Final = 2.0


class CloudBackend:
    """What reads the person's own files (checking data, predicting without a server, pages) runs on this machine; what
    trains, searches, evaluates, transforms and serves is a job or an endpoint.
    """

    name = "sagemaker"

    def __init__(self, settings: Settings, consent: ConfirmCost) -> None:
        self.account = Account(settings, consent)
        self.image = settings.sagemaker.image
        self._here = LocalBackend()
        # Data sets that were found in order a moment ago: `run` checks them before it asks, for all that follows.
        self._checked: set[Path] = set()

    def check_data(self, data: Path, report: Path, watch: ProgressCallback) -> None:
        self._here.check_data(data, report, watch)
        self._checked.add(data.absolute())

    def train(
        self, run: Run, data: Path, hyperparameters: Hyperparameters, watch: ProgressCallback,
        slot: MachineSlot = WHOLE_MACHINE, cancel: CancelToken | None = None,  # noqa: ARG002 - a job has its instances to itself
    ) -> None:  # fmt: skip
        with cancel_on_signals(cancel) as token:
            if "job" not in aws_record(run) and data.absolute() not in self._checked:
                # Before anything is sent and paid for; the job's own report takes its place.
                check_dataset(data, run.ml / "output" / "data" / "data.json", watch, token)
            training.train(self.account, run, data, hyperparameters, watch, token)

    def search(self, run: Run, request: SearchRequest, cancel: CancelToken) -> None:
        if "tuning_job" not in aws_record(run) and request.data.absolute() not in self._checked:
            with show_progress("checking data") as watch:
                check_dataset(request.data, run.ml / "output" / "data" / "data.json", watch, cancel)
        tuning.search(self.account, run, request, cancel)

    def gpus(self) -> list[str]:
        return []

    def tuning_page(self, document: Path) -> None:
        self._here.tuning_page(document)

    def evaluate(
        self, artifact: Path, data: Path, report: Path, watch: ProgressCallback, baseline: Path | None = None
    ) -> None:
        evaluate.evaluate(self.account, artifact, data, report, watch, baseline)

    def debug(self, tensors: str, report: Path, rules: str, watch: ProgressCallback) -> None:
        if not is_url(tensors):
            self._here.debug(tensors, report, rules, watch)
            return
        # Here by Kennel's own account: the profile or region may be those of kennel.toml alone.
        with tempfile.TemporaryDirectory() as scratch:
            download_objects(self.account, S3Location.parse(tensors), Path(scratch), CancelToken())
            self._here.debug(scratch, report, rules, watch)

    def predict(self, artifact: Path, images: Sequence[Path]) -> list[dict[str, Any]]:
        return self._here.predict(artifact, images)

    def listing(self, urls: Sequence[str]) -> ImageFiles:
        return list_s3_images(self.account, urls)

    def transform(
        self, run: Run, batch: TransformBatch, watch: ProgressCallback, cancel: CancelToken
    ) -> Iterator[dict[str, Any]]:
        return transform.transform(self.account, run, batch, watch, cancel)

    def deploy(self, run: Run, artifact: Path, port: int) -> str:  # noqa: ARG002 - it has a name, and no port
        return endpoints.deploy(self.account, run, artifact)

    def deploy_version(self, run: Run, version: str) -> str:
        return endpoints.deploy(self.account, run, version)

    def wait_ready(self, run: Run, goes_on: Callable[[], bool]) -> bool:
        return endpoints.wait_ready(self.account, run, goes_on)

    def ask(self, run: Run, image: Path) -> dict[str, Any]:
        return invoke.ask_deployment(self.account, run, image)

    def serve(self, artifact: Path, port: int) -> int:  # noqa: ARG002 - it doesn't come to that
        raise BackendError("an endpoint on SageMaker has no foreground; leave --foreground out, or use --on local")

    def is_alive(self, run: Run) -> bool:
        if run.kind == "deployment":
            return endpoints.is_alive(self.account, run)
        if run.kind == "training":
            # What one has left that ended meanwhile is fetched: the record is to say how it went.
            return training.is_running(self.account, run)
        return job.is_alive(self.account, run)

    def stop(self, run: Run) -> None:
        if run.kind == "deployment" and (endpoint := aws_record(run).get("endpoint")) and not run.log.exists():
            save_tail(self.account, run, str(endpoint))
        try:
            delete_resources(self.account, plan_removal(self.account, run), say)
        except KeyboardInterrupt:
            if run.kind != "deployment":
                raise
            raise StillRunning(endpoints.still_running_message(run)) from None

    def confirm_cost(self, request: SearchRequest) -> AbstractContextManager[None]:
        self.account.check_settings()
        consent = self.account.consent
        return consent.covering(self._items(request)) if isinstance(consent, Asking) else nullcontext()

    def _items(self, request: SearchRequest) -> list[Item]:
        return [
            *tuning.items(self.account, "", SearchSettings.of(request.hyperparameters)),
            *config.items(self.account, "for the best trial"),
            data.plan_upload(self.account, request.data, lambda _: None).item,
            Item("artifacts, reports and logs", "storage", gigabytes=_RESULTS_GB),
        ]

    def left(self) -> str:
        resources = list_resources(self.account)
        if not resources:
            return "nothing"
        kinds = Counter(each.kind for each in resources)
        cost = sum(each.usd_per_day or 0.0 for each in resources)
        return f"{', '.join(f'{count} x {kind}' for kind, count in kinds.items())}: {money(cost)} a day"
