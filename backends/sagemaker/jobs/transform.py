"""Batch transform: images from here or from S3 through one transform job, its answers in the order of the images.

The images of a transform job: from here or from S3, which of them can be sent, and how large they are.
"""

import hashlib
import itertools
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from backends.base import JobProgress, ProgressCallback
from backends.cancel import CancelToken
from backends.console import complain, say
from backends.errors import BackendError, StillRunning
from backends.http import HttpResponse
from backends.runs import Run
from backends.sagemaker.account import Account, aws_record, update_aws_record
from backends.sagemaker.billing.items import Item
from backends.sagemaker.endpoints.config import create_model, model_request, serving_environment
from backends.sagemaker.errors import translate_aws_errors
from backends.sagemaker.jobs import api
from backends.sagemaker.jobs.job import check_completed
from backends.sagemaker.jobs.polling import wait_for_job
from backends.sagemaker.names import S3Location, resource_name, tags
from backends.sagemaker.sdk import sdk
from backends.sagemaker.storage import artifact
from backends.sagemaker.storage.objects import (
    iterate_objects,
    list_objects,
    read_object,
    remove_objects,
    run_concurrently,
)  # fmt: skip
from backends.sagemaker.storage.sync import compare_with_s3
from backends.sagemaker.storage.upload import upload_files
from backends.transform.ask import parse_response
from backends.transform.inputs import IMAGE_SUFFIXES, ImageFiles, Survey, TransformBatch

# Of the service: of one request's body, and of all that are under way at once.
MOST_MB: Final = 100
# What the container asks for when the job says nothing (docs/transform.md).
USUAL_MB: Final = 6
_MB: Final = 1 << 20


@dataclass(frozen=True)
class S3Images:
    """The images below a prefix in S3, by their names' endings, in the order of their keys."""

    account: Account
    location: S3Location

    def __iter__(self) -> Iterator[str]:
        return (f"s3://{self.location.bucket}/{key}" for key, *_ in self._images(Counter()))

    def survey(self, goes_on: Callable[[], bool] = lambda: True) -> Survey:
        """As of files here; the ETag stands for the time of change."""
        digest, count, left_out = hashlib.sha256(), 0, Counter[str]()
        for count, (key, size, etag) in enumerate(self._images(left_out), 1):
            digest.update(f"{key}\0{size}\0{etag}\n".encode())
            if count % 1000 == 0 and not goes_on():
                break
        return Survey(count, digest.hexdigest(), left_out)

    def sizes(self) -> dict[str, int]:
        """URL -> bytes."""
        return {f"s3://{self.location.bucket}/{key}": size for key, size, _ in self._images(Counter())}

    def _images(self, left_out: Counter[str]) -> Iterator[tuple[str, int, str]]:
        for each in iterate_objects(self.account, self.location):
            suffix = PurePosixPath(each["Key"]).suffix.lower()
            if suffix in IMAGE_SUFFIXES:
                yield each["Key"], int(each["Size"]), str(each["ETag"])
            elif not each["Key"].endswith("/"):
                left_out[suffix or "no suffix"] += 1


def list_s3_images(account: Account, urls: Sequence[str]) -> ImageFiles:
    """The images below one s3:// URL. Raises BackendError when there are several."""
    if len(urls) != 1:
        raise BackendError(f"one job transforms one prefix of S3, got {', '.join(urls)}; give one at a time")
    location = S3Location.parse(urls[0])
    if not location.bucket:
        raise BackendError(f"{urls[0]} names no bucket; give s3://BUCKET/PREFIX/")
    # `photos` is meant as a folder, and photos-old is none of its.
    key = f"{location.key.rstrip('/')}/" if location.key else ""
    return S3Images(account, S3Location(location.bucket, key))


@dataclass
class TransformPlan:
    """What the job is to do. source: the prefix with the images. faults: file -> why it isn't among them. largest:
    bytes of the largest image.
    """

    source: S3Location
    faults: dict[str, str]
    largest: int
    files: dict[str, Path]

    def limits(self, concurrent: int | None) -> tuple[int | None, int | None]:
        """Requests at once and megabytes of each, as the job is to set them; None for what the container asks for."""
        needed = max(1, math.ceil(self.largest / _MB))
        if concurrent is None and needed <= USUAL_MB:
            return None, None
        payload = max(needed, USUAL_MB)
        if concurrent is not None and concurrent * payload > MOST_MB:
            payload = needed
        return max(1, min(concurrent or MOST_MB, MOST_MB // payload)), payload


def object_name(number: int) -> str:
    """What the `number`th file, from 0, is called among the job's inputs: in the order of the files."""
    return f"{number:08d}"


def plan_transform(batch: TransformBatch, inputs: S3Location) -> TransformPlan:
    """What is to be sent, to `inputs` if it lies here. Raises BackendError when there is nothing that can be sent."""
    faults: dict[str, str] = {}
    files: dict[str, Path] = {}
    largest = 0
    remote = batch.files.sizes() if isinstance(batch.files, S3Images) else None
    for number, file in enumerate(batch.files):
        size = remote[file] if remote is not None else _size(file)
        if isinstance(size, str):
            faults[file] = size
        elif size > MOST_MB * _MB:
            faults[file] = f"the file has {size} bytes, and a transform job takes {MOST_MB * _MB} at most"
        else:
            largest = max(largest, size)
            if remote is None:
                files[object_name(number)] = Path(file)
    source = batch.files.location if isinstance(batch.files, S3Images) else inputs
    if len(faults) == batch.count:
        file, fault = next(iter(faults.items()))
        raise BackendError(f"none of the {batch.count} images can be sent; the first, {file}: {fault}")
    return TransformPlan(source, faults, largest, files)


def _size(file: str) -> int | str:
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - a million times
            return os.fstat(opened.fileno()).st_size
    except OSError as error:
        return f"the file can't be read ({error.strerror})"


# Counting outputs is a request for each thousand of them.
_MOST_COUNTED: Final = 5000
_PART: Final = 256  # answers fetched before they are written


def transform(
    account: Account, run: Run, batch: TransformBatch, watch: ProgressCallback, cancel: CancelToken
) -> Iterator[dict[str, Any]]:
    """A row an image, once the job has ended. Once more for the same run it goes on with the same job.

    Raises BackendError, Stopped, and StillRunning when the job goes on without us.
    """
    name = resource_name(run)
    plan = plan_transform(batch, _inputs(account, run))
    try:
        if api.TRANSFORM.describe(account, name) is None:
            _start(account, run, batch, plan, watch, cancel)
        answer = _follow(account, run, name, batch, watch, cancel)
        check_completed(account, run, name, answer, cancel)
        run.update(seconds=_seconds(answer))
        yield from _rows(account, run, batch, plan, cancel)
    except StillRunning:
        raise
    except BaseException:
        _clean_up(account, run)
        raise
    _clean_up(account, run)
    say(f"the job's own output stays in {_outputs(account, run).url}/")


def _inputs(account: Account, run: Run) -> S3Location:
    return account.run_location(run) / "transform/input"


def _outputs(account: Account, run: Run) -> S3Location:
    return account.run_location(run) / "transform/output"


def item(account: Account, run: Run) -> Item:
    """What a transform may cost."""
    settings = account.settings.transform
    return Item(
        f"transform job {resource_name(run)}", "transform", settings.instance_type, settings.instance_count,
        settings.max_hours,
    )  # fmt: skip


def _start(
    account: Account, run: Run, batch: TransformBatch, plan: TransformPlan, watch: ProgressCallback, cancel: CancelToken
) -> None:
    account.check_settings()
    account.consent([item(account, run)])
    settings, common, name = (
        account.settings.transform,
        account.settings.sagemaker,
        resource_name(run),
    )
    source = artifact.upload_artifact(account, batch.artifact, run.path)
    if plan.files:
        upload_files(account, compare_with_s3(account, plan.files, plan.source, watch, cancel), watch, cancel)
    # One image's fault is its answer, and not the end of the job.
    environment = {**serving_environment(account), "KENNEL_BATCH_ERRORS": "answer"}
    request = model_request(account, run, source.url, environment)
    update_aws_record(account, run, transform_job=name, model=request["ModelName"])
    model = create_model(account, request)
    concurrent, payload = plan.limits(batch.concurrent)
    transformer = sdk("transformer").Transformer(
        model_name=model,
        instance_count=settings.instance_count,
        instance_type=settings.instance_type,
        strategy="SingleRecord",
        output_path=_outputs(account, run).url,
        output_kms_key=common.kms_key or None,
        accept="application/json" if batch.labels is None else "application/json;format=probabilities",
        max_concurrent_transforms=concurrent,
        max_payload=payload,
        tags=tags(run, account.settings),
        volume_kms_key=account.volume_key(settings.instance_type),
        sagemaker_session=account.session,
    )
    with translate_aws_errors(f"starting transform job {name}"):
        transformer.transform(
            data=f"{plan.source.url.rstrip('/')}/", content_type="application/octet-stream", job_name=name, wait=False,
            logs=False,
        )  # fmt: skip


def _follow(
    account: Account, run: Run, name: str, batch: TransformBatch, watch: ProgressCallback, cancel: CancelToken
) -> Mapping[str, Any]:
    """Wait for the end. SageMaker has no limit of time for a transform, so it is kept here."""
    settings = account.settings.transform
    late = CancelToken(cancel)

    def each(answer: Mapping[str, Any]) -> None:
        started = answer.get("TransformStartTime")
        if (
            started
            and not late.requested
            and datetime.now(UTC).timestamp() - started.timestamp() > settings.max_hours * 3600
        ):
            say(f"max_hours in [transform], {settings.max_hours:g}, are over")
            late.request()
        if batch.count <= _MOST_COUNTED:
            done = len(list_objects(account, _outputs(account, run)))
            watch(JobProgress(str(answer["TransformJobStatus"]), done, batch.count, "images"))

    job = api.job_to_wait_for(account, run, name, f"runs on {settings.instance_count} x {settings.instance_type}")
    return wait_for_job(job, late, each)


def _seconds(answer: Mapping[str, Any]) -> float:
    start, end = answer.get("TransformStartTime"), answer.get("TransformEndTime")
    return round(end.timestamp() - start.timestamp(), 3) if start and end else 0.0


def _rows(
    account: Account, run: Run, batch: TransformBatch, plan: TransformPlan, cancel: CancelToken
) -> Iterator[dict[str, Any]]:
    """The answers in the order of the files, fetched several at a time."""
    outputs = _outputs(account, run)
    prefix = f"s3://{plan.source.bucket}/{plan.source.key}"

    def key(number: int, file: str) -> str:
        return f"{file.removeprefix(prefix) if isinstance(batch.files, S3Images) else object_name(number)}.out"

    files = enumerate(batch.files)
    while part := list(itertools.islice(files, _PART)):
        wanted = {key(number, file): file for number, file in part if file not in plan.faults}
        bodies = dict(
            run_concurrently(wanted, lambda name: read_object(account, outputs / name), cancel, "fetching answers")
        )
        for number, file in part:
            if fault := plan.faults.get(file):
                yield {"file": file, "error": fault}
            elif (body := bodies[key(number, file)]) is None:
                yield {"file": file, "error": "the job wrote no answer for it"}
            else:
                answer = HttpResponse(200, {}, body)
                yield {"file": file, **parse_response(answer, batch.labels, f"transform job {resource_name(run)}")}


def _clean_up(account: Account, run: Run) -> None:
    """Remove what only the job needed: the model, and the copies of the images. What can't be is left to `delete`."""
    model = aws_record(run).get("model")
    if model is None:
        return
    try:
        with translate_aws_errors(f"removing model {model}"):
            account.client("sagemaker").delete_model(ModelName=model)
        # With the note of what was sent, beside them.
        remove_objects(account, account.run_location(run) / "transform", lambda name: name.startswith("input"))
    except BackendError as error:
        complain(f"{error}; python deploy.py delete {run.name}")
