"""What an operator can set about language models, as AUTODEV_LEARNING_LLM_<NAME>. Without a model, none is asked."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from autodev_learning.proposers.allowance import NANO
from autodev_learning.proposers.llm.choice import (
    BASE_URLS,
    AnswerForm,
    Choice,
    ChoiceRefused,
    Prices,
    Provider,
    provider_and_model,
)
from autodev_learning.proposers.llm.spending import Amount
from autodev_runtime.database_settings import DatabaseSettings


class LlmSettings(DatabaseSettings):
    """The part of the service's settings that docs/llm.md is about."""

    # What is wrong with one setting must not print another one, which may be the key.
    model_config = SettingsConfigDict(hide_input_in_errors=True)

    llm_model: str = ""
    """The language model that the proposer `llm` and the advisor ask: `openai:<model>`, `anthropic:<model>`,
    `google:<model>` or `ollama:<model>`. Empty: none, and nothing is sent anywhere."""
    llm_base_url: str = ""
    """Where it is: any server that speaks the provider's protocol. Empty: the provider's own address; `ollama`:
    `http://127.0.0.1:11434/v1`."""
    llm_api_key: SecretStr = SecretStr("")
    """The key for it. Better in a file: `llm_api_key_file`, or one in `AUTODEV_SECRETS_DIR`."""
    llm_api_key_file: Path | None = None
    """A file that holds the key."""
    llm_answer_form: AnswerForm = AnswerForm.TOOL
    """How the model is told to answer: by a `tool` call, or as `text`, for models that have no tools."""
    llm_tokens_per_day: int = Field(default=500_000, ge=0, le=10**15)
    """Tokens, of prompts and answers, that each tenant may use in a UTC day."""
    llm_usd_per_day: float = Field(default=5.0, ge=0, le=1_000_000)
    """US dollars that each tenant may spend in a UTC day."""
    llm_usd_per_million_input_tokens: float | None = Field(default=None, ge=0)
    """What a million tokens of prompts cost. Unset: as the price list of genai-prices says of the model; a model that
    it does not know, or that is at another address than its maker's, needs both prices stated."""
    llm_usd_per_million_output_tokens: float | None = Field(default=None, ge=0)
    """What a million tokens of answers cost."""
    llm_max_output_tokens: int = Field(default=8192, ge=16)
    """Tokens that one answer may have, its reasoning included. So many are reserved for each call."""
    llm_max_prompt_characters: int = Field(default=60_000, ge=2_000)
    """About how long the first prompt of a question may be; what is longer is cut."""
    llm_max_answer_bytes: int = Field(default=1_000_000, ge=10_000)
    """How much the model's server may send for one call; more is an error."""
    llm_timeout_s: float = Field(default=60.0, gt=0)
    """How long one call may take."""
    llm_seconds: float = Field(default=90.0, gt=0)
    """How long all calls of one proposal, or of one guidance, may take."""
    llm_tries: int = Field(default=3, ge=1, le=10)
    """Answers that are asked for, each after the first with what was wrong with the one before."""
    llm_call_tries: int = Field(default=3, ge=1, le=10)
    """How often one call is made while the provider says that it cannot serve it now."""

    @model_validator(mode="after")
    def _llm_can_be_asked(self) -> Self:
        if self.llm_api_key.get_secret_value() and self.llm_api_key_file is not None:
            raise ValueError("llm_api_key and llm_api_key_file are both set: state the key once")
        if (self.llm_usd_per_million_input_tokens is None) != (self.llm_usd_per_million_output_tokens is None):
            raise ValueError("the two prices, of a million tokens in and out, are set together")
        if self.llm_model:
            provider_and_model(self.llm_model)
        return self

    def llm_choice(self) -> Choice | None:
        """The model to ask; None where none is set. Raises ChoiceRefused, and OSError for a key's file."""
        if not self.llm_model:
            return None
        provider, model = provider_and_model(self.llm_model)
        base_url = self.llm_base_url or BASE_URLS[provider]
        key = self._llm_key()
        if not key and provider is not Provider.OLLAMA and base_url == BASE_URLS[provider]:
            raise ChoiceRefused(f"{self.llm_model} needs a key: set llm_api_key_file")
        return Choice(
            provider=provider,
            model=model,
            base_url=base_url,
            api_key=key,
            form=self.llm_answer_form,
            prices=self._llm_prices(),
            max_output_tokens=self.llm_max_output_tokens,
            max_prompt_characters=self.llm_max_prompt_characters,
            max_answer_bytes=self.llm_max_answer_bytes,
            timeout_s=self.llm_timeout_s,
            seconds=self.llm_seconds,
            tries=self.llm_tries,
            call_tries=self.llm_call_tries,
        )

    def _llm_key(self) -> str:
        if self.llm_api_key_file is not None:
            return self.llm_api_key_file.read_text(encoding="utf-8").strip()
        return self.llm_api_key.get_secret_value().strip()

    def _llm_prices(self) -> Prices | None:
        paid_in, paid_out = self.llm_usd_per_million_input_tokens, self.llm_usd_per_million_output_tokens
        return None if paid_in is None or paid_out is None else Prices(paid_in, paid_out)

    @property
    def llm_limit(self) -> Amount:
        """What each tenant may spend in a day."""
        return Amount(self.llm_tokens_per_day, round(self.llm_usd_per_day * NANO))
