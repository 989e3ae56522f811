"""What a training job left: fetched into the run folder, and how it ended in one sentence."""

import json

from backends.base import Watch
from backends.cloud.account import Account
from backends.cloud.debugger import RULES_FILE, statuses
from backends.cloud.fetch import fetch_archive
from backends.cloud.manifest import made, note
from backends.cloud.names import Place
from backends.cloud.verdicts import verdict
from backends.cloud.waiting import Answer
from backends.console import say
from backends.errors import BackendError
from backends.runs import Run


def fetch(account: Account, run: Run, description: Answer, watch: Watch) -> None:
    """The artifact to ml/model, reports to ml/output/data, what SageMaker's rules found; and what the job took.

    Raises BackendError when a completed job left no artifact, or something can't be fetched.
    """
    output = Place.parse(description["OutputDataConfig"]["S3OutputPath"].rstrip("/")) / description["TrainingJobName"]
    reports = output / "output/output.tar.gz"
    fetch_archive(account, reports, run.ml / "output" / "data", watch)
    _save_rules(run, description)
    _save_hyperparameters(run, description)
    artifact = description.get("ModelArtifacts", {}).get("S3ModelArtifacts") or (output / "output/model.tar.gz").url
    found = fetch_archive(account, Place.parse(artifact), run.artifact, watch)
    if not found and description["TrainingJobStatus"] == "Completed":
        raise BackendError(f"there is no artifact at {artifact}; somebody has removed it, or the role may not write it")
    seconds = {key: description[name] for key, name in (("seconds", "TrainingTimeInSeconds"),
                                                        ("billable_seconds", "BillableTimeInSeconds"))
               if name in description}  # fmt: skip
    note(account, run, fetched=True, artifact=artifact if found else None, **seconds)
    _say_time(description)


def _say_time(description: Answer) -> None:
    billed, took = description.get("BillableTimeInSeconds"), description.get("TrainingTimeInSeconds")
    if billed is None:
        return
    saved = f", {100 * (1 - billed / took):.0f} % less than it took" if took and billed < took else ""
    hosts = description.get("ResourceConfig", {}).get("InstanceCount", 1)
    say(f"{billed} billable seconds{f' on each of {hosts} hosts' if hosts > 1 else ''}{saved}")


def _save_hyperparameters(run: Run, description: Answer) -> None:
    """As the job read them: what judges its tensors again finds them there, as in any run folder."""
    file = run.ml / "input" / "config" / "hyperparameters.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(description.get("HyperParameters", {}), indent=2) + "\n")


def _save_rules(run: Run, description: Answer) -> None:
    rows = statuses(description)
    if not rows:
        return
    (run.ml / "output" / "data" / RULES_FILE).write_text(json.dumps({"rules": rows}, indent=2) + "\n")
    if going := [row for row in rows if row["status"] in ("InProgress", "Stopping")]:
        say(f"{len(going)} of SageMaker's rules are still judging; python deploy.py attach {run.name} asks them again")


def verdict_of(run: Run, description: Answer) -> str | None:
    """Why a job that has ended didn't end well, in one sentence, which is the run's failure file, too; None for a
    completed one. After `fetch`.
    """
    status = description["TrainingJobStatus"]
    if status == "Completed":
        return None
    what = f"training job {description['TrainingJobName']}"
    if status == "Stopped" and description.get("SecondaryStatus", "Stopped") == "Stopped":
        kept = (run.artifact / "kennel.json").is_file()
        how = f"early; its best epoch is in {run.artifact}" if kept else "before its first epoch was over"
        sentence = f"Stopped: {what} was stopped {how}"
    else:
        last = str(description.get("SecondaryStatus", "")) if status == "Stopped" else ""
        sentence = verdict(what, description.get("FailureReason") or last, _log_end(run))
    (run.ml / "output" / "failure").write_text(f"{sentence}\n")
    return sentence


def _log_end(run: Run) -> list[str]:
    try:
        with run.log.open("rb") as file:
            file.seek(int(made(run).get("log_from", 0)))
            return file.read().decode(errors="replace").splitlines()[-50:]
    except OSError:
        return []
