"""The sentence encoder reads the end of a text that is longer than its window."""

from pathlib import Path

import numpy as np
import pytest

from confroute.encoders import SentenceEncoder
from confroute.errors import ModelError
from confroute.heads import KNNHead
from confroute.routers.trained import TrainedRouter

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "boiler",
    "plant",
    "is",
    "serviced",
    "the",
    "by",
    "firm",
    "due",
    "when",
    "prove",
    "that",
    "primes",
    "many",
]
WINDOW = 16
PASSAGES = "the boiler is serviced by the firm that is the plant " * 30


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEncoder:
    """A tiny real model with a window of 16 tokens."""
    transformers = pytest.importorskip("transformers")
    sentence_transformers = pytest.importorskip("sentence_transformers")
    torch = pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    torch.manual_seed(0)
    transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=WINDOW,
            initializer_range=1.0,
        )
    ).save_pretrained(folder / "bert")
    model = sentence_transformers.SentenceTransformer(str(folder / "bert"), device="cpu")  # with mean pooling
    model.max_seq_length = WINDOW
    model.save(str(folder / "whole"))
    return SentenceEncoder(folder / "whole", device="cpu")


def test_the_end_of_a_long_text_is_read(encoder: SentenceEncoder) -> None:
    due, primes = encoder.encode(
        [f"{PASSAGES} when is the boiler due", f"{PASSAGES} prove that primes is many"]
    )
    assert not np.allclose(due, primes, atol=1e-3)
    window = " ".join(f"{PASSAGES} when is the boiler due".split()[-(WINDOW - 2) :])  # [CLS] and [SEP] remain
    np.testing.assert_allclose(due, encoder.encode([window])[0], atol=1e-5)


def test_texts_that_fit_are_read_whole(encoder: SentenceEncoder) -> None:
    import sentence_transformers

    texts = ["when is the boiler due", "", " ".join([*WORDS[5:], "the"])]
    plain = sentence_transformers.SentenceTransformer(encoder.model, device="cpu")
    expected = plain.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(encoder.encode(texts), expected, atol=1e-6)


def test_a_router_tells_questions_apart_behind_pages_of_passages(encoder: SentenceEncoder) -> None:
    questions = ["when is the boiler due", "prove that many primes"]
    asked = [f"{PASSAGES}{question}" for question in questions]
    router = TrainedRouter(head=KNNHead(n_neighbors=1), encoder=encoder).fit(asked, ["edge", "cloud"])
    scores = router.score([f"{PASSAGES * 2}{question}" for question in questions])
    assert scores[0] < 0.5 < scores[1]


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot load the encoder"):
        SentenceEncoder(tmp_path / "none").encode(["a"])
