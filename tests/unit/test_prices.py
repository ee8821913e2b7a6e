import pytest

from confroute import prices
from confroute.decision import Usage
from confroute.errors import ConfigurationError
from confroute.prices import register_price, token_prices, with_price

CALL = Usage(input_tokens=1_000_000, output_tokens=500_000)


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "_own", {})


def test_an_unknown_model_has_no_price_until_it_is_given_one() -> None:
    assert token_prices("ours") is None
    assert with_price(CALL, "ours").usd is None
    register_price("ours", usd_per_million_input=2, usd_per_million_output=10)
    assert token_prices("ours") == (2e-6, 1e-5)
    assert with_price(CALL, "ours").usd == pytest.approx(7.0)


def test_an_own_price_goes_before_the_list_and_before_free_at_home() -> None:
    assert token_prices("ours", local=True) == (0.0, 0.0)
    assert with_price(CALL, "ours", local=True).usd == 0.0
    register_price("ours", usd_per_million_input=1, usd_per_million_output=0)
    assert token_prices("ours", local=True) == (1e-6, 0.0)
    assert with_price(CALL, "ours", local=True).usd == pytest.approx(1.0)


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_a_price_is_a_finite_amount(price: float) -> None:
    with pytest.raises(ConfigurationError, match="per million tokens"):
        register_price("ours", usd_per_million_input=price, usd_per_million_output=1)
