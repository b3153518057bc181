"""The chosen model as pydantic-ai's, and each of its calls within the day's budget."""

import asyncio
import logging
import random
import time
from typing import Any

import httpx2
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelOverloadedError,
    ModelRateLimitError,
    ModelServerError,
    ModelUnavailableError,
)
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_core import to_json

from autodev_learning import metrics
from autodev_learning.proposers.llm.choice import Choice, Provider
from autodev_learning.proposers.llm.prices import pricing_of
from autodev_learning.proposers.llm.spending import Amount, Purse

log = logging.getLogger(__name__)

FRAMING_TOKENS = 2_000
"""What a provider adds to a prompt: the words by which tools are offered, and marks around messages."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
NO_KEY = "none"
UNSENT = ("pool", "connect")
"""Where a call fails that was never made."""
MAYBE_SERVED = (502, 504)
"""What is between us and the provider gave up on it: it may have served all the same, and want its money."""
PASSING = (ModelRateLimitError, ModelOverloadedError, ModelServerError, ModelUnavailableError)


def model_of(choice: Choice, client: httpx2.AsyncClient) -> Model:
    """The chosen model at its address, by this client. No variable of the environment has a say in either."""
    key = choice.api_key or NO_KEY
    settings = ModelSettings(max_tokens=choice.max_output_tokens, timeout=choice.timeout_s, max_retries=0)
    match choice.provider:
        case Provider.ANTHROPIC:
            from pydantic_ai.models.anthropic import AnthropicModel
            from pydantic_ai.providers.anthropic import AnthropicProvider

            provider = AnthropicProvider(api_key=key, base_url=choice.base_url, http_client=client)
            return AnthropicModel(choice.model, provider=provider, settings=settings)
        case Provider.GOOGLE:
            from pydantic_ai.models.google import GoogleModel
            from pydantic_ai.providers.google import GoogleProvider

            google = GoogleProvider(api_key=key, base_url=choice.base_url, http_client=client)
            return GoogleModel(choice.model, provider=google, settings=settings)
        case Provider.OLLAMA:
            from pydantic_ai.models.ollama import OllamaModel
            from pydantic_ai.providers.ollama import OllamaProvider

            ollama = OllamaProvider(base_url=choice.base_url, api_key=key, http_client=client)
            return OllamaModel(choice.model, provider=ollama, settings=settings)
        case Provider.OPENAI:
            from pydantic_ai.models.openai import OpenAIChatModel
            from pydantic_ai.providers.openai import OpenAIProvider

            openai = OpenAIProvider(base_url=choice.base_url, api_key=key, http_client=client)
            return OpenAIChatModel(choice.model, provider=openai, settings=settings)


class BudgetedModel(WrapperModel):
    """A model whose every call is paid from a purse before it is made.

    `spent` is what its calls have taken from the day's budget. A call that the provider could not serve is made again,
    after the wait it asks for; a call whose end is unknown (it was cut, or timed out) may have been served, stays at
    its worst, and is not made again.
    """

    def __init__(self, wrapped: Model, choice: Choice, purse: Purse) -> None:
        super().__init__(wrapped)
        self.spent = Amount()
        self._choice = choice
        self._pricing = pricing_of(choice)
        self._purse = purse
        self._deadline = time.monotonic() + choice.seconds

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Make the call. Raises ResourceExhausted (LLM_BUDGET_SPENT), and what pydantic-ai raises."""
        attempt = 1
        while True:
            try:
                return await self._paid(messages, model_settings, model_request_parameters)
            except PASSING as error:
                wait_s = _wait_s(error, attempt)
                if attempt == self._choice.call_tries or time.monotonic() + wait_s > self._deadline:
                    raise
                log.info("%s cannot serve now: %s", self._choice.label, told(error))
                await asyncio.sleep(wait_s)
                attempt += 1

    async def _paid(self, messages: list[ModelMessage], settings: Any, parameters: Any) -> ModelResponse:
        worst = self._pricing(most_tokens(messages, parameters), self._choice.max_output_tokens)
        reservation = await self._purse.reserve(worst)
        started = time.perf_counter()
        outcome, cost = "unknown", worst
        try:
            response = await super().request(messages, settings, parameters)
            outcome = "answered"
            cost = self._cost(response, worst)
        except ModelHTTPError as error:
            outcome = f"status_{error.status_code}"
            cost = worst if error.status_code in MAYBE_SERVED else Amount()
            raise
        except ModelConnectionError as error:
            outcome = "no_connection" if error.phase in UNSENT else "unknown"
            cost = Amount() if error.phase in UNSENT else worst
            raise
        finally:
            self.spent += cost
            self._count(outcome, cost, time.perf_counter() - started)
            # Who asked may be gone meanwhile; the books are closed all the same.
            await asyncio.shield(asyncio.ensure_future(self._purse.settle(reservation, cost)))
        return response

    def _cost(self, response: ModelResponse, worst: Amount) -> Amount:
        """As the provider counted; where it did not, as bad as it can be."""
        usage = response.usage
        if not usage.input_tokens and not usage.output_tokens:
            return worst
        metrics.LLM_TOKENS.labels(self._choice.provider, "input").inc(usage.input_tokens)
        metrics.LLM_TOKENS.labels(self._choice.provider, "output").inc(usage.output_tokens)
        return self._pricing(usage.input_tokens, usage.output_tokens)

    def _count(self, outcome: str, cost: Amount, seconds: float) -> None:
        metrics.LLM_CALLS.labels(self._choice.provider, outcome).inc()
        metrics.LLM_CALL_SECONDS.labels(self._choice.provider).observe(seconds)
        metrics.LLM_COST_USD.labels(self._choice.provider).inc(cost.usd)


def most_tokens(messages: list[ModelMessage], parameters: ModelRequestParameters) -> int:
    """No more tokens than this can the provider count for a prompt: a token is at least a byte of it."""
    tools = [(tool.name, tool.description, tool.parameters_json_schema) for tool in parameters.output_tools]
    return len(ModelMessagesTypeAdapter.dump_json(messages)) + len(to_json(tools)) + FRAMING_TOKENS


def told(error: ModelAPIError) -> str:
    """What went wrong, without what the server said: it may repeat the key, or say anything."""
    kind = type(error).__name__.removeprefix("_HTTP")
    return f"status {error.status_code} ({kind})" if isinstance(error, ModelHTTPError) else kind


def _wait_s(error: ModelAPIError, attempt: int) -> float:
    if error.retry_after is not None:
        return max(0.0, error.retry_after)
    wait_s: float = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**attempt)
    return wait_s * random.uniform(0.5, 1.0)
