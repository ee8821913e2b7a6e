"""Drawing answers from a model that refuses some of what is wished for, or thinks before it answers."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from confroute import wishes
from confroute.decision import Sample, Usage
from confroute.replies import is_cut_thought
from confroute.sampling import Drawing, Numbers, adraw, allowance, draw, drawn_in_vain
from confroute.wishes import LOGPROBS, NO_THOUGHT, ROOM_FOR_THOUGHT, SEVERAL, Ask, habits_of, status_of

TEMPERATURE = "temperature=1.0"
ALL = (LOGPROBS, SEVERAL, TEMPERATURE)
SUBSETS = [wishes for n in range(4) for wishes in itertools.combinations(ALL, n)]
CONTENT_FILTER = "The response was filtered due to our content management policy"
TOLD = {
    LOGPROBS: "Unsupported parameter: 'logprobs' is not supported with this model.",
    SEVERAL: "'n' : number must be at most 1",
    TEMPERATURE: "Unsupported value: 'temperature' does not support 1 with this model.",
}


class HTTPError(Exception):
    def __init__(self, status: int, message: str = "bad request") -> None:
        super().__init__(message)
        self.status_code = status


class Model:
    """Plays a model: refuses wishes, and thinks for some tokens before it answers."""

    def __init__(
        self, refuses: Sequence[str] = (), *, error: Callable[[str], Exception], thought: int = 0
    ) -> None:
        self.refuses = refuses
        self.error = error
        self.thought = thought
        self.fault: Callable[[Ask], Exception | None] = lambda ask: None
        self.asked: list[Ask] = []
        self.refused: list[Ask] = []

    def __call__(self, ask: Ask) -> list[Sample]:
        self.asked.append(ask)
        if (fault := self.fault(ask)) is not None:
            raise fault
        for wish in ask.wishes:
            if wish in self.refuses:
                self.refused.append(ask)
                raise self.error(wish)
        usage = Usage(input_tokens=1, output_tokens=2, usd=0.5)
        is_cut = ask.thinks and self.thought >= (ask.max_tokens or 1_000_000)
        text = "<think>hm" if is_cut else "yes"
        logprob = -0.1 if ask.logprobs else None
        return [Sample(text, logprob=logprob, n_tokens=1, usage=usage) for _ in range(ask.n)]


def unnamed(wish: str) -> Exception:
    return HTTPError(400)


def named(wish: str) -> Exception:
    return HTTPError(400, TOLD[wish])


def drawing(model: Any, n: int = 3, *, first: int = 0, stops_thinking: bool = False, **ask: Any) -> Drawing:
    return Drawing(
        model,
        n,
        Ask(**{"logprobs": True, "temperature": 1.0, **ask}),
        lambda sample: is_cut_thought(sample.text, thought=False, ended=""),
        at_once=True,
        stops_thinking=stops_thinking,
        first=first,
    )


def drawn(way: str, model: Model, **settings: Any) -> list[Sample]:
    if way == "sync":
        return draw(drawing(model, **settings), model)

    async def send(ask: Ask) -> list[Sample]:
        return model(ask)

    return asyncio.run(adraw(drawing(model, **settings), send))


WAYS = pytest.mark.parametrize("way", ["sync", "async"])


@WAYS
@pytest.mark.parametrize("error", [named, unnamed])
@pytest.mark.parametrize("refuses", SUBSETS)
def test_what_a_model_refuses_is_asked_for_once(
    way: str, error: Callable[[str], Exception], refuses: tuple[str, ...]
) -> None:
    model = Model(refuses, error=error)
    for _ in range(4):
        assert [sample.text for sample in drawn(way, model)] == ["yes"] * 3
    assert len(model.refused) <= wishes.MOST_WASTED
    assert len({ask.wishes for ask in model.refused}) == len(model.refused)
    asked, wasted = len(model.asked), len(model.refused)
    drawn(way, model)
    assert len(model.asked) == asked + (3 if SEVERAL in habits_of(model).refused else 1)
    assert len(model.refused) == wasted


@pytest.mark.parametrize("wish", ALL)
@pytest.mark.parametrize("error", [named, unnamed])
def test_only_what_is_refused_is_given_up(error: Callable[[str], Exception], wish: str) -> None:
    model = Model([wish], error=error)
    for _ in range(4):
        drawn("sync", model)
    assert habits_of(model).refused == {wish}
    last = model.asked[-1]
    assert (last.logprobs, last.n > 1, last.temperature is not None) == tuple(w != wish for w in ALL)


@pytest.mark.parametrize("status", [400, 403, 422])
def test_a_refusal_that_names_nothing_costs_one_request_for_log_probabilities(status: int) -> None:
    model = Model([LOGPROBS], error=lambda wish: HTTPError(status))
    drawn("sync", model)
    assert [ask.wishes for ask in model.asked] == [ALL, (SEVERAL, TEMPERATURE)]


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        (LOGPROBS, TypeError("Responses.create() got an unexpected keyword argument 'logprobs'")),
        (SEVERAL, TypeError("Responses.create() got an unexpected keyword argument 'n'")),
        (SEVERAL, ValueError("n must be 1 when streaming.")),
        (TEMPERATURE, TypeError("chat() got an unexpected keyword argument 'temperature'")),
        (LOGPROBS, HTTPError(404, "No endpoints found that support the parameters: logprobs")),
        (LOGPROBS, HTTPError(422, "[{'type': 'extra_forbidden', 'loc': ['body', 'logprobs']}]")),
        (SEVERAL, HTTPError(422, "[{'type': 'extra_forbidden', 'loc': ['body', 'n']}]")),
        (LOGPROBS, HTTPError(500, "logprobs is not supported with tools")),
        (SEVERAL, HTTPError(400, "Multiple candidates is not enabled for this model")),
        (TEMPERATURE, HTTPError(422, "Input validation error: `temperature` must be strictly positive")),
    ],
)
def test_a_refusal_that_names_a_wish_costs_one_request(wish: str, error: Exception) -> None:
    model = Model([wish], error=lambda wish: error)
    drawn("sync", model)
    assert model.asked[1].wishes == tuple(w for w in ALL if w != wish)


@WAYS
def test_another_bad_request_is_handed_on_as_it_was_and_nothing_is_remembered(way: str) -> None:
    model = Model(error=unnamed)
    errors: list[Exception] = []

    def fault(ask: Ask) -> Exception:
        errors.append(HTTPError(400, CONTENT_FILTER))
        return errors[-1]

    model.fault = fault
    with pytest.raises(HTTPError) as raised:
        drawn(way, model)
    assert raised.value is errors[0]
    assert len(errors) == 4
    assert habits_of(model).refused == frozenset()


@WAYS
def test_what_was_proven_is_not_doubted_any_more(way: str) -> None:
    model = Model(error=unnamed)
    drawn(way, model)
    model.fault = lambda ask: HTTPError(400, CONTENT_FILTER)
    with pytest.raises(HTTPError, match="filtered"):
        drawn(way, model)
    assert len(model.asked) == 2


def test_an_error_that_repeats_the_request_names_nothing_that_was_proven() -> None:
    model = Model(error=unnamed)
    drawn("sync", model)
    told = "filtered: {'logprobs': True, 'n': 3, 'temperature': 1.0}"
    model.fault = lambda ask: HTTPError(400, told)
    with pytest.raises(HTTPError, match="filtered"):
        drawn("sync", model)
    assert len(model.asked) == 2


@pytest.mark.parametrize(
    "error",
    [
        HTTPError(401),
        HTTPError(429),
        HTTPError(500),
        TimeoutError(),
        HTTPError(400, "maximum context length"),
    ],
)
def test_other_failures_are_handed_on_at_once(error: Exception) -> None:
    model = Model(error=unnamed)
    model.fault = lambda ask: error
    with pytest.raises(type(error)):
        drawn("sync", model)
    assert len(model.asked) == 1


def test_a_failure_of_another_kind_on_the_way_is_the_one_to_be_told() -> None:
    model = Model([LOGPROBS], error=unnamed)
    model.fault = lambda ask: None if ask.logprobs else HTTPError(429, "slow down")
    with pytest.raises(HTTPError, match="slow down"):
        drawn("sync", model)


def test_a_client_that_fails_for_another_reason_is_not_asked_again() -> None:
    model = Model(error=unnamed)
    model.fault = lambda ask: TypeError("'NoneType' object is not iterable")
    with pytest.raises(TypeError, match="NoneType"):
        drawn("sync", model)
    assert len(model.asked) == 1


def test_many_threads_learn_together() -> None:
    model = Model([LOGPROBS, SEVERAL], error=named)
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda i: [s.text for s in drawn("sync", model)], range(40)))
    assert texts == [["yes"] * 3] * 40
    assert habits_of(model).refused == {LOGPROBS, SEVERAL}


def test_habits_are_those_of_the_object_and_go_with_it() -> None:
    model, other = Model(error=unnamed), Model(error=unnamed)
    assert habits_of(model) is habits_of(model) is not habits_of(other)
    kept = weakref.ref(habits_of(model))
    del model
    gc.collect()
    assert kept() is None


@WAYS
def test_a_server_that_ignores_n_is_asked_for_the_rest(way: str) -> None:
    model = Model(error=unnamed)
    plain = model.__call__

    class Ignores(Model):
        def __call__(self, ask: Ask) -> list[Sample]:
            return plain(ask)[:1]

    ignoring = Ignores(error=unnamed)
    assert len(drawn(way, ignoring, n=4, first=3)) == 4
    assert [(ask.number, ask.n) for ask in model.asked] == [(3, 4), (4, 1), (5, 1), (6, 1)]


def test_samples_before_a_failure_are_to_be_paid_for() -> None:
    model = Model([SEVERAL], error=named)
    drawn("sync", model, n=2)
    model.fault = lambda ask: HTTPError(500) if ask.number == 1 else None
    with pytest.raises(HTTPError) as raised:
        drawn("sync", model, n=3)
    assert len(drawn_in_vain(raised.value)) == 2


@WAYS
def test_a_thought_that_does_not_fit_is_switched_off_where_it_can(way: str) -> None:
    model = Model(error=unnamed, thought=100)
    for _ in range(2):
        samples = drawn(way, model, max_tokens=32, stops_thinking=True)
        assert [sample.text for sample in samples] == ["yes"] * 3
    assert [(ask.thinks, ask.max_tokens) for ask in model.asked] == [(True, 32), (False, 32), (False, 32)]
    assert habits_of(model).thinking == "off"


@WAYS
def test_a_thought_that_does_not_fit_is_given_room(way: str) -> None:
    model = Model(error=unnamed, thought=100)
    first, later = drawn(way, model, max_tokens=32), drawn(way, model, max_tokens=32)
    assert [(ask.number, ask.max_tokens) for ask in model.asked] == [
        (0, 32),
        *[(0, 32 + ROOM_FOR_THOUGHT)] * 2,
    ]
    assert {sample.usage for sample in first} == {Usage(input_tokens=2, output_tokens=4, usd=1.0)}
    assert {sample.usage for sample in later} == {Usage(input_tokens=1, output_tokens=2, usd=0.5)}


def test_room_is_given_where_thinking_cannot_be_switched_off_after_all() -> None:
    model = Model([NO_THOUGHT], error=unnamed, thought=100)
    for _ in range(2):
        drawn("sync", model, n=1, max_tokens=32, stops_thinking=True)
    room = 32 + ROOM_FOR_THOUGHT
    told = [(ask.thinks, ask.max_tokens) for ask in model.asked]
    assert told == [(True, 32), (False, 32), (True, room), (True, room)]


def test_a_thought_that_never_ends_is_an_empty_answer() -> None:
    model = Model(error=unnamed, thought=10_000)
    (sample,) = drawn("sync", model, n=1, max_tokens=32)
    assert sample.is_empty
    assert sample.usage == Usage(input_tokens=2, output_tokens=4, usd=1.0)


@WAYS
def test_room_for_a_thought_is_taken_only_where_it_is_allowed(way: str) -> None:
    model = Model(error=unnamed, thought=100)
    asked: list[tuple[int, int]] = []

    def allows(n: int, longest: int) -> bool:
        asked.append((n, longest))
        return len(asked) > 1

    with allowance(allows):
        refused, allowed = drawn(way, model, max_tokens=32), drawn(way, model, max_tokens=32)
    assert [sample.text for sample in refused + allowed] == ["<think>hm"] * 3 + ["yes"] * 3
    assert asked == [(3, 32 + ROOM_FOR_THOUGHT)] * 2
    with allowance(lambda n, longest: False):
        drawn(way, model, max_tokens=32)
    assert model.asked[-1].max_tokens == 32


@WAYS
def test_room_for_a_thought_that_cannot_be_switched_off_is_a_matter_of_the_budget_too(way: str) -> None:
    model = Model([NO_THOUGHT], error=unnamed, thought=100)
    asked: list[tuple[int, int]] = []

    def allows(n: int, longest: int) -> bool:
        asked.append((n, longest))
        return len(asked) == 1

    with allowance(allows):
        (sample,) = drawn(way, model, n=1, max_tokens=32, stops_thinking=True)
    assert sample.text == "<think>hm"
    assert asked == [(1, 32), (1, 32 + ROOM_FOR_THOUGHT)]
    assert [(ask.thinks, ask.max_tokens) for ask in model.asked] == [(True, 32), (False, 32)]


@WAYS
def test_a_thought_that_its_user_has_switched_off_needs_no_room(way: str) -> None:
    model = Model(error=unnamed, thought=100)
    drawn(way, model, max_tokens=32, stops_thinking=True)
    asked = len(model.asked)
    with allowance(lambda n, longest: False):
        samples = drawn(way, model, max_tokens=32)
    assert [sample.text for sample in samples] == ["yes"] * 3
    assert [(ask.thinks, ask.max_tokens) for ask in model.asked[asked:]] == [(False, 32)]


def test_full_answers_have_the_models_own_limit() -> None:
    model = Model(error=unnamed, thought=100)
    drawn("sync", model, n=1, max_tokens=32)
    drawn("sync", model, n=1)
    assert model.asked[-1].max_tokens is None
    assert model.asked[-1].thinks


def test_a_brief_answer_that_fails_after_its_thought_is_paid_for() -> None:
    model = Model(error=unnamed, thought=100)
    model.fault = lambda ask: HTTPError(500) if (ask.max_tokens or 0) > 32 else None
    with pytest.raises(HTTPError) as raised:
        drawn("sync", model, n=2, max_tokens=32)
    assert len(drawn_in_vain(raised.value)) == 2


def test_numbers_go_on() -> None:
    numbers = Numbers()
    assert [numbers.take(1), numbers.take(4), numbers.take(2)] == [0, 1, 5]


def test_statuses_of_clients() -> None:
    aws = Exception()
    aws.response = {"ResponseMetadata": {"HTTPStatusCode": 400}}  # type: ignore[attr-defined]  # as botocore has it
    google = Exception()
    google.code = 403  # type: ignore[attr-defined]  # as Google's client has it
    assert [status_of(error) for error in (HTTPError(422), aws, google, ValueError())] == [
        422,
        400,
        403,
        None,
    ]
