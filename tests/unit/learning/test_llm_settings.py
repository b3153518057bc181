"""Which settings choose a model, and that none of them prints the key."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from autodev_learning.proposers.llm.choice import BASE_URLS, AnswerForm, ChoiceRefused, Prices, Provider
from autodev_learning.proposers.llm.spending import Amount
from autodev_learning.settings import LearningSettings
from tests.llm import KEY


def test_without_a_model_none_is_asked() -> None:
    assert LearningSettings().llm_choice() is None


@pytest.mark.parametrize("provider", Provider)
def test_a_model_has_its_makers_address_and_the_stated_key(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODEV_LEARNING_LLM_MODEL", f"{provider}:a:model")
    monkeypatch.setenv("AUTODEV_LEARNING_LLM_API_KEY", KEY)
    choice = LearningSettings().llm_choice()
    assert choice is not None
    assert (choice.provider, choice.model, choice.base_url, choice.api_key, choice.prices) == (
        provider,
        "a:model",
        BASE_URLS[provider],
        KEY,
        None,
    )


def test_the_key_may_be_in_a_file_of_its_own_or_of_the_secrets_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "autodev_learning_llm_api_key").write_text(f"{KEY}\n")
    by_name = LearningSettings(llm_model="openai:m", llm_api_key_file=tmp_path / "autodev_learning_llm_api_key")
    monkeypatch.setenv("AUTODEV_SECRETS_DIR", str(tmp_path))
    for settings in (by_name, LearningSettings(llm_model="openai:m")):
        choice = settings.llm_choice()
        assert choice is not None
        assert choice.api_key == KEY


def test_a_model_in_the_cloud_needs_a_key_and_one_at_home_none() -> None:
    for provider in (Provider.OPENAI, Provider.ANTHROPIC, Provider.GOOGLE):
        with pytest.raises(ChoiceRefused, match="needs a key"):
            LearningSettings(llm_model=f"{provider}:m").llm_choice()
    assert LearningSettings(llm_model="ollama:m").llm_choice()
    assert LearningSettings(llm_model="openai:m", llm_base_url="http://127.0.0.1:8000/v1").llm_choice()


def test_prices_and_limits_are_as_stated() -> None:
    settings = LearningSettings(
        llm_model="ollama:m",
        llm_usd_per_million_input_tokens=0.5,
        llm_usd_per_million_output_tokens=2,
        llm_tokens_per_day=7,
        llm_usd_per_day=0.1,
    )
    choice = settings.llm_choice()
    assert choice is not None
    assert choice.prices == Prices(0.5, 2)
    assert settings.llm_limit == Amount(7, 100_000_000)


def test_further_models_are_proposers_of_their_own_within_the_same_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("another key\n")
    further = {
        "small": {"model": "openai:s"},
        "claude": {"model": "anthropic:c", "api_key_file": str(tmp_path / "key"), "answer_form": "text"},
        "at-home": {
            "model": "ollama:q",
            "usd_per_million_input_tokens": 0.5,
            "usd_per_million_output_tokens": 2,
        },
    }
    monkeypatch.setenv("AUTODEV_LEARNING_LLM_FURTHER_MODELS", json.dumps(further))
    first, small, claude, home = LearningSettings(llm_model="openai:m", llm_api_key=KEY, llm_seconds=7.0).llm_choices()
    assert [each.proposer for each in (first, small, claude, home)] == ["llm", "llm-small", "llm-claude", "llm-at-home"]
    assert [each.label for each in (first, small, claude, home)] == ["openai:m", "openai:s", "anthropic:c", "ollama:q"]
    # The key goes to no other address than the one that it was stated for.
    assert [each.api_key for each in (first, small, claude, home)] == [KEY, KEY, "another key", ""]
    assert (claude.form, home.prices, home.seconds) == (AnswerForm.TEXT, Prices(0.5, 2), 7.0)


def test_a_further_model_in_the_cloud_needs_a_key_of_its_own() -> None:
    settings = LearningSettings(
        llm_model="openai:m", llm_api_key=KEY, llm_further_models={"other": {"model": "google:g"}}
    )
    with pytest.raises(ChoiceRefused, match="google:g needs a key: set its api_key_file"):
        settings.llm_choices()


@pytest.mark.parametrize(
    "wrong",
    [
        {"llm_further_models": {"small": {"model": "ollama:m"}}},
        {"llm_model": "ollama:m", "llm_further_models": {"Small one": {"model": "ollama:m"}}},
        {"llm_model": "ollama:m", "llm_further_models": {"small": {"model": "gpt"}}},
        {"llm_model": "ollama:m", "llm_further_models": {"small": {"model": "ollama:m", "api_key": KEY}}},
        {
            "llm_model": "ollama:m",
            "llm_further_models": {"small": {"model": "ollama:m", "usd_per_million_input_tokens": 1}},
        },
        {"llm_model": "ollama:m", "llm_further_models": {f"m{n}": {"model": "ollama:m"} for n in range(9)}},
        {"llm_model": "gpt"},
        {"llm_model": "openai:"},
        {"llm_model": "elsewhere:m"},
        {"llm_usd_per_million_input_tokens": 1.0},
        {"llm_tries": 0},
        {"llm_api_key_file": "/nowhere"},
    ],
)
def test_what_is_wrong_is_refused_and_the_key_is_not_printed(wrong: dict[str, object]) -> None:
    settings = LearningSettings(llm_api_key=KEY)
    assert KEY not in repr(settings) + str(settings)
    with pytest.raises(ValidationError) as error:
        LearningSettings(llm_api_key=KEY, **wrong)  # type: ignore[arg-type]
    assert KEY not in str(error.value)
