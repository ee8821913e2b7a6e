"""The demo's questions, and the answers of a larger open model that stand in for a cloud."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from confroute.errors import ModelError

QUESTIONS_FILE = "questions.json"


@lru_cache(maxsize=1)
def recording() -> dict[str, Any]:
    """Return the questions with their recorded answers, and the name of the model that gave them."""
    text = files("langchain_confroute.demo").joinpath(QUESTIONS_FILE).read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def questions() -> list[str]:
    """Return the demo's questions."""
    return [row["question"] for row in recording()["questions"]]


class RecordedChat(BaseChatModel):
    """A chat model that replays recorded answers to the demo's questions, and knows no others."""

    @property
    def model_name(self) -> str:
        """Name of the model that was recorded."""
        return f"{recording()['recorded_with']} (recorded)"

    @property
    def _llm_type(self) -> str:
        return "confroute-recorded"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": "recorded", "ls_model_name": self.model_name, "ls_model_type": "chat"}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        question = str(messages[-1].text)
        for row in recording()["questions"]:
            if row["question"] == question:
                message = AIMessage(
                    row["answer"],
                    usage_metadata={
                        "input_tokens": row["input_tokens"],
                        "output_tokens": row["output_tokens"],
                        "total_tokens": row["input_tokens"] + row["output_tokens"],
                    },
                    response_metadata={"model_name": self.model_name},
                )
                return ChatResult(generations=[ChatGeneration(message=message)])
        raise ModelError(f"no answer to {question!r} is recorded: name a real cloud model with --cloud")
