"""A real HTTP server on this machine that plays Ollama's ``/api/chat``, with a model that thinks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Answer = Callable[[dict[str, Any]], "tuple[dict[str, Any], str] | int"]
"""From a request body to a message and why it ended, or to a status."""


def thinking(thought: int, answer: str) -> Answer:
    """Return a model that thinks for so many tokens before it answers, unless it is told not to."""

    def reply(body: dict[str, Any]) -> tuple[dict[str, Any], str]:
        if body.get("think") is False:
            return {"content": answer}, "stop"
        if (body.get("options") or {}).get("num_predict", 1_000_000) <= thought:
            return {"content": "", "thinking": "let me see"}, "length"
        return {"content": answer, "thinking": "let me see"}, "stop"

    return reply


class OllamaServer:
    """Serves ``/api/chat``, streamed or not, on the loopback interface.

    Args:
        answer: What it answers.

    Attributes:
        requests: Every request's body, in order.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer._lock:
                    outer.requests.append(body)
                told = outer.answer(body)
                if isinstance(told, int):
                    self._send(told, {"error": "scripted"})
                    return
                message, ended = told
                counts = {"prompt_eval_count": 7, "eval_count": 3}
                reply = {"model": body["model"], "created_at": "2026-01-01T00:00:00Z", "done": True}
                reply |= {"done_reason": ended, "message": {"role": "assistant", **message}, **counts}
                self._send(200, reply)

            def _send(self, status: int, data: dict[str, Any]) -> None:
                line = json.dumps(data).encode() + b"\n"
                self.send_response(status)
                self.send_header("Content-Type", "application/x-ndjson")
                self.send_header("Content-Length", str(len(line)))
                self.end_headers()
                self.wfile.write(line)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> OllamaServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
