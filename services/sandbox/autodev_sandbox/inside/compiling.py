"""`compile` by the interpreter's own function.

The built-in first makes the ninety types that a syntax tree may be of, to see that the source is none. In a process
that compiles once, this takes longer than the fork that made the process.
"""

from __future__ import annotations

import _ctypes
import sys

from .kernel import LIBRARY, array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

# Include/cpython/compile.h, Include/compile.h
SOURCE_IS_UTF8, IGNORE_COOKIE, MODULE = 0x100, 0x800, 257
AS_INTERPRETER_WAS_STARTED = -1


class Object(_ctypes._SimpleCData):  # type: ignore[type-arg]
    """A Python object."""

    _type_ = "O"


class InterpreterFunction(_ctypes.CFuncPtr):
    """One that tells of its failure by an exception."""

    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_PYTHONAPI
    _restype_ = Object


def compiled(code: str, file: str) -> CodeType:
    """As `compile(code, file, "exec", dont_inherit=True)`. Raises what that does."""
    if "\0" in code:
        raise SyntaxError("source code string cannot contain null bytes")
    function: Any = InterpreterFunction(_ctypes.dlsym(LIBRARY, "Py_CompileStringExFlags"))
    numbers = (SOURCE_IS_UTF8 | IGNORE_COOKIE, sys.version_info[1])
    flags = array(b"".join([number.to_bytes(4, sys.byteorder) for number in numbers]))
    result: CodeType = function(code.encode(), file.encode(), MODULE, flags, AS_INTERPRETER_WAS_STARTED)
    return result
