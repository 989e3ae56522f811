"""Batch transform: images from here or from S3 through one transform job, its answers in the order of the images."""

import itertools
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from backends.base import Progress, Watch
from backends.cloud import artifact, jobs
from backends.cloud.account import Account
from backends.cloud.errors import told
from backends.cloud.images import Plan, Remote, object_name, plan_of
from backends.cloud.images import listing as listing  # noqa: PLC0414 - part of what is said here
from backends.cloud.manifest import made, note
from backends.cloud.model import create_model, model_request, serving_environment
from backends.cloud.money.items import Item
from backends.cloud.names import Place, resource_name, tags
from backends.cloud.objects import listed, read, remove
from backends.cloud.outcome import ended_well
from backends.cloud.sdk import sdk
from backends.cloud.upload.difference import compare
from backends.cloud.upload.pool import each_done
from backends.cloud.upload.send import send
from backends.cloud.waiting import wait_for
from backends.console import complain, say
from backends.errors import BackendError, StillRunning
from backends.runs import Run
from backends.stop import Stop
from backends.transform.ask import understand
from backends.transform.batch import Batch
from backends.transform.connection import Answer

# Counting outputs is a request for each thousand of them.
_MOST_COUNTED: Final = 5000
_PART: Final = 256  # answers fetched before they are written


def transform(account: Account, run: Run, batch: Batch, watch: Watch, stop: Stop) -> Iterator[dict[str, Any]]:
    """A row an image, once the job has ended. Once more for the same run it goes on with the same job.

    Raises BackendError, Stopped, and StillRunning when the job goes on without us.
    """
    name = resource_name(run)
    plan = plan_of(batch, _inputs(account, run))
    try:
        if jobs.describe(account, "transform", name) is None:
            _start(account, run, batch, plan, watch, stop)
        answer = _follow(account, run, name, batch, watch, stop)
        ended_well(account, run, name, answer, stop)
        run.update(seconds=_seconds(answer))
        yield from _rows(account, run, batch, plan, stop)
    except StillRunning:
        raise
    except BaseException:
        _tidy(account, run)
        raise
    _tidy(account, run)
    say(f"the job's own output stays in {_outputs(account, run).url}/")


def _inputs(account: Account, run: Run) -> Place:
    return account.place(run) / "transform/input"


def _outputs(account: Account, run: Run) -> Place:
    return account.place(run) / "transform/output"


def item(account: Account, run: Run) -> Item:
    """What a transform may cost."""
    chosen = account.settings.transform
    return Item(
        f"transform job {resource_name(run)}", "transform", chosen.instance_type, chosen.instance_count,
        chosen.max_hours,
    )  # fmt: skip


def _start(account: Account, run: Run, batch: Batch, plan: Plan, watch: Watch, stop: Stop) -> None:
    account.check_settings()
    account.consent([item(account, run)])
    chosen, common, name = account.settings.transform, account.settings.sagemaker, resource_name(run)
    source = artifact.upload(account, batch.artifact, run.path)
    if plan.files:
        send(account, compare(account, plan.files, plan.source, watch, stop), watch, stop)
    # One image's fault is its answer, and not the end of the job.
    environment = {**serving_environment(account), "KENNEL_BATCH_ERRORS": "answer"}
    request = model_request(account, run, source.url, environment)
    note(account, run, transform_job=name, model=request["ModelName"])
    model = create_model(account, request)
    concurrent, payload = plan.limits(batch.concurrent)
    transformer = sdk("transformer").Transformer(
        model_name=model,
        instance_count=chosen.instance_count,
        instance_type=chosen.instance_type,
        strategy="SingleRecord",
        output_path=_outputs(account, run).url,
        output_kms_key=common.kms_key or None,
        accept="application/json" if batch.labels is None else "application/json;format=probabilities",
        max_concurrent_transforms=concurrent,
        max_payload=payload,
        tags=tags(run, account.settings),
        volume_kms_key=jobs.volume_key(account, chosen.instance_type),
        sagemaker_session=account.session,
    )
    with told(f"starting transform job {name}"):
        transformer.transform(
            data=f"{plan.source.url.rstrip('/')}/", content_type="application/octet-stream", job_name=name, wait=False,
            logs=False,
        )  # fmt: skip


def _follow(account: Account, run: Run, name: str, batch: Batch, watch: Watch, stop: Stop) -> Mapping[str, Any]:
    """Wait for the end. SageMaker has no limit of time for a transform, so it is kept here."""
    chosen = account.settings.transform
    late = Stop(stop)

    def each(answer: Mapping[str, Any]) -> None:
        started = answer.get("TransformStartTime")
        if (
            started
            and not late.requested
            and datetime.now(UTC).timestamp() - started.timestamp() > chosen.max_hours * 3600
        ):
            say(f"max_hours in [transform], {chosen.max_hours:g}, are over")
            late.request()
        if batch.count <= _MOST_COUNTED:
            done = len(listed(account, _outputs(account, run)))
            watch(Progress(str(answer["TransformJobStatus"]), done, batch.count, "images"))

    job = jobs.waited(account, run, name, f"runs on {chosen.instance_count} x {chosen.instance_type}")
    return wait_for(job, late, each)


def _seconds(answer: Mapping[str, Any]) -> float:
    start, end = answer.get("TransformStartTime"), answer.get("TransformEndTime")
    return round(end.timestamp() - start.timestamp(), 3) if start and end else 0.0


def _rows(account: Account, run: Run, batch: Batch, plan: Plan, stop: Stop) -> Iterator[dict[str, Any]]:
    """The answers in the order of the files, fetched several at a time."""
    outputs = _outputs(account, run)
    prefix = f"s3://{plan.source.bucket}/{plan.source.key}"

    def key(number: int, file: str) -> str:
        return f"{file.removeprefix(prefix) if isinstance(batch.files, Remote) else object_name(number)}.out"

    files = enumerate(batch.files)
    while part := list(itertools.islice(files, _PART)):
        wanted = {key(number, file): file for number, file in part if file not in plan.faults}
        bodies = dict(each_done(wanted, lambda name: read(account, outputs / name), stop, "fetching answers"))
        for number, file in part:
            if fault := plan.faults.get(file):
                yield {"file": file, "error": fault}
            elif (body := bodies[key(number, file)]) is None:
                yield {"file": file, "error": "the job wrote no answer for it"}
            else:
                answer = Answer(200, {}, body)
                yield {"file": file, **understand(answer, batch.labels, f"transform job {resource_name(run)}")}


def _tidy(account: Account, run: Run) -> None:
    """Remove what only the job needed: the model, and the copies of the images. What can't be is left to `delete`."""
    model = made(run).get("model")
    if model is None:
        return
    try:
        with told(f"removing model {model}"):
            account.client("sagemaker").delete_model(ModelName=model)
        # With the note of what was sent, beside them.
        remove(account, account.place(run) / "transform", lambda name: name.startswith("input"))
    except BackendError as error:
        complain(f"{error}; python deploy.py delete {run.name}")
