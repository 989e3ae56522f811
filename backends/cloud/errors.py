"""What AWS says when it refuses, as one sentence with the next step."""

from collections.abc import Iterator
from contextlib import contextmanager

from backends.errors import BackendError


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turns what boto3 and the SDK raise into BackendError. doing: what was asked, as in "starting the job"."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        fault = error.response.get("Error", {})
        raise BackendError(f"{doing}: {fault.get('Code', 'an error')}: {fault.get('Message', error)}") from error
    except BotoCoreError as error:
        raise BackendError(f"{doing}: {error}") from error
