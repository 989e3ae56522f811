"""Calls whose answer may be that there is no such thing, and lists of many pages."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from backends.cloud.errors import told

Answer = TypeVar("Answer")

_CODES: Final = {
    "ResourceNotFound", "ResourceNotFoundException", "ObjectNotFoundException", "ResourceNotFoundFault",
    "NoSuchBucket", "NoSuchKey", "NoSuchUpload", "404",
}  # fmt: skip
# SageMaker's most usual answer: a ValidationException, whose text alone says what is meant.
_WORDS: Final = re.compile(r"could not find|cannot find|not found|does not exist|doesn't exist", re.IGNORECASE)


def unless_gone(doing: str, call: Callable[[], Answer]) -> Answer | None:
    """What the call answers; None when there is no such thing (any more). Raises BackendError."""
    from botocore.exceptions import ClientError

    with told(doing):
        try:
            return call()
        except ClientError as error:
            if is_gone(error.response.get("Error", {})):
                return None
            raise


def is_gone(fault: dict[str, str]) -> bool:
    """Whether an error {"Code", "Message"} says that there is no such thing."""
    code = fault.get("Code", "")
    return code in _CODES or (code == "ValidationException" and bool(_WORDS.search(fault.get("Message", ""))))


def listed(client: Any, operation: str, key: str, **request: Any) -> Iterator[dict[str, Any]]:
    """Every item of a list's pages. operation: as in "list_endpoints"; key: under which a page has its items."""
    with told(f"listing {operation.removeprefix('list_').removeprefix('describe_').replace('_', ' ')}"):
        for page in client.get_paginator(operation).paginate(**request):
            yield from page.get(key, [])
