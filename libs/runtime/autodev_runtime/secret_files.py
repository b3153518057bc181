"""Settings that are secret, as files: an environment is shown to whoever may look at the process, a file is not.

`AUTODEV_SECRETS_DIR` names a folder. A file in it that is named as a variable, in lower case, is that variable's value
where the environment has none: `autodev_gateway_database_url`.
"""

import os
from pathlib import Path

SECRETS_DIR = "AUTODEV_SECRETS_DIR"


def secrets_dir() -> Path | None:
    """The folder; None where none is named. Raises ValueError where it is named and missing."""
    named = os.environ.get(SECRETS_DIR)
    if not named:
        return None
    if not Path(named).is_dir():
        raise ValueError(f"{SECRETS_DIR}: {named} is no folder")
    return Path(named)


def secrets() -> dict[str, Path]:
    """The folder's files, by the variables that they are named as. Raises ValueError as `secrets_dir` does."""
    folder = secrets_dir()
    return {} if folder is None else {file.name.upper(): file for file in folder.iterdir() if file.is_file()}


def secret_in(file: Path) -> str:
    """What a file says. Raises ValueError where that is nothing: it was to be a secret, and was not written."""
    if said := file.read_text().strip():
        return said
    raise ValueError(f"{file.name.upper()}: {file} is empty; write the value into it, or take it away")


def stated(variable: str) -> str:
    """The variable's value, or its file's; "" where there is neither. Raises ValueError as the two above do."""
    if value := os.environ.get(variable):
        return value
    file = secrets().get(variable)
    return secret_in(file) if file is not None else ""
