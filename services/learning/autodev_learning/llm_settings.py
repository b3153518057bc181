"""What an operator can set about language models, as AUTODEV_LEARNING_LLM_<NAME>. Without a model, none is asked."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator
from pydantic_settings import SettingsConfigDict

from autodev_learning.proposers.allowance import NANO
from autodev_learning.proposers.llm.choice import (
    BASE_URLS,
    NAME,
    AnswerForm,
    Choice,
    ChoiceRefused,
    Prices,
    Provider,
    provider_and_model,
)
from autodev_learning.proposers.llm.spending import Amount
from autodev_runtime.database_settings import DatabaseSettings

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]


class StatedModel(BaseModel):
    """A model as an operator states it: what differs from model to model."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model: str
    base_url: str = ""
    api_key_file: Path | None = None
    answer_form: AnswerForm = AnswerForm.TOOL
    usd_per_million_input_tokens: float | None = Field(default=None, ge=0)
    usd_per_million_output_tokens: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        provider_and_model(self.model)
        _check_prices(self.usd_per_million_input_tokens, self.usd_per_million_output_tokens)
        return self


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
    llm_max_guidance: int = Field(default=4, ge=1)
    """Guidances that the model words at a time, of all tenants; the rules word those beyond."""
    llm_tries: int = Field(default=3, ge=1, le=10)
    """Answers that are asked for, each after the first with what was wrong with the one before."""
    llm_call_tries: int = Field(default=3, ge=1, le=10)
    """How often one call is made while the provider says that it cannot serve it now."""
    llm_further_models: dict[ModelName, StatedModel] = Field(default={}, max_length=8)
    """More models by name, as JSON: `{"small": {"model": "openai:<model>", "api_key_file": "<file>"}}` is the proposer
    `llm-small`, within the same bounds and the same day's budget. Also `base_url`, `answer_form`,
    `usd_per_million_input_tokens` and `usd_per_million_output_tokens`, as above. Without a file, its key is that of
    `llm_model` where that is at the same address."""

    @model_validator(mode="after")
    def _llm_can_be_asked(self) -> Self:
        if self.llm_api_key.get_secret_value() and self.llm_api_key_file is not None:
            raise ValueError("llm_api_key and llm_api_key_file are both set: state the key once")
        _check_prices(self.llm_usd_per_million_input_tokens, self.llm_usd_per_million_output_tokens)
        if self.llm_model:
            provider_and_model(self.llm_model)
        if self.llm_further_models and not self.llm_model:
            raise ValueError("llm_further_models are beside llm_model: state that first")
        return self

    def llm_choice(self) -> Choice | None:
        """The model to ask; None where none is set. Raises ChoiceRefused, and OSError for a key's file."""
        return next(iter(self.llm_choices()), None)

    def llm_choices(self) -> list[Choice]:
        """The model to ask, then the further ones. Raises ChoiceRefused, and OSError for a key's file."""
        if not self.llm_model:
            return []
        first = self._choice(NAME, self._first(), self._llm_key())
        choices = [first]
        for name, each in self.llm_further_models.items():
            key = _read(each.api_key_file) if each.api_key_file is not None else ""
            choice = self._choice(f"{NAME}-{name}", each, key)
            if not key and choice.base_url == first.base_url:
                choice = replace(choice, api_key=first.api_key)
            choices.append(choice)
        for choice in choices:
            _require_key(choice)
        return choices

    def _first(self) -> StatedModel:
        return StatedModel(
            model=self.llm_model,
            base_url=self.llm_base_url,
            answer_form=self.llm_answer_form,
            usd_per_million_input_tokens=self.llm_usd_per_million_input_tokens,
            usd_per_million_output_tokens=self.llm_usd_per_million_output_tokens,
        )

    def _choice(self, proposer: str, stated: StatedModel, key: str) -> Choice:
        provider, model = provider_and_model(stated.model)
        return Choice(
            provider=provider,
            model=model,
            base_url=stated.base_url or BASE_URLS[provider],
            api_key=key,
            proposer=proposer,
            form=stated.answer_form,
            prices=_prices(stated),
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
            return _read(self.llm_api_key_file)
        return self.llm_api_key.get_secret_value().strip()

    @property
    def llm_limit(self) -> Amount:
        """What each tenant may spend in a day."""
        return Amount(self.llm_tokens_per_day, round(self.llm_usd_per_day * NANO))


def _check_prices(paid_in: float | None, paid_out: float | None) -> None:
    if (paid_in is None) != (paid_out is None):
        raise ValueError("the two prices, of a million tokens in and out, are set together")


def _prices(stated: StatedModel) -> Prices | None:
    paid_in, paid_out = stated.usd_per_million_input_tokens, stated.usd_per_million_output_tokens
    return None if paid_in is None or paid_out is None else Prices(paid_in, paid_out)


def _require_key(choice: Choice) -> None:
    """Raises ChoiceRefused for a model in the cloud without one."""
    if not choice.api_key and choice.provider is not Provider.OLLAMA and choice.base_url == BASE_URLS[choice.provider]:
        setting = "llm_api_key_file" if choice.proposer == NAME else "its api_key_file"
        raise ChoiceRefused(f"{choice.label} needs a key: set {setting}")


def _read(key_file: Path) -> str:
    return key_file.read_text(encoding="utf-8").strip()
