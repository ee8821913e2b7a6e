"""A Hugging Face pipeline's chat model, as it is sampled; what it generates is tested with real weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from confroute import RouteRequest, Sample
from langchain_confroute.sampling import LangChainSampler

hugging_face, tokenizers, torch, transformers = (
    pytest.importorskip(name, reason="needs the extra 'demo'")
    for name in ("langchain_huggingface", "tokenizers", "torch", "transformers")
)


class Heard:
    """Plays a model in this process: hears how it is asked, and generates the same tokens each time."""

    def __init__(self, tokens: list[int], n_vocabulary: int) -> None:
        self.tokens = tokens
        self.n_vocabulary = n_vocabulary
        self.device = "cpu"
        self.generation_config = SimpleNamespace(eos_token_id=None)
        self.asked: list[dict[str, Any]] = []

    def generate(self, input_ids: Any, **settings: Any) -> Any:
        self.asked.append(settings)
        new = torch.tensor([self.tokens])
        logits = torch.zeros(len(self.tokens), 1, self.n_vocabulary)
        return SimpleNamespace(sequences=torch.cat([input_ids, new], dim=1), logits=logits)


def tokenizer_of(pieces: list[str]) -> Any:
    """Return a tokenizer as sentencepiece makes them: spaces before words, and bytes of rare characters."""
    rare = [f"<0x{byte:02X}>" for byte in range(256)]
    core = tokenizers.Tokenizer(
        tokenizers.models.Unigram([(piece, 0.0) for piece in ["<unk>", *rare, *dict.fromkeys(pieces)]], 0)
    )
    decoders = tokenizers.decoders
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="<unk>",
        chat_template="{% for message in messages %}{{ message.content }}{% endfor %}",
    )


def chat(pieces: list[str] | None = None, **settings: Any) -> Any:
    pieces = pieces or ["▁Paris"]
    tokenizer = tokenizer_of(pieces)
    model = Heard(tokenizer.convert_tokens_to_ids(pieces), len(tokenizer))
    pipeline = SimpleNamespace(model=model, tokenizer=tokenizer)
    llm = hugging_face.HuggingFacePipeline(pipeline=pipeline, model_id="m", pipeline_kwargs=settings)
    return hugging_face.ChatHuggingFace(llm=llm, tokenizer=tokenizer, model_id="m")


def drawn(model: Any, **settings: Any) -> Sample:
    (sample,) = LangChainSampler(model, [HumanMessage("q")]).sample(
        RouteRequest.from_text("q"), 1, logprobs=True, **settings
    )
    return sample


@pytest.mark.parametrize(
    ("pieces", "text", "n_tokens"),
    [
        (["▁Paris", "▁it", "▁is"], "Paris it is", 3),
        (
            ["▁<think>", "▁oh", "▁no", "</think>", "▁Paris", "▁it", "▁is"],
            "<think> oh no</think> Paris it is",
            3,
        ),
        (
            ["▁<think>", "<0xF0>", "<0x9F>", "<0x99>", "<0x82>", "</think>", "<0xC3>", "<0xA9>", "t", "é"],
            "<think>🙂</think>été",
            4,
        ),
        (["<think>", "a", "</think>", "b", "<0xF0>", "<0x9F>"], "<think>a</think>b��", 3),
        (["<think>", "▁hm"], "<think> hm", None),
    ],
)
def test_log_probabilities_leave_the_thought_out(pieces: list[str], text: str, n_tokens: int | None) -> None:
    sample = drawn(chat(pieces), max_tokens=None)
    assert (sample.text, sample.n_tokens) == (text, n_tokens)


@pytest.mark.parametrize(
    ("settings", "bound", "temperature", "sent"),
    [
        ({}, {}, None, None),
        ({"temperature": 0.7}, {}, None, 0.7),
        ({"temperature": 0.7}, {"temperature": 0.2}, None, 0.2),
        ({"temperature": 0.7}, {}, 1.0, 1.0),
    ],
)
def test_no_temperature_is_the_pipelines_own_or_greedy(
    settings: dict[str, Any], bound: dict[str, Any], temperature: float | None, sent: float | None
) -> None:
    model = chat(max_new_tokens=99, **settings)
    drawn(model.bind(pipeline_kwargs=bound), temperature=temperature)
    (asked,) = model.llm.pipeline.model.asked
    assert asked["max_new_tokens"] == 99
    assert (asked["do_sample"], asked.get("temperature")) == (sent is not None, sent)
