from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from confroute.decision import RouteRequest, Sample, Usage
from confroute.errors import ConfigurationError, MissingExtraError, ModelError
from confroute.testing import ScriptedSampler
from confroute.uncertainty import EmbeddingEquivalence, LLMEquivalence, NLIEquivalence, cluster
from confroute.uncertainty.llm import judges_bill
from confroute.uncertainty.nli import entailment_index, fit_pair


class LetterEncoder:
    """Embeds a text as its letter counts."""

    name = "letters"

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.encoded += texts
        return np.array([[text.count(c) for c in "abcdefgh"] for text in texts], dtype=np.float32)


def test_embeddings_are_taken_once_a_text() -> None:
    encoder = LetterEncoder()
    equivalence = EmbeddingEquivalence(encoder)
    scores = equivalence.score([("q", "ab", "aabb"), ("q", "ab", "c"), ("q", "", "ab")])
    assert scores.tolist() == pytest.approx([1.0, 0.0, 0.0])
    assert sorted(encoder.encoded) == ["", "aabb", "ab", "c"]
    assert equivalence.score([]).shape == (0,)
    assert cluster(["ab", "ba", "c"], equivalence=equivalence) == [0, 0, 1]


@pytest.fixture(scope="session")
def nli_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real classifier with its labels in an unusual order."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("nli")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "paris", "rome", "capital", "is", "it", "?"]
    (folder / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label={0: "neutral", 1: "ENTAILMENT", 2: "contradiction"},
        label2id={"neutral": 0, "ENTAILMENT": 1, "contradiction": 2},
    )
    model = transformers.BertForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(nli_folder: Path) -> Any:
    return NLIEquivalence(nli_folder)._loaded[0]


def test_nli_scores_the_question_with_both_answers(nli_folder: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    pairs = [
        ("capital ?", "paris", "it is paris"),
        ("capital ?", "rome", "paris"),
        ("", "is it", "rome rome"),
    ]
    found = NLIEquivalence(nli_folder, batch_size=2).score(pairs)
    tokenizer = AutoTokenizer.from_pretrained(nli_folder)
    model = AutoModelForSequenceClassification.from_pretrained(nli_folder).eval()
    for score, (q, a, b) in zip(found, pairs, strict=True):
        inputs = tokenizer(f"{q} {a}".strip(), f"{q} {b}".strip(), return_tensors="pt")
        with torch.no_grad():
            neutral, entailed, contradicted = model(**inputs).logits.softmax(-1)[0].tolist()
        assert score == pytest.approx(entailed / (entailed + max(neutral, contradicted)), abs=1e-5)
        assert (score >= 0.5) == (entailed >= max(neutral, contradicted))


def test_nli_cuts_the_beginning_of_a_long_question_and_no_answer(nli_folder: Path) -> None:
    equivalence = NLIEquivalence(nli_folder, max_length=32)
    tokenizer = equivalence._loaded[0]
    passages, a, b = "capital is rome " * 200, "it is paris", "rome"
    left, right = fit_pair(tokenizer, (f"{passages}capital is ?", a, b), 32)
    assert left.endswith(f"capital is ? {a}")
    assert right.endswith(f"capital is ? {b}")
    assert left.removesuffix(a) == right.removesuffix(b)
    assert 32 - 2 * 2 < len(tokenizer(left, right)["input_ids"]) <= 32
    asked = f"{passages}capital is ?"
    scores = equivalence.score([(asked, "paris", "rome"), (asked, "rome", "paris"), (asked, "rome", "rome")])
    assert len(set(scores.round(6).tolist())) == 3


@given(
    st.lists(st.sampled_from(["paris", "rome", "is", "?", "itis"]), max_size=60),
    st.lists(st.sampled_from(["paris", "rome", "it"]), max_size=30),
    st.lists(st.sampled_from(["paris", "rome", "it"]), max_size=30),
)
def test_nli_pairs_fit_the_window(tokenizer: Any, question: list[str], a: list[str], b: list[str]) -> None:
    pair = (" ".join(question), " ".join(a), " ".join(b))
    left, right = fit_pair(tokenizer, pair, 32)
    assert len(tokenizer(left, right)["input_ids"]) <= 32
    uncut = (f"{pair[0]} {pair[1]}".strip(), f"{pair[0]} {pair[2]}".strip())
    if len(tokenizer(*uncut)["input_ids"]) <= 32:
        assert (left, right) == uncut
    elif len(a) + len(b) <= 32 - 3:
        assert left.endswith(pair[1])
        assert right.endswith(pair[2])
    else:
        assert pair[1].startswith(left)
        assert pair[2].startswith(right)
        assert abs(len(left) - len(right)) <= 1 or pair[1] == left or pair[2] == right


def test_nli_scores_belong_to_a_window(nli_folder: Path) -> None:
    assert NLIEquivalence(nli_folder, max_length=64).name != NLIEquivalence(nli_folder).name
    with pytest.raises(ConfigurationError, match="max_length is 2"):
        NLIEquivalence(nli_folder, max_length=2)


def test_nli_batches(nli_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    equivalence = NLIEquivalence(nli_folder, batch_size=8)
    tokenizer, model, entailment = equivalence._loaded
    sizes: list[int] = []

    def counting(**inputs: object) -> object:
        sizes.append(len(inputs["input_ids"]))  # type: ignore[arg-type]  # a tensor
        return model(**inputs)

    counting.device = model.device  # type: ignore[attr-defined]  # stands in for the model
    monkeypatch.setitem(equivalence.__dict__, "_loaded", (tokenizer, counting, entailment))
    cluster([f"paris {'is ' * i}" for i in range(9)], equivalence=equivalence)
    assert sizes[0] == 8
    assert equivalence.score([]).shape == (0,)


def test_nli_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot load the NLI checkpoint"):
        NLIEquivalence(tmp_path).score([("q", "a", "b")])
    with pytest.raises(ConfigurationError, match="batch_size is 0"):
        NLIEquivalence(tmp_path, batch_size=0)


def test_the_entailment_label_is_read_and_never_assumed() -> None:
    assert entailment_index({0: "contradiction", 1: "neutral", 2: "entailment"}) == 2
    assert entailment_index({0: "entailment", 1: "not_entailment"}) == 0
    with pytest.raises(ConfigurationError, match="Set id2label"):
        entailment_index({0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})


def test_missing_torch_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'pip install "confroute\[nli\]"'):
        NLIEquivalence()


def test_an_llm_judges_entailment() -> None:
    def judge(request: RouteRequest, i: int) -> str:
        same = "answer 1: Paris" in request.query and "answer 2: It is Paris" in request.query
        return "Entailment." if same else "I would say neutral, {hm}"

    model = ScriptedSampler(judge)
    equivalence = LLMEquivalence(model, max_concurrency=2)
    pairs = [("Capital {of} France?", "Paris", "It is Paris"), ("Capital?", "Paris", "Rome")]
    assert equivalence.score(pairs).tolist() == [1.0, 0.0]
    assert {draw.settings["temperature"] for draw in model.draws} == {0.0}
    assert "Capital {of} France?" in model.draws[0].request.query + model.draws[1].request.query
    assert equivalence.score([]).shape == (0,)


@pytest.mark.parametrize(
    "reply",
    [
        "", "dunno", "contradiction, not entailment", "Not entailment", "Answer 1 does not entail answer 2.",
        "No entailment.", "non-entailment", "It doesn’t entail it", "<think>Entailment?", "**Neutral**",
        "<think>First I thought of entailment.</think>neutral",
    ],
)  # fmt: skip
def test_an_unreadable_verdict_is_no_entailment(reply: str) -> None:
    assert LLMEquivalence(ScriptedSampler([reply])).score([("q", "a", "b")]).tolist() == [0.0]


@pytest.mark.parametrize(
    "reply",
    ["entailment", "**Entailment**", "Not neutral but entailment", "<think>Neutral?</think>entailment"],
)
def test_a_verdict_is_read_behind_thought_and_denials(reply: str) -> None:
    assert LLMEquivalence(ScriptedSampler([reply])).score([("q", "a", "b")]).tolist() == [1.0]


def test_a_judge_reads_the_end_of_a_long_question_and_no_thought() -> None:
    model = ScriptedSampler(["entailment"])
    LLMEquivalence(model).score([("page " * 5000 + "When?", "<think>June?</think>May", "In May")])
    sent = model.draws[0].request.query
    assert len(sent) < 3000
    assert "When?" in sent
    assert "answer 1: May" in sent
    assert "June" not in sent


def test_a_judge_that_thinks_is_given_room_once_it_is_known_to() -> None:
    class Thinker(ScriptedSampler):
        def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
            super().sample(request, n, **settings)
            long = settings["max_tokens"] > 100
            return [
                Sample(
                    "<think>May is in May.</think>entailment" if long else "<think>May is",
                    usage=Usage(input_tokens=1, output_tokens=1, usd=0.5),
                )
            ]

    model = Thinker([""])
    equivalence = LLMEquivalence(model, max_concurrency=1)
    with judges_bill() as bill:
        assert equivalence.score([("q", "a", "b"), ("q", "c", "d")]).tolist() == [1.0, 1.0]
    assert [draw.settings["max_tokens"] for draw in model.draws] == [8, 4096, 4096]
    assert len(bill) == 3
    LLMEquivalence(model, max_tokens=300).score([("q", "a", "b")])
    assert model.draws[-1].settings["max_tokens"] == 300
    with pytest.raises(ConfigurationError, match="max_tokens is 0"):
        LLMEquivalence(model, max_tokens=0)
