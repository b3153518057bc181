"""The page of settings, and the chart's schema, say what the code does."""

import pytest
from pydantic.fields import FieldInfo

from autodev_runtime.settings import ServiceSettings
from docs.build_settings import PAGE, SCHEMA, SERVICES, page, schema, text_of


def test_the_page_is_what_the_code_builds() -> None:
    assert PAGE.read_text() == page(), "run `make settings-page`"


def test_the_chart_knows_the_settings_that_the_code_has() -> None:
    assert SCHEMA.read_text() == schema(), "run `make settings-page`"


def test_every_setting_says_what_it_does() -> None:
    for settings in SERVICES.values():
        for name, field in settings.model_fields.items():
            common = ServiceSettings.model_fields.get(name)
            said = field.description or (common and common.description) or name.endswith("_address")
            assert said, f"{settings.__name__}.{name} has no docstring"


def test_a_setting_that_says_nothing_is_not_given_the_words_of_an_address() -> None:
    assert text_of("fitness_address", FieldInfo()) == "Where that service listens."
    with pytest.raises(ValueError, match="retention_bytes has no docstring"):
        text_of("retention_bytes", FieldInfo())
