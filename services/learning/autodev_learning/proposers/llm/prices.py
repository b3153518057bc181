"""What calls cost: by stated prices, or by the price list of genai-prices, which is a part of it and not downloaded."""

import math
from collections.abc import Callable
from decimal import Decimal

from autodev_learning.proposers.allowance import NANO
from autodev_learning.proposers.llm.choice import BASE_URLS, Choice, ChoiceRefused, Prices, Provider
from autodev_learning.proposers.llm.spending import Amount

Pricing = Callable[[int, int], Amount]
"""pricing(input_tokens, output_tokens): what they amount to. More tokens never cost less."""

MOST_TOKENS = 100_000
"""A call of this size shows at the start that a price is known."""


def pricing_of(choice: Choice) -> Pricing:
    """The prices of the chosen model. Raises ChoiceRefused where none are stated and none are known.

    What runs at home (Ollama) costs nothing unless a price is stated. A model at another address than its maker's has
    the price that is stated: what its maker asks says nothing of it.
    """
    if choice.prices is not None:
        return by_price(choice.prices)
    if choice.provider is Provider.OLLAMA:
        return by_price(Prices(0.0, 0.0))
    if choice.base_url != BASE_URLS[choice.provider]:
        raise ChoiceRefused(f"what {choice.label} costs at another address than its maker's has to be stated")
    return by_list(choice)


def by_price(prices: Prices) -> Pricing:
    """So much a million tokens."""
    # Through text, so that 0.1 dollars are a tenth and not the nearest binary fraction above it.
    paid_in = Decimal(str(prices.usd_per_million_input_tokens)) / 1_000_000
    paid_out = Decimal(str(prices.usd_per_million_output_tokens)) / 1_000_000

    def amount(input_tokens: int, output_tokens: int) -> Amount:
        return _amount(input_tokens + output_tokens, input_tokens * paid_in + output_tokens * paid_out)

    return amount


def by_list(choice: Choice) -> Pricing:
    """As the list says of the model, long prompts at their own price. Raises ChoiceRefused for a model it has not."""
    from genai_prices import Usage, calc_price

    def amount(input_tokens: int, output_tokens: int) -> Amount:
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        return _amount(
            input_tokens + output_tokens,
            calc_price(usage, choice.model, provider_id=choice.provider.value).total_price,
        )

    try:
        amount(MOST_TOKENS, MOST_TOKENS)
    except LookupError as error:
        raise ChoiceRefused(f"no price is known of {choice.label}: state what a million tokens cost") from error
    return amount


def _amount(tokens: int, usd: Decimal) -> Amount:
    return Amount(tokens, math.ceil(usd * NANO))
