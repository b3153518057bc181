"""The code's own process: confine it, run the code, give its value as JSON text."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import builtins
import gc
import marshal
import posix
import resource
import sys
from _json import encode_basestring_ascii as quote

from . import compiling, kernel
from .host import CUT_CHARACTERS, ERROR, ERROR_BYTES, LENGTH_BYTES, VALUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType, TracebackType
    from typing import Any, NoReturn

    # See `wire.py`, which makes it.
    Request = dict[str, Any]

MODULE_FILE = "skill.py"
MESSAGE, INPUTS = 3, 4
NONCE_BYTES = 16
MAX_DESCRIPTORS = 256
MAX_TEXT_CHARACTERS = 10_000
MAX_FRAMES = 20
UNSPEAKABLE = "(its message cannot be made)"
RESERVE_BYTES = 4 * 1024 * 1024
reserve: list[bytes] = []


class NotJson(Exception):
    """The value is not JSON-shaped."""


def main(pipes: list[int]) -> NoReturn:
    """Answer what comes before the request to get warm, then serve the one request, and exit."""
    exit_code = 1
    try:
        confine(pipes)
        nonce, request = next_piece()
        if "warm" in request:
            get_warm(nonce, request)
            nonce, request = next_piece()
        limit_resources(request)
        if request["filter"]:
            kernel.load_filter(request["filter"])
        gc.enable()
        # Not a bytearray: that one is written to, page by page, when it is made.
        reserve.append(bytes(RESERVE_BYTES))
        exit_code = serve_calls(request, nonce) if "calls" in request else serve_once(request, nonce)
    finally:
        posix._exit(exit_code)


def get_warm(nonce: bytes, request: Request) -> None:
    tell(nonce, outcome_of(lambda: run_module(request), request["code"])[1])
    del sys.modules["skill"]


def serve_once(request: Request, nonce: bytes) -> int:
    """Run the code and give one message."""
    posix.close(INPUTS)
    process = posix.getpid()
    if request["streams"]:
        # Lines go out as they are printed, as they would on a terminal.
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    exit_code, message = outcome_of(lambda: run_module(request), request["code"])
    flush()
    # A fork of the code's that returns here as well has no result to give.
    if message and posix.getpid() == process:
        tell(nonce, message)
    return exit_code


def serve_calls(request: Request, nonce: bytes) -> int:
    """Load the code and say so by an empty message; then give one message a call, until no more inputs come."""
    process = posix.getpid()
    loaded: list[Callable[..., object]] = []
    exit_code, message = outcome_of(lambda: loaded.append(load(request)), request["code"])
    flush()
    if loaded:
        answer_calls(loaded[0], request["code"], nonce, process)
    elif message and posix.getpid() == process:
        tell(nonce, message)
    return exit_code


def answer_calls(function: Callable[..., object], code: str, nonce: bytes, process: int) -> None:
    message = ""
    while posix.getpid() == process:
        tell(nonce, message)
        nonce, inputs = next_piece()
        _, message = outcome_of(lambda: function(**inputs), code)  # noqa: B023  # Called before the next round.
        message = message or error_message("SystemExit", "the call exited", "")
        flush()


def tell(nonce: bytes, message: str) -> None:
    body = message.encode()
    data = nonce + len(body).to_bytes(LENGTH_BYTES, "big") + body
    while data:
        data = data[posix.write(MESSAGE, data) :]


def next_piece() -> tuple[bytes, dict[str, Any]]:
    """Wait for the request, or a call's inputs: the nonce that the answer must have, and what came."""
    nonce = read_exactly(NONCE_BYTES)
    piece: dict[str, Any] = marshal.loads(read_exactly(int.from_bytes(read_exactly(LENGTH_BYTES), "big")))
    return nonce, piece


def read_exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = posix.read(INPUTS, size - len(data))
        if not chunk:
            posix._exit(0)
        data += chunk
    return data


def confine(pipes: list[int]) -> None:
    _signal.set_wakeup_fd(-1)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    # The supervisor opened its own pipe before these: each is above the number it moves to.
    descriptors = [posix.open("/dev/null", posix.O_RDONLY), *pipes]
    for target, descriptor in enumerate(descriptors):
        posix.dup2(descriptor, target, target < MESSAGE)
    posix.closerange(len(descriptors), MAX_DESCRIPTORS)
    # `os.environ` is made from these when the code imports os.
    for name in list(posix.environ):
        posix.unsetenv(name)
        del posix.environ[name]


def limit_resources(request: Request) -> None:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: MAX_DESCRIPTORS,
        resource.RLIMIT_FSIZE: request["tmp_bytes"],
        resource.RLIMIT_AS: request["address_space_bytes"],
        resource.RLIMIT_NPROC: request["processes"],
    }
    for limit, value in limits.items():
        if value is not None:
            hard = resource.getrlimit(limit)[1]
            allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(limit, (allowed, allowed))


def outcome_of(work: Callable[[], object], code: str) -> tuple[int, str]:
    """Do it: the exit code, and the message to the host as JSON text."""
    try:
        return 0, f"{VALUE}{to_json(work())}}}"
    except SystemExit as error:
        return exit_code_of(error), ""
    except NotJson as error:
        return 1, error_message("TypeError", f"the result is not JSON-shaped: {error}", "")
    except BaseException as error:
        # Where memory is used up, telling so takes some.
        reserve.clear()
        try:
            return 1, describe(error, code)
        except BaseException:
            # The code made its error so that it cannot be described.
            return 1, error_message(type.__dict__["__name__"].__get__(type(error)), UNSPEAKABLE, "")


def run_module(request: Request) -> object:
    if request["entry_point"]:
        return load(request)(**request["inputs"])
    module_named("__main__", request["code"])
    return None


def load(request: Request) -> Callable[..., object]:
    """The entry point. Raises what the code raises, NameError where it defines no such name."""
    module = module_named("skill", request["code"])
    try:
        function: Callable[..., object] = module.__dict__[request["entry_point"]]
    except KeyError:
        raise NameError(f"entry point {request['entry_point']!r} is not defined") from None
    return function


def module_named(name: str, code: str) -> ModuleType:
    compiled_code = compiled(code)
    module = type(sys)(name)
    # Dataclasses and pickle look their module up.
    sys.modules[name] = module
    module.__file__ = MODULE_FILE
    # `site` makes these, and takes time to load; programs that end by exit() are many.
    vars(builtins).update(exit=sys.exit, quit=sys.exit)
    exec(compiled_code, module.__dict__)
    return module


def compiled(code: str) -> CodeType:
    try:
        return compiling.compiled(code, MODULE_FILE)
    except SyntaxError:
        raise
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        # A NUL in the text, or more nesting than the parser takes.
        raise SyntaxError(f"the code cannot be read: {type(error).__name__} {error}".rstrip()) from None


def exit_code_of(error: SystemExit) -> int:
    try:
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return int.__and__(error.code, 0xFF)
        print(error.code, file=sys.__stderr__ if sys.stderr is None else sys.stderr)
    except BaseException:
        # The code made its exit so that it cannot be told, or put something else in the place of stderr.
        return 1
    return 1


def flush() -> None:
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except Exception:
            # The code put something else there, closed it, or took it away.
            continue


def to_json(value: object) -> str:
    """JSON text of a value that has an obvious JSON form; NotJson for any other."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quote(value)
    try:
        if isinstance(value, int):
            return int.__repr__(value)
        if isinstance(value, float):
            return float_text(value)
        if isinstance(value, list | tuple):
            return "[" + ", ".join([to_json(item) for item in value]) + "]"
        if isinstance(value, dict):
            return "{" + ", ".join([f"{key_text(key)}: {to_json(item)}" for key, item in value.items()]) + "}"
    except RecursionError:
        raise NotJson("it is nested too deep, or holds itself") from None
    except ValueError as error:
        raise NotJson(str(error)) from None
    raise NotJson(f"it holds a value of type {type(value).__name__}")


def float_text(value: float) -> str:
    text = float.__repr__(value)
    if text in ("nan", "inf", "-inf"):
        raise NotJson(f"it holds the number {text}")
    return text


def key_text(key: object) -> str:
    if not isinstance(key, str):
        raise NotJson(f"it holds a dict with a key of type {type(key).__name__}")
    return quote(key)


def describe(error: BaseException, code: str) -> str:
    try:
        text = str(error)[:MAX_TEXT_CHARACTERS]
    except BaseException:
        text = UNSPEAKABLE
    kind = type(error).__name__
    # Not splitlines, which knows more ends of lines than Python's own grammar.
    frames = frames_of(error, code.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    if len(frames) > MAX_FRAMES:
        half = MAX_FRAMES // 2
        frames = [*frames[:half], f"  [{len(frames) - 2 * half} more]\n", *frames[-half:]]
    header = "" if isinstance(error, SyntaxError) else "Traceback (most recent call last):\n"
    return error_message(kind, text, f"{header}{''.join(frames)}{kind}: {text}\n" if frames else "")


def frames_of(error: BaseException, lines: list[str]) -> list[str]:
    if isinstance(error, SyntaxError) and error.filename == MODULE_FILE:
        return [frame_text(error.lineno or 1, "", lines)]
    frames = []
    step: TracebackType | None = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == MODULE_FILE:
            frames.append(frame_text(step.tb_lineno, f", in {step.tb_frame.f_code.co_name}", lines))
        step = step.tb_next
    return frames


def frame_text(line: int, where: str, lines: list[str]) -> str:
    source = lines[line - 1].strip()[:200] if 0 < line <= len(lines) else ""
    return f'  File "{MODULE_FILE}", line {line}{where}\n' + f"    {source}\n" * bool(source)


def error_message(kind: str, text: str, traceback: str) -> str:
    """At most ERROR_BYTES."""
    message = f'{ERROR}{{"type": {quote(kind)}, "message": {quote(text)}, "traceback": {quote(traceback)}}}}}'
    if len(message) > ERROR_BYTES:
        return error_message(*(part[:CUT_CHARACTERS] for part in (kind, text, traceback)))
    return message
