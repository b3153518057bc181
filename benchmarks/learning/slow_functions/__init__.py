"""Twenty honest slow functions, one a module: programs as people write them, each before anybody looks at a clock.

What they are called with is in `cases.py`. Their text is data: it is run in the sandbox only.
"""

from importlib import resources


def slow_function(name: str) -> str:
    """The text of one."""
    return resources.files(__name__).joinpath(f"{name}.py").read_text(encoding="utf-8")
