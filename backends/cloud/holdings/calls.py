"""Lists of many pages."""

from collections.abc import Iterator
from typing import Any

from backends.cloud.errors import Refused, told


def listed(client: Any, operation: str, key: str, **request: Any) -> Iterator[dict[str, Any]]:
    """Every item of a list's pages. operation: as in "list_endpoints"; key: under which a page has its items."""
    with told(f"listing {operation.removeprefix('list_').removeprefix('describe_').replace('_', ' ')}"):
        for page in client.get_paginator(operation).paginate(**request):
            yield from page.get(key, [])


def listed_if_there(client: Any, operation: str, key: str, **request: Any) -> list[dict[str, Any]]:
    """The same; nothing where there is no such bucket, say."""
    try:
        return list(listed(client, operation, key, **request))
    except Refused as refused:
        if refused.missing:
            return []
        raise
