"""What a training job left in S3, fetched into the run folder as if it had run here; how it ended, in a sentence."""

import contextlib
import json
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from backends.base import JobProgress, ProgressCallback
from backends.console import say
from backends.errors import BackendError
from backends.runs import Run
from backends.sagemaker.account import Account, aws_record, update_aws_record
from backends.sagemaker.errors import AwsError, describe_failure, translate_aws_errors
from backends.sagemaker.jobs.debugger import RULES_FILE, statuses
from backends.sagemaker.jobs.polling import Answer
from backends.sagemaker.names import S3Location


def fetch_results(account: Account, run: Run, description: Answer, watch: ProgressCallback) -> None:
    """The artifact to ml/model, reports to ml/output/data, what SageMaker's rules found; and what the job took.

    Raises BackendError when a completed job left no artifact, or something can't be fetched.
    """
    output = (
        S3Location.parse(description["OutputDataConfig"]["S3OutputPath"].rstrip("/")) / description["TrainingJobName"]
    )
    reports = output / "output/output.tar.gz"
    fetch_archive(account, reports, run.ml / "output" / "data", watch)
    _save_rules(run, description)
    _save_hyperparameters(run, description)
    artifact = description.get("ModelArtifacts", {}).get("S3ModelArtifacts") or (output / "output/model.tar.gz").url
    exists = fetch_archive(account, S3Location.parse(artifact), run.artifact, watch)
    if not exists and description["TrainingJobStatus"] == "Completed":
        raise BackendError(f"there is no artifact at {artifact}; somebody has removed it, or the role may not write it")
    seconds = {key: description[name] for key, name in (("seconds", "TrainingTimeInSeconds"),
                                                        ("billable_seconds", "BillableTimeInSeconds"))
               if name in description}  # fmt: skip
    update_aws_record(account, run, fetched=True, artifact=artifact if exists else None, **seconds)
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


def failure_sentence(run: Run, description: Answer) -> str | None:
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
        sentence = describe_failure(what, description.get("FailureReason") or last, _log_end(run))
    (run.ml / "output" / "failure").write_text(f"{sentence}\n")
    return sentence


def _log_end(run: Run) -> list[str]:
    try:
        with run.log.open("rb") as file:
            file.seek(int(aws_record(run).get("log_from", 0)))
            return file.read().decode(errors="replace").splitlines()[-50:]
    except OSError:
        return []


# Makes an artifact whole, so it comes last.
_MANIFEST: Final = "kennel.json"


def fetch_archive(account: Account, source: S3Location, folder: Path, watch: ProgressCallback) -> bool:
    """Unpack a .tar.gz of S3 into a folder, whose files of the same names it replaces. False when there is none.

    Raises BackendError when it can't be read, or holds anything that would end up outside the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Beside it: what is renamed must not cross file systems.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        archive, unpacked = Path(scratch, "archive"), Path(scratch, "files")
        if not download(account, source, archive, watch):
            return False
        unpack(archive, unpacked, source.url)
        _move(unpacked, folder)
    return True


def download(account: Account, source: S3Location, file: Path, watch: ProgressCallback) -> bool:
    """Bring one object. False when there is none; raises BackendError when it can't be read."""
    client = account.client("s3")
    name = source.key.rsplit("/", 1)[-1]
    done = 0

    def count(sent: int) -> None:
        nonlocal done
        done += sent

    try:
        with translate_aws_errors(f"fetching {source.url}"):
            size = client.head_object(Bucket=source.bucket, Key=source.key)["ContentLength"]
            watch(JobProgress(f"fetching {name}", 0, -(-size // 1000), "kB"))
            client.download_file(source.bucket, source.key, str(file), Callback=count)
    except AwsError as error:
        if error.missing:
            return False
        raise
    watch(JobProgress(f"fetching {name}", -(-done // 1000), -(-size // 1000), "kB"))
    return True


def unpack(archive: Path, folder: Path, name: str) -> None:
    """Unpack a .tar.gz that anybody may have made: folders and plain files, into the folder, or nothing at all.

    name: of the archive, for people. Raises BackendError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = list(_safe(tar, name))
            for member in members:
                target = folder / member.name
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None
                with content, target.open("wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise BackendError(f"{name} can't be unpacked ({error}); it may be damaged") from error


def _safe(tar: tarfile.TarFile, name: str) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        path = PurePosixPath(member.name)
        fault = ""
        if path.is_absolute() or ".." in path.parts:
            fault = "a path outside"
        elif member.issym() or member.islnk():
            fault = "a link"
        elif not (member.isdir() or member.isreg()):
            fault = "no file"
        if fault:
            raise BackendError(f"{name} holds {member.name}, which is {fault}; nothing of it was unpacked")
        yield member


def _move(source: Path, folder: Path) -> None:
    """Every file of the source into the folder, the manifest last; what an earlier artifact had is gone before."""
    files = sorted((path for path in source.rglob("*") if path.is_file()), key=lambda path: path.name == _MANIFEST)
    with contextlib.suppress(FileNotFoundError):
        (folder / _MANIFEST).unlink()
    for file in files:
        target = folder / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
