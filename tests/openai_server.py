"""A real HTTP server on this machine that speaks the OpenAI protocol and misbehaves on command."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

from tests.loopback import Handler, LoopbackServer

Answer = Callable[[dict[str, Any], int], "str | dict[str, Any]"]
"""The text of choice i to a request body, or a whole choice: a message, a finish_reason, logprobs."""

STATUSES = {str(status): status for status in (400, 401, 403, 422, 429, 500)}


class OpenAIServer(LoopbackServer):
    """Serves ``/v1/chat/completions``, ``/v1/responses`` and ``/v1/models``.

    Args:
        answer: The text of an answer, or a function of the request's body and the choice's number.
        model: The name of the model it serves.

    Attributes:
        fault: None, a status (``"500"``), ``"timeout"``, ``"malformed"``, ``"empty"`` or ``"cut"``; or a
            function of the request's body that returns one of them.
        fault_message: What a scripted status says; by default its number.
        hang_seconds: How long a time-out takes.
        honours_n: Whether ``n`` is heeded.
        logprob: The log-probability of each token, where it is asked for; None for a server that tells none.
    """

    def __init__(self, answer: str | Answer = "hello", *, model: str = "served") -> None:
        self.answer: Answer = answer if callable(answer) else lambda body, i: answer
        self.model = model
        self.fault: str | Callable[[dict[str, Any]], str | None] | None = None
        self.fault_message: str | None = None
        self.honours_n = True
        self.logprob: float | None = -0.5
        self.hang_seconds = 3.0
        super().__init__(self._handler())

    @property
    def url(self) -> str:
        return f"{super().url}/v1"

    def _handler(self) -> type[Handler]:
        outer = self

        class OpenAI(Handler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:  # noqa: N802 - http.server calls it so
                self._send(200, {"object": "list", "data": [{"id": outer.model, "object": "model"}]})

            def do_POST(self) -> None:  # noqa: N802 - http.server calls it so
                body = self.read()
                with outer.lock:
                    outer.requests.append(body)
                fault = outer.fault(body) if callable(outer.fault) else outer.fault
                if fault in STATUSES:
                    told = outer.fault_message or f"scripted {fault}"
                    self._send(STATUSES[fault], {"error": {"message": told, "type": "test"}})
                elif fault == "timeout":
                    time.sleep(outer.hang_seconds)
                    self.close_connection = True
                elif fault == "malformed":
                    self.send_text(200, "application/json", "this is no JSON {")
                elif self.path.endswith("/responses"):
                    self._send(200, _response(outer.model, _text(outer.answer(body, 0))))
                elif body.get("stream"):
                    self._stream(body, fault)
                elif fault == "cut":
                    self.send_headers(200, "application/json", 1_000)
                    self.wfile.write(b'{"id": "x", "choices": [')
                    self.close_connection = True
                else:
                    self._send(200, self._completion(body, fault))

            def _completion(self, body: dict[str, Any], fault: str | None) -> dict[str, Any]:
                n = (body.get("n") or 1) if outer.honours_n else 1
                choices = []
                for i in range(n):
                    answer = "" if fault == "empty" else outer.answer(body, i)
                    choice: dict[str, Any] = {"index": i, "finish_reason": "stop"}
                    choice["message"] = {"role": "assistant", "content": answer}
                    if isinstance(answer, dict):
                        choice |= answer
                        choice["message"] = {"role": "assistant", "content": "", **answer["message"]}
                    elif body.get("logprobs") and outer.logprob is not None:
                        words = re.findall(r"\s*\S+", answer)
                        tokens = [{"token": word, "logprob": outer.logprob} for word in words]
                        choice["logprobs"] = {"content": tokens}
                    choices.append(choice)
                counts = (7, sum(len(c["message"]["content"].split()) for c in choices))
                return {
                    "id": "x",
                    "object": "chat.completion",
                    "created": 0,
                    "model": outer.model,
                    "choices": choices,
                    "usage": _usage(*counts),
                }

            def _stream(self, body: dict[str, Any], fault: str | None) -> None:
                self.send_headers(200, "text/event-stream", None)
                words = [] if fault == "empty" else _text(outer.answer(body, 0)).split(" ")
                deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
                deltas += [{"content": word if i == 0 else f" {word}"} for i, word in enumerate(words)]
                for i, delta in enumerate(deltas):
                    if fault == "cut" and i == 2:
                        self.close_connection = True
                        self.connection.close()
                        return
                    self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
                self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
                if (body.get("stream_options") or {}).get("include_usage"):
                    self._event({"choices": [], "usage": _usage(7, len(words))})
                self._chunk(b"data: [DONE]\n\n")
                self._chunk(b"")

            def _event(self, data: dict[str, Any]) -> None:
                event = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": outer.model}
                self._chunk(f"data: {json.dumps(event | data)}\n\n".encode())

            def _chunk(self, data: bytes) -> None:
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                self.wfile.flush()

            def _send(self, status: int, data: dict[str, Any]) -> None:
                self.send_text(status, "application/json", json.dumps(data))

        return OpenAI


def _text(answer: str | dict[str, Any]) -> str:
    return answer if isinstance(answer, str) else answer["message"].get("content") or ""


def _response(model: str, text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {"type": "message", "id": "msg", "role": "assistant", "status": "completed", "content": [part]}
    counts = {"input_tokens": 7, "output_tokens": len(text.split()), "total_tokens": 7 + len(text.split())}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": "x",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "model": model,
        "output": [message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": counts | details,
    }


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
