"""The page of settings says what the code does."""

from autodev_runtime.settings import ServiceSettings
from docs.build_settings import PAGE, SERVICES, page


def test_the_page_is_what_the_code_builds() -> None:
    assert PAGE.read_text() == page(), "run `make settings-page`"


def test_every_setting_says_what_it_does() -> None:
    for settings in SERVICES.values():
        for name, field in settings.model_fields.items():
            said = field.description or name in ServiceSettings.model_fields or name.endswith("_address")
            assert said, f"{settings.__name__}.{name} has no docstring"
