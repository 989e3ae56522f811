"""What the execution role needs of S3 for a job or an endpoint that a request makes, by where it reads and writes."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.cloud.iam.policy import Need

_WRITTEN = ("S3OutputPath", "DestinationS3Uri", "S3FailurePath")
_READ = ("ModelDataUrl",)
# Whose S3Uri is written, and whose is read; a checkpoint's is both.
_WRITERS = ("CheckpointConfig", "S3Output")
_READERS = ("S3DataSource", "S3Input", "CheckpointConfig")


def lent_needs(parameters: Mapping[str, Any]) -> list[Need]:
    """Of the parameters of a Create... call of SageMaker."""
    return list(_places(parameters, ""))


def _places(value: Any, above: str) -> Iterator[Need]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _places(each, above)
    if not isinstance(value, Mapping):
        return
    for name, inner in value.items():
        if isinstance(inner, str) and inner.startswith("s3://"):
            if name in _WRITTEN or (name == "S3Uri" and above in _WRITERS):
                yield _need("PutObject", inner)
            if name in _READ or (name == "S3Uri" and above in _READERS):
                yield _need("GetObject", inner)
        yield from _places(inner, name)


def _need(action: str, url: str) -> Need:
    # A place may be given with its slash or without; what lies there is some object below it.
    return Need(f"s3:{action}", f"arn:aws:s3:::{url.removeprefix('s3://').rstrip('/')}/object")
