"""The HTTP interface as a Flask application: GET /ping and POST /invocations. Knows no engine."""

import time
from collections.abc import Callable
from functools import partial

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from serve import batch_transform, direct
from serve.batching import Admission
from serve.errors import RequestError, unavailable
from serve.invocations import Invocations
from serve.model_host import ModelHost
from serve.reply import log_request, tell
from serve.settings import Settings


def create_app(
    host: ModelHost, settings: Settings, decoders: int, others_ready: Callable[[], bool] = lambda: True
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
        health = host.health()
        if not health.ok:
            raise unavailable(health.reason, 2)
        if not others_ready():
            raise unavailable("another worker is still loading the model", 2)
        return Response(b'{"status": "ok"}\n', content_type="application/json")

    serving = Invocations(host, settings, admission, decoders)
    app.extensions[direct.NAME] = direct.Direct(serving, admission, partial(batch_transform.status_sent, settings))

    @app.post(direct.PATH)
    def invocations() -> Response:
        answer = serving.answer(request.environ)
        return Response(answer.body, content_type=answer.content_type, headers=answer.headers)

    batch_transform.register(app, settings)
    _tell_errors_as_json(app)
    _log_requests(app)
    return app


def _tell_errors_as_json(app: Flask) -> None:
    @app.errorhandler(Exception)
    def tell_as_json(error: Exception) -> Response:
        reply = tell(error, request.method, request.path)
        g.fault = reply.fault
        return Response(reply.body, status=reply.code, headers=dict(reply.headers))

    @app.errorhandler(HTTPException)
    def tell_http(error: HTTPException) -> Response:
        code = error.code or 500
        allow = dict(error.get_headers(request.environ)).get("Allow", "")
        message = {
            404: "no such path; GET /ping tells if the server is ready, POST /invocations takes an image",
            405: f"{request.method} isn't allowed here; this path takes {allow}",
        }.get(code, error.description or error.name)
        return tell_as_json(RequestError(code, message, {"Allow": allow} if allow else None))


def _log_requests(app: Flask) -> None:
    @app.before_request
    def start() -> None:
        g.started = time.monotonic()

    @app.after_request
    def log(response: Response) -> Response:
        log_request(request.method, request.path, response.status_code, g.started, g.get("fault", ""))
        return response
