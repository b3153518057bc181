"""Which model is asked, where, and within which bounds."""

from dataclasses import dataclass, field
from enum import StrEnum

from autodev_runtime.starting import CannotStart

NAME = "llm"
"""The proposer that asks the model; further models are `llm-<name>`."""


class Provider(StrEnum):
    """Whose protocol is spoken. `openai` is any server that speaks chat completions, at any base URL."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"
    OLLAMA = "ollama"


class AnswerForm(StrEnum):
    """How a model is told to answer: by a tool call that states each field, or as text, for models without tools."""

    TOOL = "tool"
    TEXT = "text"


BASE_URLS = {
    Provider.OPENAI: "https://api.openai.com/v1",
    Provider.ANTHROPIC: "https://api.anthropic.com",
    Provider.GOOGLE: "https://generativelanguage.googleapis.com",
    Provider.OLLAMA: "http://127.0.0.1:11434/v1",
}


class ChoiceRefused(CannotStart):
    """A configuration by which no model can be asked: the service does not start with it."""


class NoAnswer(Exception):
    """Why a model gave nothing that can be used, in words for people."""


@dataclass(frozen=True)
class Prices:
    """US dollars per million tokens of a prompt and of an answer."""

    usd_per_million_input_tokens: float
    usd_per_million_output_tokens: float


@dataclass(frozen=True)
class Choice:
    """A model and what asking it may take.

    `timeout_s` bounds one call, `seconds` all calls of one proposal or guidance. `tries` answers are asked for, each
    after the first with what was wrong with the one before; a call that the provider could not serve is made up to
    `call_tries` times. `prices` unset: the price list's. `proposer` is the name by which workspaces know it.
    """

    provider: Provider
    model: str
    base_url: str
    api_key: str = field(default="", repr=False)
    proposer: str = NAME
    form: AnswerForm = AnswerForm.TOOL
    prices: Prices | None = None
    max_output_tokens: int = 8192
    max_prompt_characters: int = 60_000
    max_answer_bytes: int = 1_000_000
    timeout_s: float = 60.0
    seconds: float = 90.0
    tries: int = 3
    call_tries: int = 3

    @property
    def label(self) -> str:
        """The model as it is configured: `openai:gpt-5`."""
        return f"{self.provider}:{self.model}"


def asks_a_model(proposer: str) -> bool:
    """Whether a proposer's name is that of a language model."""
    return proposer == NAME or proposer.startswith(f"{NAME}-")


def provider_and_model(model: str) -> tuple[Provider, str]:
    """Read `provider:model`. Raises ChoiceRefused."""
    prefix, _, name = model.partition(":")
    if prefix not in set(Provider) or not name:
        raise ChoiceRefused(f"{model!r} is no model: write <provider>:<model>, provider one of {', '.join(Provider)}")
    return Provider(prefix), name
