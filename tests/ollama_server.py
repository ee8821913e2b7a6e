"""A real HTTP server on this machine that plays Ollama's ``/api/chat``, with a model that thinks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.loopback import Handler, LoopbackServer

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


class OllamaServer(LoopbackServer):
    """Serves ``/api/chat``, streamed or not.

    Args:
        answer: What it answers.
    """

    def __init__(self, answer: Answer) -> None:
        outer = self

        class Chat(Handler):
            def do_POST(self) -> None:  # noqa: N802 - http.server calls it so
                body = self.read()
                with outer.lock:
                    outer.requests.append(body)
                told = answer(body)
                if isinstance(told, int):
                    self._send(told, {"error": "scripted"})
                    return
                message, ended = told
                counts = {"prompt_eval_count": 7, "eval_count": 3}
                reply = {"model": body["model"], "created_at": "2026-01-01T00:00:00Z", "done": True}
                reply |= {"done_reason": ended, "message": {"role": "assistant", **message}, **counts}
                self._send(200, reply)

            def _send(self, status: int, data: dict[str, Any]) -> None:
                self.send_text(status, "application/x-ndjson", json.dumps(data) + "\n")

        super().__init__(Chat)
