"""What the account holds besides SageMaker: moto's services, on a port of their own for the simulator itself."""

import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final, Self

from tests.cloud.simulator.store import REGION

_POLL_S: Final = 0.01


class Server:
    """A WSGI application on a free port of this machine, from the start to `close`."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        from moto.moto_server.werkzeug_app import MotoRequestHandler
        from werkzeug.serving import make_server

        class _Quiet(MotoRequestHandler):  # type: ignore[misc, unused-ignore]
            def log(self, type: str, message: str, *args: Any) -> None:
                """No line a request."""

        self._server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
        self._server.daemon_threads = True  # type: ignore[attr-defined, unused-ignore]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        given = {"poll_interval": _POLL_S}
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs=given, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Moto:
    """Moto's services and clients of them, as a context manager. One is enough for many accounts, one after another.

    A process has one state of moto, whichever object it is asked by.
    """

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._dispatcher = DomainDispatcherApplication(create_backend_app)
        # Of a host it makes the same each time, and lists moto's folder for it.
        self._dispatcher.get_backend_for_host = cache(  # type: ignore[method-assign]
            self._dispatcher.get_backend_for_host
        )
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._server = Server(self._respond)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.close()
        for client in self._clients.values():
            client.close()

    def reset(self) -> None:
        """Nothing is in the account any more."""
        from moto.moto_api._internal.models import moto_api_backend

        moto_api_backend.reset()

    def application(self, environ: dict[str, Any]) -> Callable[..., Iterable[bytes]]:
        """The service that a request is for."""
        found: Callable[..., Iterable[bytes]] = self._dispatcher.get_application(environ)
        return found

    def client(self, service: str) -> Any:
        """A boto3 client, whose requests no account hears of."""
        import boto3

        with self._lock:
            if service not in self._clients:
                session = boto3.Session("simulator", "none", region_name=REGION)
                client = session.client(service, endpoint_url=self._server.url)
                # Made on the first look, by two threads at once as two classes of one name: neither catches the other.
                _ = client.exceptions
                self._clients[service] = client
            return self._clients[service]

    def _respond(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        return self.application(environ)(environ, start)
