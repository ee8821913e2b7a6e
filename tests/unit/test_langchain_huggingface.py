"""A Hugging Face pipeline's chat model, as it is sampled; what it generates is tested with real weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_confroute.sampling import LangChainSampler

hugging_face = pytest.importorskip("langchain_huggingface", reason="needs the extra 'demo'")


def chat(**settings: Any) -> Any:
    llm = hugging_face.HuggingFacePipeline(pipeline=SimpleNamespace(), model_id="m", pipeline_kwargs=settings)
    return hugging_face.ChatHuggingFace(llm=llm, tokenizer=SimpleNamespace(), model_id="m")


@pytest.mark.parametrize(
    ("settings", "bound", "temperature", "sent"),
    [
        ({}, {}, None, 0.0),
        ({"temperature": 0.7}, {}, None, 0.7),
        ({"temperature": 0.7}, {"temperature": 0.2}, None, 0.2),
        ({"temperature": 0.7}, {}, 1.0, 1.0),
    ],
)
def test_no_temperature_is_the_pipelines_own_or_greedy(
    settings: dict[str, Any], bound: dict[str, Any], temperature: float | None, sent: float
) -> None:
    model = chat(max_new_tokens=99, **settings).bind(pipeline_kwargs=bound)
    drawing, way = LangChainSampler(model, [HumanMessage("q")])._draw(1, temperature=temperature)
    copy: Any = way.ready(drawing.ask)[0]
    assert (copy.temperature, copy.max_tokens) == (sent, 99)
