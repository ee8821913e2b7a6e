"""Heads that learn weights: matrix factorisation and the multi-layer perceptron. Trained in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from confroute.errors import ConfigurationError, require
from confroute.heads.base import Arrays, Embeddings, FloatArray, Head

if TYPE_CHECKING:
    from torch import Tensor

_BATCH = 64
_MAX_EPOCHS = 200
_PATIENCE = 10
_HELD_OUT = 10


class MatrixFactorizationHead(Head):
    """σ(s(cloud, q) − s(edge, q)), s bilinear in the model's and the question's vector (the paper, A.1).

    As in RouteLLM, s(M, q) = c · (p_M / |p_M| ⊙ W q) with `rank` dimensions and no bias. With two models the
    difference is one linear form of the question's embedding, which is what is kept: a decision is one dot
    product.

    Args:
        rank: Length of the models' vectors; 128 in RouteLLM.
        seed: Seed of the start, the held-out tenth and the batches.

    Raises:
        ConfigurationError: If `rank` is below 1.
    """

    name = "matrix-factorization"
    shapes = {"direction": ("d",)}  # noqa: RUF012 - a ClassVar in the base, never changed

    def __init__(self, *, rank: int = 128, seed: int = 0) -> None:
        super().__init__()
        if rank < 1:
            raise ConfigurationError(f"rank is {rank}: expected at least 1")
        self.rank = rank
        self.seed = seed

    @property
    def params(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"rank": self.rank, "seed": self.seed}

    def learn(self, unit: Embeddings, wins: FloatArray) -> Arrays:
        """Train the factors and multiply them out."""

        def start(normal: Callable[..., Tensor]) -> dict[str, Tensor]:
            scale = self.rank**-0.5
            return {
                "models": normal(2, self.rank),
                "projection": normal(self.rank, unit.shape[1]) * unit.shape[1] ** -0.5,
                "classifier": normal(self.rank) * scale,
            }

        def direction(p: dict[str, Tensor]) -> Tensor:
            edge, cloud = p["models"] / p["models"].norm(dim=1, keepdim=True)
            form: Tensor = (p["classifier"] * (cloud - edge)) @ p["projection"]
            return form

        def logits(p: dict[str, Tensor], x: Tensor) -> Tensor:
            return x @ direction(p)

        best = _train(unit, wins, start, logits, lr=3e-4, weight_decay=1e-5, seed=self.seed)
        return {"direction": direction(best).numpy()}

    def predict(self, arrays: Arrays, unit: Embeddings) -> NDArray[np.floating[Any]]:
        """Apply the linear form."""
        return _sigmoid(unit @ arrays["direction"])


class MLPHead(Head):
    """Two layers with ReLU and a softmax over edge and cloud (the paper, A.1).

    A softmax over two classes is a sigmoid of one difference, so the second layer has one output.

    Args:
        hidden: Width of the hidden layer.
        seed: Seed of the start, the held-out tenth and the batches.

    Raises:
        ConfigurationError: If `hidden` is below 1.
    """

    name = "mlp"
    shapes = {  # noqa: RUF012 - a ClassVar in the base, never changed
        "hidden_weight": ("d", "h"),
        "hidden_bias": ("h",),
        "output_weight": ("h",),
        "output_bias": ("one",),
    }

    def __init__(self, *, hidden: int = 128, seed: int = 0) -> None:
        super().__init__()
        if hidden < 1:
            raise ConfigurationError(f"hidden is {hidden}: expected at least 1")
        self.hidden = hidden
        self.seed = seed

    @property
    def params(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"hidden": self.hidden, "seed": self.seed}

    def learn(self, unit: Embeddings, wins: FloatArray) -> Arrays:
        """Train both layers."""

        def start(normal: Callable[..., Tensor]) -> dict[str, Tensor]:
            return {
                "hidden_weight": normal(unit.shape[1], self.hidden) * (2 / unit.shape[1]) ** 0.5,
                "hidden_bias": normal(self.hidden) * 0,
                "output_weight": normal(self.hidden) * (1 / self.hidden) ** 0.5,
                "output_bias": normal(1) * 0,
            }

        def logits(p: dict[str, Tensor], x: Tensor) -> Tensor:
            return (x @ p["hidden_weight"] + p["hidden_bias"]).relu() @ p["output_weight"] + p["output_bias"]

        best = _train(unit, wins, start, logits, lr=1e-3, weight_decay=1e-4, seed=self.seed)
        return {key: value.numpy() for key, value in best.items()}

    def predict(self, arrays: Arrays, unit: Embeddings) -> NDArray[np.floating[Any]]:
        """Run both layers."""
        hidden = np.maximum(unit @ arrays["hidden_weight"] + arrays["hidden_bias"], 0)
        return _sigmoid(hidden @ arrays["output_weight"] + arrays["output_bias"])


def _train(
    unit: Embeddings,
    wins: FloatArray,
    start: Callable[[Callable[..., Tensor]], dict[str, Tensor]],
    logits: Callable[[dict[str, Tensor], Tensor], Tensor],
    *,
    lr: float,
    weight_decay: float,
    seed: int,
) -> dict[str, Tensor]:
    """Minimise the cross-entropy to the cloud's wins by Adam; keep the epoch best on a held-out tenth.

    Soft targets are what half a win for each side comes to. Only generators of its own are seeded.
    """
    require("torch", extra="embeddings", purpose="Training this head")
    import torch

    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    x, y = torch.from_numpy(unit), torch.from_numpy(wins.astype(np.float32))
    order = torch.randperm(len(x), generator=generator)
    held = order[: len(x) // _HELD_OUT] if len(x) >= 2 * _HELD_OUT else order
    used = order[len(held) :] if len(held) < len(order) else order
    params = {key: value.requires_grad_() for key, value in start(normal).items()}
    optimizer = torch.optim.Adam(params.values(), lr=lr, weight_decay=weight_decay)
    loss_of = torch.nn.functional.binary_cross_entropy_with_logits

    best_loss, best, since = float("inf"), params, 0
    for _ in range(_MAX_EPOCHS):
        shuffled = used[torch.randperm(len(used), generator=generator)]
        for at in range(0, len(shuffled), _BATCH):
            batch = shuffled[at : at + _BATCH]
            optimizer.zero_grad()
            loss = loss_of(logits(params, x[batch]), y[batch])
            loss.backward()  # type: ignore[no-untyped-call]  # torch ships this method untyped
            optimizer.step()
        with torch.no_grad():
            held_loss = float(loss_of(logits(params, x[held]), y[held]))
        if held_loss < best_loss - 1e-5:
            best_loss, since = held_loss, 0
            best = {key: value.detach().clone() for key, value in params.items()}
        else:
            since += 1
        if since >= _PATIENCE:
            break
    return best


def _sigmoid(logits: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    halves: NDArray[np.floating[Any]] = 0.5 * (1 + np.tanh(0.5 * logits))
    return halves
