"""The program that runs a skill. It runs inside the sandbox: only the standard library, nothing of ours.

Its result is {"literal": the value's repr, "value": the value} or, where JSON has no such value, the literal alone.
What the skill raises ends the program as it is, so the sandbox tells its type and message.
"""

import math
import sys
import types

MAX_LITERAL_CHARACTERS = 64 * 1024
MAX_INTEGER = 2**53 - 1
MAX_LEVELS = 24
MAX_VALUES = 20_000


class NotJson(Exception):
    """The value has no JSON form, or too large a one."""


def run_skill(preamble: str, code: str, call: str) -> dict[str, object]:
    """Evaluate the call where the code is defined."""
    module = types.ModuleType("skill")
    sys.modules["skill"] = module
    for source, name in ((preamble, "<preamble>"), (code, "<skill>")):
        exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)
    value = eval(compile(call.strip(), "<call>", "eval", dont_inherit=True), module.__dict__)
    literal = repr(value)[:MAX_LITERAL_CHARACTERS].encode(errors="backslashreplace").decode()
    try:
        return {"literal": literal, "value": Shaped().shaped(value, MAX_LEVELS)}
    except NotJson:
        return {"literal": literal}


class Shaped:
    """Copies a value into what JSON keeps exactly, and counts what that takes."""

    def __init__(self) -> None:
        self.left = MAX_VALUES
        self.characters_left = MAX_LITERAL_CHARACTERS

    def shaped(self, value: object, levels: int) -> object:
        self.left -= 1
        if levels == 0 or self.left < 0:
            raise NotJson
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int) and abs(value) <= MAX_INTEGER:
            return int(value)
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
        if isinstance(value, list | tuple):
            return [self.shaped(item, levels - 1) for item in value]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {self.text(key): self.shaped(item, levels - 1) for key, item in value.items()}
        raise NotJson

    def text(self, value: str) -> str:
        self.characters_left -= len(value)
        if self.characters_left < 0 or (not value.isascii() and value.encode(errors="replace").decode() != value):
            raise NotJson
        return str(value)
