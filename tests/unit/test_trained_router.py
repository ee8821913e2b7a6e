"""The trained router: decisions, and folders that are safe to load."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray

from confroute.decision import Router, RouteRequest
from confroute.errors import ConfigurationError
from confroute.heads import HEADS, KNNHead, make_head
from confroute.heads.storage import Pair
from confroute.routers import trained
from confroute.routers.threshold import CloudShare
from confroute.routers.trained import TrainedRouter, load_router, same_model


class LetterEncoder:
    """A deterministic encoder: letter frequencies."""

    def __init__(self, name: str = "letters", shift: int = 0) -> None:
        self.name, self.shift = name, shift
        self.threads: set[int] = set()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.threads.add(threading.get_ident())
        rows = np.zeros((len(texts), 26), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text.lower():
                if letter.isascii() and letter.isalpha():
                    row[(ord(letter) - 97 + self.shift) % 26] += 1
        return rows


QUESTIONS = ["aaa aab", "aab abb", "zzz zzy", "zyy yzz"]
LABELS = ["edge", "edge", "cloud", "cloud"]


@pytest.fixture
def router() -> TrainedRouter:
    made = TrainedRouter(
        head=KNNHead(n_neighbors=2),
        encoder=LetterEncoder(),
        threshold=0.5,
        pair=Pair(edge="small-1b", cloud="big"),
        card="# Card\n",
    )
    return made.fit(QUESTIONS, LABELS)


@pytest.fixture
def folder(router: TrainedRouter, tmp_path: Path) -> Path:
    router.save(tmp_path / "router")
    return tmp_path / "router"


def reload(folder: Path) -> TrainedRouter:
    return TrainedRouter.load(folder, encoder=LetterEncoder())


def test_it_decides_like_a_router(router: TrainedRouter) -> None:
    assert isinstance(router, Router)
    easy = router.decide(RouteRequest.from_text("aaaa"))
    hard = router.decide(RouteRequest.from_text("zzzz", private=True))
    assert (easy.decision.route, easy.decision.score, easy.draft) == ("edge", 0.0, None)
    assert (hard.decision.route, hard.decision.score, hard.decision.private) == ("cloud", 1.0, True)
    assert hard.decision.method == "trained"
    assert hard.decision.usage.usd == 0
    assert hard.decision.n_samples == 0
    assert hard.decision.router is not None
    assert hard.decision.router.name == "trained-knn"
    assert "1.00 >= 0.50" in hard.decision.reason


def test_async_gives_the_same_verdict_off_the_event_loop(router: TrainedRouter) -> None:
    encoder = router.encoder = LetterEncoder()
    request = RouteRequest.from_text("zzzz")
    assert asyncio.run(router.adecide(request)) == router.decide(request)
    assert len(encoder.threads) == 2


def test_an_empty_question_is_decided_too(router: TrainedRouter) -> None:
    assert router.decide(RouteRequest.from_text("")).decision.route in ("edge", "cloud")


def test_the_score_at_the_threshold_goes_to_the_cloud(router: TrainedRouter) -> None:
    router.threshold = 1.0
    assert router.decide(RouteRequest.from_text("zzzz")).decision.route == "cloud"


def test_scores_have_the_shape_of_the_questions(router: TrainedRouter) -> None:
    assert router.score(["zz", "aa"]).tolist() == [1.0, 0.0]
    assert router.score([]).shape == (0,)
    with pytest.raises(ConfigurationError, match="list of questions"):
        router.score("zz")


@pytest.mark.parametrize("name", HEADS)
def test_a_saved_router_scores_the_same(name: str, tmp_path: Path) -> None:
    made = TrainedRouter(head=make_head(name), encoder=LetterEncoder(), threshold=0.25)
    made.fit(QUESTIONS * 10, LABELS * 10).save(tmp_path / "r")
    again = reload(tmp_path / "r")
    assert np.array_equal(again.score(QUESTIONS), made.score(QUESTIONS))
    assert (again.threshold, again.head.params, again.pair) == (0.25, made.head.params, None)


def test_pair_and_card_travel_along(folder: Path) -> None:
    again = reload(folder)
    assert again.pair == Pair(edge="small-1b", cloud="big")
    assert again.card == "# Card\n"
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "router.json", "weights.safetensors"]


def test_saving_again_replaces_the_router_and_leaves_nothing_behind(
    router: TrainedRouter, folder: Path
) -> None:
    router.threshold = 0.75
    router.save(folder)
    assert reload(folder).threshold == 0.75
    assert [p.name for p in folder.parent.iterdir()] == ["router"]


def test_a_failing_save_leaves_the_earlier_router_whole(
    router: TrainedRouter, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_descriptor: int) -> NoReturn:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", broken)
    router.threshold = 0.75
    with pytest.raises(OSError, match="disk full"):
        router.save(folder)
    assert reload(folder).threshold == 0.5
    assert [p.name for p in folder.parent.iterdir()] == ["router"]


def test_saving_over_something_else_is_refused(router: TrainedRouter, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(ConfigurationError, match="not a saved router"):
        router.save(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter1.tex").exists()


def test_an_unfitted_router_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not fitted"):
        TrainedRouter(head=KNNHead(), encoder=LetterEncoder()).save(tmp_path / "r")


def edit(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "router.json").read_text())
    config.update(changes)
    (folder / "router.json").write_text(json.dumps(config))


def flip_byte(folder: Path) -> None:
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(data))


def pickled(folder: Path) -> None:
    (folder / "router.json").write_bytes(pickle.dumps({"format": "confroute-router"}))


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no such folder": (lambda f: f.rename(f.with_name("gone")), "not a saved router"),
    "no configuration": (lambda f: (f / "router.json").unlink(), "not a saved router"),
    "not JSON": (lambda f: (f / "router.json").write_text("{"), "damaged: router.json is not JSON"),
    "pickled": (pickled, "damaged: router.json is not JSON"),
    "foreign": (lambda f: (f / "router.json").write_text("{}"), "another program"),
    "foreign list": (lambda f: (f / "router.json").write_text("[]"), "another program"),
    "newer": (lambda f: edit(f, schema_version=2, written_by="9.9"), r"newer confroute \(9.9\)"),
    "older than any": (lambda f: edit(f, schema_version=0), "damaged.*schema_version"),
    "unknown field": (lambda f: edit(f, exec="rm"), "damaged.*'exec'"),
    "bad threshold": (lambda f: edit(f, threshold=-1), "damaged.*'threshold'"),
    "infinite threshold": (lambda f: edit(f, threshold=float("inf")), "damaged.*'threshold'"),
    "unknown head": (lambda f: edit(f, head="forest"), "unknown head"),
    "bad parameters": (lambda f: edit(f, params={"n_neighbors": "many"}), "damaged"),
    "other head": (lambda f: edit(f, head="mlp", params={}), "holds the arrays"),
    "other dimension": (lambda f: edit(f, dimension=25), "dimensions"),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "damaged"),
    "flipped bit": (flip_byte, "checksum"),
    "cut short": (
        lambda f: (f / "weights.safetensors").write_bytes((f / "weights.safetensors").read_bytes()[:40]),
        "checksum",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named(folder: Path, kind: str) -> None:
    inflict, match = DAMAGE[kind]
    inflict(folder)
    with pytest.raises(ConfigurationError, match=match):
        reload(folder)


def test_weights_that_are_not_safetensors_are_refused_even_with_a_matching_checksum(folder: Path) -> None:
    import hashlib

    (folder / "weights.safetensors").write_bytes(b"junk")
    edit(folder, weights_sha256=hashlib.sha256(b"junk").hexdigest())
    with pytest.raises(ConfigurationError, match="not a safetensors file"):
        reload(folder)


def test_another_encoder_under_the_same_name_is_noticed(folder: Path) -> None:
    router = TrainedRouter.load(folder, encoder=LetterEncoder(shift=3))
    with pytest.raises(ConfigurationError, match="not the one that this router was trained with"):
        router.score(["zz"])


def test_loading_and_scoring_embeddings_needs_neither_torch_nor_scikit_learn(folder: Path) -> None:
    code = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "sklearn", "transformers", "sentence_transformers", "scipy"}:
            raise ImportError("refused: " + name)
sys.meta_path.insert(0, Refuse())
import numpy as np
from confroute.routers.trained import load_router
print(load_router(sys.argv[1]).score_embeddings(np.eye(26)[[0, 25]]).tolist())
"""
    source = str(Path(trained.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert done.stdout.strip() == "[0.0, 1.0]", done.stderr


def test_another_edge_is_warned_about(folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"'small-1b'.*'other-7b'"):
        load_router(folder, edge_model="other-7b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_router(folder, edge_model="ollama:Small_1B")
        load_router(folder)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("ollama:qwen2.5-coder:0.5b", "Qwen/Qwen2.5-Coder-0.5B-Instruct", True),
        ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "Qwen/Qwen2.5-Coder-0.5B-Instruct", True),
        ("mistral:7b", "gemma:7b", False),
        ("qwen2.5:0.5b", "qwen2.5:1.5b", False),
        ("gpt-4o", "gpt-4o-mini", False),
    ],
)
def test_names_of_models(a: str, b: str, same: bool) -> None:
    assert same_model(a, b) is same


def test_a_threshold_by_scale_and_a_dial(router: TrainedRouter, tmp_path: Path) -> None:
    request = RouteRequest.from_text("zzz zzy")
    router.threshold = {"trained-knn": 0.25, "another": 0.9}
    assert router.decide(request).decision.threshold == 0.25
    router.save(tmp_path / "router")
    assert TrainedRouter.load(tmp_path / "router", encoder=LetterEncoder()).threshold == 0.25
    dial = CloudShare(0.5)
    router.threshold = dial
    for number in range(20):
        decision = router.decide(RouteRequest.from_text("aaa aab" if number % 2 else "zzz zzy")).decision
        assert decision.threshold == 0.5
    assert router.decide(request).decision.threshold == dial.at("trained-knn", 0.5) == 1.0
    with pytest.raises(ConfigurationError, match=r"threshold is CloudShare\(0.5, window=500\).*a number"):
        router.save(tmp_path / "router")


@pytest.mark.parametrize("threshold", [-0.1, float("nan"), float("inf")])
def test_impossible_thresholds_are_refused(threshold: float) -> None:
    with pytest.raises(ConfigurationError, match="threshold"):
        TrainedRouter(head=KNNHead(), encoder=LetterEncoder(), threshold=threshold)


def test_fitting_on_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no questions"):
        TrainedRouter(head=KNNHead(), encoder=LetterEncoder()).fit([], [])
