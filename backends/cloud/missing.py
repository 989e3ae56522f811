"""Asking for something that may not be there. SageMaker has no error code of its own for that, only words."""

from collections.abc import Callable
from typing import Any

from backends.cloud.errors import told

_CODES = ("ValidationException", "ResourceNotFound", "ResourceNotFoundException", "404", "NoSuchKey", "NotFound")
_WORDS = ("could not find", "does not exist", "not found", "cannot find")


def found(doing: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """The answer of a Describe call, None when there is no such thing. doing: as for `told`. Raises BackendError."""
    from botocore.exceptions import ClientError

    with told(doing):
        try:
            return ask()
        except ClientError as error:
            if is_missing(error.response.get("Error", {})):
                return None
            raise


def is_missing(fault: dict[str, Any]) -> bool:
    """Whether an answer's {"Code", "Message"} say that what was asked for isn't there."""
    text = str(fault.get("Message", "")).lower()
    code = fault.get("Code")
    return code in _CODES and (code != "ValidationException" or any(words in text for words in _WORDS))
