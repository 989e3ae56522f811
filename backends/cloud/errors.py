"""What AWS and the SDK say when they refuse, as one sentence with the next step."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from backends.cloud.advice import Fault, advice, one_line, unanswered
from backends.errors import BackendError

_MISSING: Final = (
    "ResourceNotFound", "ResourceNotFoundException", "NotFoundException", "ObjectNotFoundException", "404", "NotFound",
    "NoSuchResourceException", "NoSuchEntity", "NoSuchBucket", "NoSuchKey", "RepositoryNotFoundException",
    "ImageNotFoundException",
)  # fmt: skip
_TAKEN: Final = (
    "ResourceInUse", "ResourceAlreadyExists", "ResourceAlreadyExistsException", "EntityAlreadyExists",
    "BucketAlreadyOwnedByYou", "RepositoryAlreadyExistsException",
)  # fmt: skip
# SageMaker says most of both by ValidationException and its words.
_MISSING_WORDS: Final = ("could not find", "not found", "does not exist", "cannot find")
_TAKEN_WORDS: Final = ("already exist",)


class Refused(BackendError):
    """AWS's refusal. fault: the code, words and operation that it came with."""

    def __init__(self, sentence: str, fault: Fault) -> None:
        super().__init__(sentence)
        self.fault = fault

    @property
    def missing(self) -> bool:
        """Whether what was asked about isn't there. Of a call that creates something, it may be another thing."""
        return self.fault.code in _MISSING or self._says(_MISSING_WORDS)

    @property
    def taken(self) -> bool:
        """Whether what was to be made is there already."""
        return self.fault.code in _TAKEN or self._says(_TAKEN_WORDS)

    @property
    def denied(self) -> bool:
        """Whether it is a matter of permissions."""
        return self.fault.denied

    def _says(self, words: tuple[str, ...]) -> bool:
        spoken = self.fault.code in ("ValidationException", "ValidationError", "ConflictException", "BadRequest")
        return spoken and any(each in self.fault.said.lower() for each in words)


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turns what boto3 and the SDK raise into BackendError; Refused where AWS itself has answered.

    doing: what was asked, as in "starting the job".
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _refused(doing, error) from error
    except BotoCoreError as error:
        raise BackendError(f"{doing}: {unanswered(error)}") from error
    except Boto3Error as error:
        # A transfer's: the answer of S3 is what it was raised for.
        inner = error.__cause__ or error.__context__ or getattr(error, "last_exception", None)
        if isinstance(inner, ClientError):
            raise _refused(doing, inner) from error
        raise BackendError(f"{doing}: {one_line(error)}; repeat it, it goes on where it was") from error
    except ValueError as error:
        if not _from_sdk(error):
            raise
        raise BackendError(f"{doing}: SageMaker's SDK says: {one_line(error)}") from error


def _refused(doing: str, error: Any) -> Refused:
    fault = Fault.of(error)
    return Refused(f"{doing}: {advice(fault)}", fault)


def _from_sdk(error: Exception) -> bool:
    """Whether the SDK raised it, and not something of ours or a library that it called."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")).split(".")[0] == "sagemaker"
