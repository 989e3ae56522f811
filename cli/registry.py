"""registry: artifacts as versions in SageMaker's model registry; approved, rejected, deployed."""

from pathlib import Path
from typing import Annotated

import typer

from cli.context import Context, configured
from cli.options import ArtifactOption, Name

app = typer.Typer(no_args_is_help=True, help="Artifacts as versions in SageMaker's model registry.")

Number = Annotated[int, typer.Argument(min=1, metavar="VERSION", help="its number; registry list has them")]
Why = Annotated[str, typer.Option("--why", help="the reason, for others")]


def add(context: Context, artifact: ArtifactOption = None) -> None:
    """Register an artifact as a version of the group, with its figures and its model card. It waits for approval."""
    import tempfile

    from backends.console import say
    from backends.runs import find_artifact
    from backends.sagemaker.endpoints import registry

    folder = find_artifact(context.runs, artifact)
    with tempfile.TemporaryDirectory() as scratch:
        number, new = registry.register(context.account, folder, _run_of(folder), Path(scratch))
    group = context.settings.registry.group
    say(f"version {number} of {group}" + ("" if new else " has this artifact already"))
    say(f"approve it: python deploy.py registry approve {number}")


def show(context: Context) -> None:
    """The group's versions, the newest first."""
    from backends.console import print_table, say
    from backends.sagemaker.endpoints.registry import list_versions

    packages = list_versions(context.account)
    if not packages:
        say(f"no versions in the group {context.settings.registry.group}; registry add makes the first")
        return
    columns = ("version", "status", "accuracy", "run", "artifact", "made", "in S3")
    print_table(columns, [
        (
            str(package.number), package.approval, package.accuracy, package.metadata.get("run", ""),
            package.metadata.get("artifact", ""), package.created, package.url,
        )
        for package in packages
    ])  # fmt: skip


def approve(context: Context, version: Number, why: Why = "") -> None:
    """Say that a version may be deployed."""
    from backends.sagemaker.endpoints.registry import APPROVED

    _judge(context, version, APPROVED, why)


def reject(context: Context, version: Number, why: Why = "") -> None:
    """Say that a version may not be deployed."""
    from backends.sagemaker.endpoints.registry import REJECTED

    _judge(context, version, REJECTED, why)


def deploy(
    context: Context,
    version: Annotated[
        int | None, typer.Argument(min=1, metavar="VERSION", help="else the newest that is approved")
    ] = None,
    name: Name = None,
    update: Annotated[
        str | None, typer.Option("--update", metavar="NAME", help="let this deployment serve it instead")
    ] = None,
) -> None:
    """Deploy an approved version on an endpoint, as the settings have it."""
    from backends.cancel import CancelOnSignals
    from backends.console import say
    from backends.jobs import deploy_source
    from backends.sagemaker.backend import CloudBackend
    from backends.sagemaker.endpoints.registry import approved_arn, find_version
    from cli import endpoints

    package = find_version(context.account, version)
    arn = approved_arn(package)
    if update is not None:
        endpoints.update(context, update, arn)
        return
    # On SageMaker, whatever `on` says: there is no registry elsewhere.
    backend = CloudBackend(context.settings, context.consent)
    with CancelOnSignals() as cancel:
        run = deploy_source(backend, context.runs.resolve(), arn, name, cancel)
    say(f"{run.name} serves version {package.number}; end it with: python deploy.py delete {run.name}")
    say(str(run.record["url"]))


def _judge(context: Context, number: int, status: str, why: str) -> None:
    from backends.console import say
    from backends.sagemaker.endpoints.registry import find_version, set_approval

    version = find_version(context.account, number)
    set_approval(context.account, version, status, why)
    say(f"version {number} of {context.settings.registry.group}: {status}")
    if status == "Approved":
        say(f"deploy it: python deploy.py registry deploy {number}")


def _run_of(artifact: Path) -> str:
    """The name of the run that an artifact's folder is of; empty when it isn't one's."""
    run = artifact.parents[1] if len(artifact.parents) > 1 else artifact
    return run.name if (run / "run.json").is_file() else ""


for _name, _command in (("add", add), ("list", show), ("approve", approve), ("reject", reject), ("deploy", deploy)):
    app.command(_name)(configured(_command))
