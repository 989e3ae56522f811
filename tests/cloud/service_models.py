"""AWS's service models, which botocore reads anew for each session: a fifth of a second for each account of a test."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True, scope="session")
def read_once() -> Iterator[None]:
    """Let all of botocore's sessions in this process share what was read of its files."""
    import botocore.session

    real, read = botocore.session.create_loader, dict[str | None, dict[Any, Any]]()

    def create_loader(search_path: str | None = None) -> Any:
        loader = real(search_path)
        # Not the loader itself: boto3 adds a folder to each one's.
        loader._cache = read.setdefault(search_path, {})
        return loader

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", create_loader)
        yield
