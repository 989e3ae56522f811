"""Training jobs: started from a run folder, followed to their end, and fetched into it."""

import contextlib
from pathlib import Path
from typing import Any, Final

from backends.base import ProgressCallback
from backends.cancel import CancelToken, cancel_on_signals
from backends.console import say
from backends.errors import BackendError, Stopped
from backends.runs import Run
from backends.sagemaker.account import Account, aws_record, update_aws_record
from backends.sagemaker.billing.items import Item
from backends.sagemaker.errors import AwsError, translate_aws_errors
from backends.sagemaker.jobs import debugger
from backends.sagemaker.jobs.api import TRAINING, job_to_wait_for
from backends.sagemaker.jobs.debugger import Observers
from backends.sagemaker.jobs.estimator import (
    TrainingInputs,
    check_training_job,
    for_container,
    from_container,
    max_wait,
    stage_inputs,
)
from backends.sagemaker.jobs.estimator import estimator as estimator  # noqa: PLC0414 - part of what is said here
from backends.sagemaker.jobs.follow import ENDED, Follower
from backends.sagemaker.jobs.polling import Answer, AwsJob, wait_for_job
from backends.sagemaker.jobs.results import failure_sentence, fetch_results
from backends.sagemaker.names import MAX_NAME_LENGTH, resource_name
from backends.sagemaker.sdk import has_volumes
from contract.hyperparameters import Hyperparameters

_WATCHED: Final = "SageMaker's Debugger"


def train(
    account: Account,
    run: Run,
    data: Path,
    hyperparameters: Hyperparameters,
    watch: ProgressCallback,
    cancel: CancelToken | None = None,
) -> None:
    """Train in a job of the account; returns when the artifact is in the run folder.

    A run whose job goes on, or has ended well, is followed and fetched; after a failure, and for a search of more
    trials, another job is started, with the checkpoints of the last. `cancel`, which is Ctrl-C and SIGTERM unless it is
    given, stops the job and raises Stopped once it has ended; made twice, StillRunning leaves it. Raises BackendError,
    all at once what is wrong with the settings.
    """
    with cancel_on_signals(cancel) as token:
        if not _goes_on(account, run, hyperparameters):
            _start(account, run, data, hyperparameters, watch, token)
        finish(account, run, watch, token)


def finish(account: Account, run: Run, watch: ProgressCallback, cancel: CancelToken | None = None) -> None:
    """Follow the run's job to its end and fetch what it left. Raises as `train` does; starts nothing."""
    with cancel_on_signals(cancel) as token:
        description = follow(account, run, watch, token)
        _conclude(account, run, description, watch, stopped=token.requested)


def follow(account: Account, run: Run, watch: ProgressCallback, cancel: CancelToken | None = None) -> Answer:
    """Wait for the run's job to end, keeping its log in the run folder; returns its last description."""
    job = str(aws_record(run)["job"])
    follower = Follower(TRAINING.log(account, job), run, watch)
    with cancel_on_signals(cancel) as token:
        last = wait_for_job(as_job(account, run), token, follower)
    if last.get("TrainingStartTime"):
        follower.drain()
    return last


def is_running(account: Account, run: Run) -> bool:
    """Whether the run's job goes on; what one left that has ended is fetched first, unless it was."""
    if "job" not in aws_record(run) or (description := _described(account, run)) is None:
        return False
    if description["TrainingJobStatus"] not in ENDED:
        return True
    if not aws_record(run).get("fetched"):
        with contextlib.suppress(BackendError):
            _conclude(account, run, description, lambda _: None, stopped=True)
    return False


def stop_job(account: Account, run: Run) -> None:
    """End the run's job, if it goes on, and fetch what it left. Raises BackendError when it can't be ended."""
    if not is_running(account, run):
        return
    cancel = CancelToken()
    cancel.request()
    with contextlib.suppress(Stopped):
        finish(account, run, lambda _: None, cancel)


def as_job(account: Account, run: Run) -> AwsJob:
    """The run's job, to be waited for."""
    name, hosts = str(aws_record(run)["job"]), aws_record(run).get("hosts", "its instances")
    return job_to_wait_for(account, run, name, f"costs {hosts} until it ends", lambda: TRAINING.ask(account, name))


def items(account: Account, job: str) -> list[Item]:
    """What a training job may cost at most."""
    settings = account.settings.train
    kind: Any = "spot" if settings.spot else "training"
    disk = settings.volume_gb if has_volumes(settings.instance_type) else 0
    cost_items = [
        Item(
            f"training job {job}",
            kind,
            settings.instance_type,
            settings.instance_count,
            settings.max_hours,
            gigabytes=disk,
        )
    ]
    if settings.keep_alive_minutes:
        hours = settings.keep_alive_minutes / 60
        cost_items.append(
            Item(f"warm pool after {job}", "training", settings.instance_type, settings.instance_count, hours)
        )
    return cost_items


def _described(account: Account, run: Run) -> Answer | None:
    """The job's description; None when there is none."""
    return TRAINING.describe(account, str(aws_record(run)["job"]))


def _goes_on(account: Account, run: Run, hyperparameters: Hyperparameters) -> bool:
    """Whether the run has a job that runs or was completed: one to follow, and not another to start."""
    if "job" not in aws_record(run) or (description := _described(account, run)) is None:
        return False
    if description["TrainingJobStatus"] in ("Failed", "Stopped"):
        return False
    former = from_container(description.get("HyperParameters", {}))
    if description["TrainingJobStatus"] == "Completed" and former and former.tune_trials < hyperparameters.tune_trials:
        return False
    say(f"training job {aws_record(run)['job']} is there already ({description['TrainingJobStatus']}); following it")
    return True


def _start(
    account: Account,
    run: Run,
    data: Path,
    hyperparameters: Hyperparameters,
    watch: ProgressCallback,
    cancel: CancelToken,
) -> None:
    account.check_settings()
    check_training_job(account.settings, for_container(hyperparameters).to_json())
    name = _next_name(account, run)
    with stage_inputs(account, data, hyperparameters, watch, cancel) as staged:
        account.consent([*items(account, name), staged.data.plan.item])
        inputs = staged.send(watch, cancel)
    if cancel.requested:
        raise Stopped("stopped before the job was started")
    (run.ml / "output" / "failure").unlink(missing_ok=True)
    before = run.log.stat().st_size if run.log.exists() else 0
    settings = account.settings.train
    hosts = f"{settings.instance_count} x {settings.instance_type}"
    update_aws_record(
        account, run, job=name, hosts=hosts, log_from=before, fetched=False, channels=dict(inputs.channels)
    )
    _create(account, run, name, inputs)
    waiting = f", {max_wait(account.settings) / 3600:g} with waiting" if settings.spot else ""
    say(f"training job {name} in {account.region}: {hosts}, {settings.max_hours:g} hours at most{waiting}")


def _next_name(account: Account, run: Run) -> str:
    """The run's name in the account; with a number where a job of that name has ended, for none is used twice."""
    number = 1
    if "job" in aws_record(run):
        number = int(aws_record(run).get("attempt", 1))
        if _described(account, run) is not None:
            number += 1
    run.record["sagemaker"] = {**aws_record(run), "attempt": number}
    suffix = f"-{number}" if number > 1 else ""
    return f"{resource_name(run, MAX_NAME_LENGTH - len(suffix))}{suffix}"


def _create(account: Account, run: Run, name: str, inputs: TrainingInputs) -> None:
    """Start the job; without the Debugger where the account hasn't got it."""
    observers: Observers | None = Observers.wanted(account)
    while observers is not None:
        try:
            with translate_aws_errors(f"starting training job {name}"):
                sdk_estimator = estimator(
                    account, run, inputs.hyperparameters.to_json(), debugger.arguments(account, run, observers)
                )
                sdk_estimator.fit(dict(inputs.channels), wait=False, logs=False, job_name=name)
        except AwsError as error:
            if error.already_exists and _described(account, run) is not None:
                # The answer to a first try was lost on its way.
                return
            observers = observers.without(error, account)
            if observers is None:
                raise
            say(f"this account has no {_WATCHED} ({error.fault.message}); Kennel's own rules and profiler do its work")
        else:
            return


def _conclude(account: Account, run: Run, description: Answer, watch: ProgressCallback, stopped: bool) -> None:
    """Fetch, and say by an exception when the job didn't end well. stopped: it was asked to."""
    try:
        fetch_results(account, run, description, watch)
    except BackendError as error:
        if description["TrainingJobStatus"] == "Completed":
            raise
        say(str(error))
    if fault := failure_sentence(run, description):
        raise Stopped(fault) if stopped and fault.startswith("Stopped: ") else BackendError(fault)
