"""transform: classifies every image of a folder by a server, as SageMaker's batch transform does."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.context import Context
from cli.options import ArtifactOption

_SHOWN = 10


def transform(
    context: Context,
    inputs: Annotated[list[str], typer.Argument(help="folders (with all below), globs in quotes, images; or s3://...")],
    out: Annotated[Path, typer.Option("--out", help="folder for predictions.jsonl, predictions.csv and summary.json")],
    url: Annotated[str | None, typer.Option("--url", help="of a server that is up; else one is started")] = None,
    artifact: ArtifactOption = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="of all classes, not the best five")] = False,
    concurrent: Annotated[
        int | None, typer.Option("--concurrent", min=1, max=1024, help="images at once; else what the server says")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="replace what --out holds; else it goes on")] = False,
) -> None:  # fmt: skip
    """Classify any number of images by a server: results in the order of the files, going on where it was ended."""
    from backends import client
    from backends.errors import BackendError
    from backends.inputs import is_url
    from backends.runs import find_artifact
    from backends.transform.inputs import ImageFiles, LocalImages
    from backends.transform.job import OwnServer, RunningServer, TransformRequest, batching
    from backends.transform.job import transform as run
    from backends.transform.summary import read_artifact

    if url is not None:
        server: RunningServer | OwnServer = RunningServer(client.base_url(url))
        # Only what is known of the classes: the server has its own.
        known = None if artifact is None else read_artifact(find_artifact(context.runs, artifact))
    else:
        folder = find_artifact(context.runs, artifact)
        server = OwnServer(context.backend(), folder, context.runs.resolve())
        known = read_artifact(folder)
    files: ImageFiles
    if not any(map(is_url, inputs)):
        files = LocalImages(inputs)
    elif job := batching(server):
        files = job.listing(inputs)
    else:
        raise BackendError("images in S3 are transformed by a job there; --on sagemaker, or fetch them")
    summary, survey = run(TransformRequest(files, out, server, known, probabilities, concurrent, restart))
    _print_summary(summary, survey.left_out, out)
    if summary["failed"]:
        raise typer.Exit(1)


def _print_summary(summary: dict[str, Any], left_out: dict[str, int], out: Path) -> None:
    from backends.console import say

    if left_out:
        kinds = ", ".join(f"{suffix} {count}" for suffix, count in sorted(left_out.items())[:_SHOWN])
        say(f"left out {sum(left_out.values())} files that are no images by their names ({kinds})")
    for failure in summary["failures"][:_SHOWN]:
        say(f"failed: {failure['file']}: {failure['error']}")
    if (more := summary["failed"] - _SHOWN) > 0:
        say(f"... and {more} more; predictions.csv has all of them")
    speed = summary["images_per_second"]
    before = f", {summary['before']} of them before" if summary["before"] else ""
    took = f"; {summary['seconds']:.1f} s, {speed:.1f} images/s" if speed is not None else ""
    say(f"{summary['images']} images: {summary['predicted']} predicted, {summary['failed']} failed{before}{took}")
    if labelled := summary["labelled"]:
        top = f", top-5 {labelled['top5_accuracy']:.4f}" if "top5_accuracy" in labelled else ""
        say(f"accuracy {labelled['accuracy']:.4f}{top} on the {labelled['n']} images whose folder is a class")
    for name in ("predictions.jsonl", "predictions.csv", "summary.json"):
        say(str(out / name))
