"""What a server is asked before a transform: whether it is ready (/ping), and how it is to be used
(/execution-parameters).
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from backends.errors import BackendError
from backends.http import Connection, NoResponse

# SageMaker's defaults where a container says nothing.
DEFAULT_CONCURRENT: Final = 1
DEFAULT_PAYLOAD_MB: Final = 6
# 0 means no limit.
_UNLIMITED_MB: Final = 1024
# Kennel's own header; SageMaker has none for it.
_IMAGES: Final = "x-kennel-max-images"
# As many as the engine predicts at once.
_MOST_TOGETHER: Final = 4
# A server that loads its model answers that it isn't ready; one that isn't there doesn't answer.
_SILENT_LIMIT_S: Final = 10.0
_LOADING_LIMIT_S: Final = 120.0


@dataclass(frozen=True)
class Parameters:
    """A server's limits: images at once, the largest body in bytes, and images in a request."""

    concurrent: int = DEFAULT_CONCURRENT
    most_bytes: int = DEFAULT_PAYLOAD_MB * 1024 * 1024
    together: int = 1


def wait_ready(url: str, goes_on: Callable[[], bool]) -> bool:
    """Wait until /ping answers 200; False when `goes_on` returns False before. Raises BackendError after too long."""
    connection, start = Connection(url), time.monotonic()
    answered, problem = start, "nobody answers"
    while goes_on():
        now = time.monotonic()
        try:
            status = connection.request("GET", "/ping").status
        except NoResponse as error:
            problem = f"nobody answers: {error}"
        else:
            if status == 200:
                connection.close()
                return True
            answered, problem = now, f"it answers {status}"
        if now - answered > _SILENT_LIMIT_S or now - start > _LOADING_LIMIT_S:
            raise BackendError(f"{url}/ping gives no 200 ({problem}); deploy.py status shows what is up")
        time.sleep(0.1)
    return False


def ask_parameters(url: str) -> Parameters:
    """What /execution-parameters says; SageMaker's defaults where there is no such path. Raises BackendError."""
    connection = Connection(url)
    images = ""
    try:
        answer = connection.request("GET", "/execution-parameters")
        images = answer.headers.get(_IMAGES, "")
        values = json.loads(answer.body) if answer.status == 200 else {}
    except ValueError:
        values = {}
    except NoResponse as error:
        raise BackendError(f"{url} gave no answer ({error}); deploy.py status shows what is up") from error
    finally:
        connection.close()
    values = values if isinstance(values, dict) else {}
    concurrent = _count(values.get("MaxConcurrentTransforms"), DEFAULT_CONCURRENT)
    payload = _count(values.get("MaxPayloadInMB"), DEFAULT_PAYLOAD_MB)
    together = min(int(images), _MOST_TOGETHER) if images.isdecimal() and len(images) < 9 else 1
    return Parameters(concurrent or DEFAULT_CONCURRENT, (payload or _UNLIMITED_MB) * 1024 * 1024, max(1, together))


def _count(value: object, default: int) -> int:
    return value if type(value) is int and value >= 0 else default
