"""What Kennel calls things in the account: names, tags and S3 keys, each derived from the run folder alone.

Names begin with `kennel-`, by which policies can tell them from others'; a digest of the folder's path and birth keeps
two people's runs of one name apart. A step done twice meets its own name, not a second resource.
"""

import hashlib
import os
from dataclasses import dataclass
from typing import Final

from backends.runs import Run
from backends.settings.sections import Settings

STEM: Final = "kennel"
RUN_TAG: Final = "kennel:run"
KIND_TAG: Final = "kennel:kind"
# The service model's limits: of jobs, endpoints and models; of tuning jobs.
MAX_NAME_LENGTH: Final = 63
MAX_TUNING_NAME_LENGTH: Final = 32
_DIGEST: Final = 6


def resource_name(run: Run, longest: int = MAX_NAME_LENGTH) -> str:
    """The run's name in the account, `kennel-NAME-DIGEST`, of `longest` characters at most.

    Of one that was attached to what is there, that one's name.
    """
    birth = os.fsencode(run.path) + run.record["created_at"].encode()
    digest = hashlib.sha256(birth).hexdigest()[:_DIGEST]
    if run.record.get("attached") and (attached := run.record.get("sagemaker", {}).get("name")):
        return (
            str(attached) if len(attached) <= longest else f"{attached[: longest - _DIGEST - 1].rstrip('-')}-{digest}"
        )
    room = longest - len(STEM) - len(digest) - 2
    return f"{STEM}-{run.name[:room].rstrip('-')}-{digest}"


def tags(run: Run, settings: Settings) -> list[dict[str, str]]:
    """[{"Key", "Value"}]: Kennel's two, by which status and delete find what a run has made, and the person's own."""
    own = {RUN_TAG: resource_name(run), KIND_TAG: run.kind}
    return [{"Key": key, "Value": value} for key, value in {**dict(settings.sagemaker.tags), **own}.items()]


@dataclass(frozen=True)
class S3Location:
    """A prefix (or an object) in S3."""

    bucket: str
    key: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, inside: str) -> "S3Location":
        return S3Location(self.bucket, f"{self.key.rstrip('/')}/{inside}")

    @classmethod
    def parse(cls, url: str) -> "S3Location":
        """Of s3://BUCKET/KEY."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        return cls(bucket, key)
