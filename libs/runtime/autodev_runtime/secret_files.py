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


def stated(variable: str) -> str:
    """The variable's value, or its file's; "" where there is neither."""
    if value := os.environ.get(variable):
        return value
    folder = secrets_dir()
    file = folder / variable.lower() if folder is not None else None
    return file.read_text().strip() if file is not None and file.is_file() else ""
