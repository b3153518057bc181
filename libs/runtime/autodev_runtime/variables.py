"""The variables that settings are read from, and what an operator is told of wrong ones."""

import difflib
import re
from collections.abc import Iterable

from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsError

# pydantic-settings names the field in its text only.
_UNREAD = re.compile('error parsing value for field "([^"]+)"')
LIKENESS = 0.8
"""How alike two names are for the one to be taken for a slip of the other, as `difflib` has it."""


def variable_of(settings: type[BaseSettings], name: str) -> str:
    """The variable that a setting is read from."""
    field = settings.model_fields.get(name)
    if field is None:
        # The variable's own: that of a setting of the whole mesh.
        return name
    return str(field.validation_alias or f"{settings.model_config.get('env_prefix', '')}{name.upper()}")


def line_of(settings: type[BaseSettings], error: ErrorDetails) -> str:
    """What is wrong, and with which variable. Never its value, which may be a secret."""
    said = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return f"{settings.model_config.get('env_prefix', '')}*: {said}"
    name, *inner = (str(each) for each in error["loc"])
    return f"{'.'.join((variable_of(settings, name), *inner))}: {said}"


def line_of_unread(settings: type[BaseSettings], error: SettingsError) -> str:
    """The same of a value with parts that could not be read at all."""
    found = _UNREAD.search(str(error))
    return f"{variable_of(settings, found[1])}: this is not JSON" if found else str(error)


def variables_of(settings: type[BaseSettings]) -> list[str]:
    """The variables of all settings."""
    return [variable_of(settings, name) for name in settings.model_fields]


def unknown_variables(settings: type[BaseSettings], stated: Iterable[str]) -> list[str]:
    """A line for each of the variables that begins as the service's settings do, and is none of them."""
    known = variables_of(settings)
    prefix = str(settings.model_config.get("env_prefix", ""))
    return [
        f"{variable}: there is no such setting{_guess(variable, known, prefix)}"
        for variable in sorted(stated)
        if variable.startswith(prefix) and variable.partition("__")[0] not in known
    ]


def _guess(variable: str, known: Iterable[str], prefix: str) -> str:
    # Without what all of them begin with, which would make any two alike.
    own = {each.removeprefix(prefix).removeprefix("AUTODEV_"): each for each in known}
    near = difflib.get_close_matches(variable.removeprefix(prefix), own, n=1, cutoff=LIKENESS)
    return "".join(f"; perhaps {own[each]}?" for each in near)
