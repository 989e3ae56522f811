"""Batch transform: the parameters that SageMaker may ask for, and the status of a response to a bad image.

A transform job sends one request an object, many at a time, to the same POST /invocations as every client.
"""

from typing import Any, Final

from flask import Flask, Response, request

from model.machine import available_cpus
from serve.codec import dump_json
from serve.settings import MB, ServeSettings

# SageMaker refuses more: MaxConcurrentTransforms x MaxPayloadInMB.
MOST_MB_IN_FLIGHT: Final = 100
# A header beside the parameters, of which SageMaker knows no others.
IMAGES_HEADER: Final = "X-Kennel-Max-Images"
# One image is computed while others wait for it, are decoded, or are on their way.
_TRANSFORMS_A_CORE: Final = 8
# The image's own fault, and not the server's or the caller's.
_IMAGE_FAULTS: Final = frozenset((400, 413, 415))


def execution_parameters(settings: ServeSettings, cores: int) -> dict[str, Any]:
    """The best parameters for a transform job, under SageMaker's names.

    The payload counts before the number of requests: fewer requests are only slower, but a larger image would fail.
    """
    payload = min(settings.max_payload_bytes // MB, MOST_MB_IN_FLIGHT)
    requests = settings.max_concurrent_transforms or min(_TRANSFORMS_A_CORE * cores, settings.max_waiting)
    return {
        "MaxConcurrentTransforms": max(1, min(requests, MOST_MB_IN_FLIGHT // payload)),
        "BatchStrategy": settings.batch_strategy,
        "MaxPayloadInMB": payload,
    }


def response_status(settings: ServeSettings, status: int) -> int:
    """The status to send at /invocations for a request whose own is `status`: 200 for bad images, too, in a job that
    is to go on after them.
    """
    goes_on = settings.batch and settings.batch_errors == "answer"
    return 200 if goes_on and status in _IMAGE_FAULTS else status


def register(app: Flask, settings: ServeSettings) -> None:
    """Add GET /execution-parameters, and the answers of a job that is to go on after bad images.

    Call it before the requests' log is registered: the log then gets the status from before this change.
    """

    @app.get("/execution-parameters")
    def parameters() -> Response:
        body = dump_json(execution_parameters(settings, available_cpus()))
        return Response(body, content_type="application/json", headers={IMAGES_HEADER: str(settings.max_images)})

    @app.after_request
    def go_on(response: Response) -> Response:
        if request.path.rstrip("/") == "/invocations":
            response.status_code = response_status(settings, response.status_code)
        return response
