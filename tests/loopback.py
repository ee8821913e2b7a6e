"""A real HTTP server on this machine, which notes what it is asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # hundreds of clients may connect at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that time out hang up; that is what they are tested for."""


class Handler(BaseHTTPRequestHandler):
    """Answers one request; what is posted is JSON."""

    def log_message(self, *args: Any) -> None:
        pass

    def read(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def send_headers(self, status: int, kind: str, length: int | None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def send_text(self, status: int, kind: str, text: str) -> None:
        data = text.encode()
        self.send_headers(status, kind, len(data))
        self.wfile.write(data)


class LoopbackServer:
    """Serves on the loopback interface while it is entered.

    Attributes:
        requests: Every request's body, in order.
    """

    def __init__(self, handler: type[Handler]) -> None:
        self.requests: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
