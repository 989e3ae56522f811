"""The HTTP interface as a Flask application, batch transform's part of it included. Knows no engine.

A transform job asks for its parameters, and then sends one request an object, many at a time, to the same
POST /invocations as every client.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from model.machine import available_cpus
from serve.codec import dump_json
from serve.errors import Reply, RequestError, error_response, unavailable
from serve.invocations import PATH, Invocations
from serve.log import log_request
from serve.model_host import ModelHost
from serve.settings import MB, ServeSettings

# SageMaker refuses more: MaxConcurrentTransforms x MaxPayloadInMB.
MOST_MB_IN_FLIGHT: Final = 100
# A header beside the parameters, of which SageMaker knows no others.
IMAGES_HEADER: Final = "X-Kennel-Max-Images"
# One image is computed while others wait for it, are decoded, or are on their way.
_TRANSFORMS_A_CORE: Final = 8
# Under which the application's `extensions` have its Invocations.
INVOCATIONS: Final = "kennel.invocations"


def create_app(host: ModelHost, settings: ServeSettings, others_ready: Callable[[], bool]) -> Flask:
    """The application that answers from `host`.

    others_ready: whether the server's other processes answer too; /ping speaks for all of them.
    """
    app = Flask("kennel", static_folder=None)
    app.url_map.strict_slashes = False

    @app.get("/ping")
    def ping() -> Response:
        if fault := host.fault():
            raise unavailable(fault, 2)
        if not others_ready():
            raise unavailable("another worker is still loading the model", 2)
        return Response(b'{"status": "ok"}\n', content_type="application/json")

    invocations = app.extensions[INVOCATIONS] = Invocations(host, settings)

    @app.post(PATH)
    def invoke() -> Response:
        return _response(invocations.reply(request.environ))

    @app.get("/execution-parameters")
    def parameters() -> Response:
        body = dump_json(execution_parameters(settings, available_cpus()))
        return Response(body, content_type="application/json", headers={IMAGES_HEADER: str(settings.max_images)})

    _register_error_handlers(app)
    _log_requests(app)
    return app


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


def _response(reply: Reply) -> Response:
    return Response(reply.body, status=reply.code, headers=dict(reply.headers))


def _register_error_handlers(app: Flask) -> None:
    @app.errorhandler(Exception)
    def handle_error(error: Exception) -> Response:
        reply = error_response(error, request.method, request.path)
        g.fault = reply.fault
        return _response(reply)

    @app.errorhandler(HTTPException)
    def handle_http_error(error: HTTPException) -> Response:
        code = error.code or 500
        allow = dict(error.get_headers(request.environ)).get("Allow", "")
        message = {
            404: "no such path; GET /ping says if the server is ready, POST /invocations takes an image",
            405: f"{request.method} isn't allowed here; this path takes {allow}",
        }.get(code, error.description or error.name)
        return handle_error(RequestError(code, message, {"Allow": allow} if allow else None))


def _log_requests(app: Flask) -> None:
    @app.before_request
    def start() -> None:
        g.started = time.monotonic()

    @app.after_request
    def log(response: Response) -> Response:
        # Invocations logs its own.
        if request.endpoint != "invoke":
            log_request(request.method, request.path, response.status_code, g.started, g.get("fault", ""))
        return response
