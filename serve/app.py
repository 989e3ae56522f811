"""The HTTP interface as a Flask application: GET /ping and POST /invocations. Knows no engine."""

import time
from collections.abc import Callable
from functools import partial

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from serve import batch_transform, fast_path
from serve.batching import Admission
from serve.errors import Reply, RequestError, error_response, unavailable
from serve.invocations import Invocations
from serve.log import log_request
from serve.model_host import ModelHost
from serve.settings import ServeSettings


def create_app(
    host: ModelHost, settings: ServeSettings, decoders: int, others_ready: Callable[[], bool] = lambda: True
) -> Flask:
    """The application that answers from `host`.

    decoders: images decoded at once.
    others_ready: whether the server's other processes answer too; /ping speaks for all of them.
    """
    app = Flask("kennel", static_folder=None)
    app.url_map.strict_slashes = False
    admission = Admission(settings.max_waiting, decoders)

    @app.get("/ping")
    def ping() -> Response:
        if fault := host.fault():
            raise unavailable(fault, 2)
        if not others_ready():
            raise unavailable("another worker is still loading the model", 2)
        return Response(b'{"status": "ok"}\n', content_type="application/json")

    invocations = Invocations(host, settings, admission, decoders)
    app.extensions[fast_path.NAME] = fast_path.FastPath(
        invocations, admission, partial(batch_transform.response_status, settings)
    )

    @app.post(fast_path.PATH)
    def invoke() -> Response:
        return _response(invocations.answer(request.environ))

    batch_transform.register(app, settings)
    _register_error_handlers(app)
    _log_requests(app)
    return app


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
        log_request(request.method, request.path, response.status_code, g.started, g.get("fault", ""))
        return response
