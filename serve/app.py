"""The HTTP interface as a Flask application: GET /ping and POST /invocations. Knows no engine."""

import logging
import time
from collections.abc import Callable

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from model.errors import ImageError, ImageTooLargeError
from serve import batch_transform
from serve.admission import Admission
from serve.errors import RequestError, error_body, unavailable
from serve.invocations import Invocations
from serve.model_host import ModelHost
from serve.settings import Settings

_log = logging.getLogger(__name__)

# In the log; the caller is told of every image that is at fault.
_LONGEST_FAULT = 1000


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

    @app.post("/invocations")
    def invocations() -> Response:
        answer = serving.answer(request.environ)
        return Response(answer.body, content_type=answer.content_type, headers=answer.headers)

    batch_transform.register(app, settings)
    _tell_errors_as_json(app)
    _log_requests(app)
    return app


def _tell_errors_as_json(app: Flask) -> None:
    @app.errorhandler(RequestError)
    def tell(error: RequestError) -> Response:
        g.fault = error.message
        headers = {"Content-Type": "application/json", **error.headers}
        body = error_body(error.code, error.message, error.images)
        return Response(body, status=error.code, headers=headers)

    @app.errorhandler(ImageError)
    def tell_image(error: ImageError) -> Response:
        return tell(RequestError(413 if isinstance(error, ImageTooLargeError) else 400, str(error)))

    @app.errorhandler(HTTPException)
    def tell_http(error: HTTPException) -> Response:
        code = error.code or 500
        allow = dict(error.get_headers(request.environ)).get("Allow", "")
        message = {
            404: "no such path; GET /ping tells if the server is ready, POST /invocations takes an image",
            405: f"{request.method} isn't allowed here; this path takes {allow}",
        }.get(code, error.description or error.name)
        return tell(RequestError(code, message, {"Allow": allow} if allow else None))

    @app.errorhandler(Exception)
    def tell_unexpected(error: Exception) -> Response:
        _log.error("%s %r failed", request.method, request.path, exc_info=error)
        return tell(RequestError(500, "the server failed on this request; its log says why"))


def _log_requests(app: Flask) -> None:
    @app.before_request
    def start() -> None:
        g.started = time.monotonic()

    @app.after_request
    def log(response: Response) -> Response:
        # A probe asks every few seconds: its 503 while the model loads is no news.
        routine = response.status_code < 400 or request.path == "/ping"
        milliseconds = 1000 * (time.monotonic() - g.started)
        level = logging.DEBUG if routine else logging.INFO
        if _log.isEnabledFor(level):
            line = f"{request.method} {request.path[:200]!r} {response.status_code} {milliseconds:.1f} ms"
            _log.log(level, "%s", f"{line}: {g.fault[:_LONGEST_FAULT]}" if "fault" in g else line)
        return response
