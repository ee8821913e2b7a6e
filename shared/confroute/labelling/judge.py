"""An LLM judge of equivalence within a run: paid from its money, noted in its store, asked once."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from confroute.decision import Message, RouteRequest, Sample, total_usage
from confroute.errors import ModelError
from confroute.labelling.money import Price, SpendCap, SpendCapError
from confroute.labelling.retry import was_refused
from confroute.labelling.store import Store
from confroute.models import Model
from confroute.uncertainty import Equivalence, LLMEquivalence


def judge_prices(judge: Equivalence | None, table: Mapping[str, tuple[float, float]]) -> list[Price]:
    """Return the price of the model that an LLM judge asks; nothing for other judges."""
    return [Price(judge.model.name, table)] if isinstance(judge, LLMEquivalence) else []


@contextmanager
def paid(
    judge: Equivalence, store: Store, table: Mapping[str, tuple[float, float]], cap: SpendCap
) -> Iterator[Equivalence]:
    """Give the same judge with its calls paid for; one that asks no model is given back as it is.

    Its replies are kept beside the store, so that none is paid twice where a batch of them is cut short.

    Args:
        judge: The judge.
        store: Where its spend goes.
        table: The user's own prices, as for `Price`.
        cap: The spend cap.

    Raises:
        SpendCapError: If the money is out.
        ModelError: If the judge's model does not answer.
    """
    if not isinstance(judge, LLMEquivalence):
        yield judge
        return
    from confroute.evaluation.asking import CachedModel, ReplyCache

    (price,) = judge_prices(judge, table)
    with ReplyCache(f"{store.path}.scores") as replies:
        bought = copy.copy(judge)
        bought.model = CachedModel(PaidModel(judge.model, store, price, cap), replies)
        try:
            yield bought
        except ModelError as error:
            if isinstance(error.__cause__, SpendCapError):
                raise error.__cause__ from None
            raise


class PaidModel:
    """Another model whose calls are reserved and noted before they are sent, and settled after.

    Args:
        model: The model of a judge.
        store: Where its spend goes.
        price: Its price.
        cap: The spend cap.
    """

    def __init__(self, model: Model, store: Store, price: Price, cap: SpendCap) -> None:
        self._model = model
        self._store = store
        self._price = price
        self._cap = cap

    @property
    def name(self) -> str:
        """The model's own name."""
        return self._model.name

    def sample(
        self,
        request: RouteRequest,
        n: int,
        *,
        append: Sequence[Message] = (),
        max_tokens: int | None = None,
        **settings: Any,
    ) -> list[Sample]:
        """Draw `n` answers; see `confroute.models.Model`.

        Raises:
            SpendCapError: If they might cost more than is left.
        """
        asked = replace(request, messages=(*request.messages, *append))
        most = self._price.most(asked, max_tokens)
        reserved = None if most is None else n * most
        if not self._cap.reserve(reserved):
            raise SpendCapError(self._cap.most)
        spent = None
        try:
            self._store.note_judge_call(reserved)
            drawn = self._model.sample(request, n, append=append, max_tokens=max_tokens, **settings)
            samples = [replace(sample, usage=self._price.priced(sample.usage)) for sample in drawn]
            spent = total_usage([sample.usage for sample in samples]).usd
        except Exception as error:
            spent = 0.0 if was_refused(error) else None
            raise
        finally:
            self._cap.settle(reserved, spent)  # first: another thread may wait for it
            self._store.settle_judge_call(reserved, spent)
        return samples

    async def asample(
        self, request: RouteRequest, n: int, *, append: Sequence[Message] = (), **settings: Any
    ) -> list[Sample]:
        """Draw `n` answers in a thread; see `confroute.models.Model`."""
        return await asyncio.to_thread(self.sample, request, n, append=append, **settings)
