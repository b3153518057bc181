"""What agents and their programs wrote neither breaks a command nor moves the terminal's cursor, whatever prints it."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import typer.main
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from autodev_cli import output
from autodev_cli.__main__ import COMMANDS, app
from autodev_cli.lineage import MOST_ANSWERS
from autodev_sdk.visible import visible, visible_lines

HOSTILE = "[/b] list[int] :bomb: \x1b[1A\x1b[2K \x9b2K \u202e evil \u2066 \r\x08 \x1b]0;title\x07"
ESCAPED = "[/b] list[int] :bomb: \\x1b[1A\\x1b[2K"
STYLES = re.compile(r"\x1b\[[0-9;]*m")
"""What colours a terminal's text, and moves nothing."""

SHOWN = (
    "events tail", "events dead g", "events groups",
    "review list", "review show r", "review approve r", "review reject r --reason x",
    "skills list", "skills show s", "skills examples s", "skills run s s(1)", "skills search w", "skills rollback s",
    "skills export s --to {directory}/s.zip", "skills import {directory}",
    "evolve opportunities", "evolve start o", "evolve run --agent a --skill s", "evolve watch e",
    "evolve experiments", "evolve cancel e",
    "fitness top", "fitness lineage v", "fitness explain v", "fitness compare v w", "fitness mutate v --agent a",
    "keys list", "keys create s", "keys rotate k --save {directory}/k", "keys revoke k",
    "webhooks list", "agents list", "agents set-maturity a intern", "agents unset-maturity a --capability c",
    "settings show", "settings set --enabled", "status",
)  # fmt: skip
NOTHING_OF_OTHERS = {"events replay", "events discard", "events delete-group", "events handle", "webhooks replay"} | {
    *("up", "demo", "replay", "migrate", "certs create", "certs renew", "certs keep", "certs list"),
    *("audit list", "audit verify"),
}
"""Commands that print counts, or what this machine says; the audit log's entries are JSON, which escapes."""


class _Hostile(grpc.GenericRpcHandler):
    """Answers every RPC of the mesh with messages each of whose texts is hostile."""

    def service(self, handler_call_details: Any) -> Any:
        service, _, name = handler_call_details.method.lstrip("/").rpartition("/")
        if service.startswith("grpc."):
            return None
        method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]

        def one(request: bytes, context: grpc.ServicerContext) -> bytes:
            return _answer(method).SerializeToString()

        def many(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            yield one(request, context)
            if name == "Subscribe":
                yield b""

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(many)
        return grpc.unary_unary_rpc_method_handler(one)


def _answer(method: MethodDescriptor) -> Message:
    answer: Message = message_factory.GetMessageClass(method.output_type)()
    _fill(answer)
    return answer


def _fill(message: Message, choice: int = 0) -> None:
    descriptor = message.DESCRIPTOR
    chosen = {each.fields[choice % len(each.fields)].name for each in descriptor.oneofs}
    for field in descriptor.fields:
        if field.containing_oneof is None or field.name in chosen:
            _fill_field(message, field)


def _fill_field(message: Message, field: Any) -> None:
    kind = field.message_type
    if kind is not None and kind.full_name == "google.protobuf.Timestamp":
        if not field.is_repeated:
            getattr(message, field.name).FromSeconds(1_800_000_000)
    elif kind is not None and (kind.GetOptions().map_entry or kind.full_name.startswith("google.protobuf.")):
        return
    elif kind is not None and field.is_repeated:
        for choice in range(max((len(each.fields) for each in kind.oneofs), default=1)):
            _fill(getattr(message, field.name).add(), choice)
    elif kind is not None:
        _fill(getattr(message, field.name))
    elif field.type == FieldDescriptor.TYPE_STRING and not field.name.endswith(("page_token", "cursor")):
        if field.is_repeated:
            getattr(message, field.name).append(HOSTILE)
        else:
            setattr(message, field.name, HOSTILE)
    elif field.type == FieldDescriptor.TYPE_BOOL and not field.is_repeated:
        setattr(message, field.name, True)


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([_Hostile()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture(params=["", "1"], ids=["piped", "terminal"])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param:
        monkeypatch.setenv("FORCE_COLOR", request.param)
    output.console.cache_clear()
    yield
    output.console.cache_clear()


def harmless(text: str) -> bool:
    return all(each.isprintable() or each in "\n\t" for each in STYLES.sub("", text))


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("command", SHOWN)
def test_no_command_prints_what_moves_the_cursor(
    command: str, hostile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command.format(directory=tmp_path).split()
    with pytest.raises(SystemExit) as ended:
        app([*words, "--address", hostile, "--api-key", "k"])
    assert ended.value.code == (1 if command == "status" else 0)
    shown = capsys.readouterr().out
    assert shown
    assert harmless(shown), repr(shown)


def test_a_lineage_without_end_is_cut_and_says_so(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(["fitness", "lineage", "v", "--address", hostile, "--api-key", "k"])
    assert f"more than these {MOST_ANSWERS}: go on with autodev fitness lineage {ESCAPED}" in capsys.readouterr().out


def test_every_command_is_among_them_or_prints_nothing_of_others() -> None:
    commands = set()
    for name in COMMANDS:
        command: Any = typer.main.get_command(app).get_command(None, name)  # type: ignore[attr-defined]
        commands |= {f"{name} {each}" for each in getattr(command, "commands", ())} or {name}
    shown = {each for each in commands if any(f"{known} ".startswith(f"{each} ") for known in SHOWN)}
    assert shown | NOTHING_OF_OTHERS == commands
    assert not shown & NOTHING_OF_OTHERS


def test_only_the_module_for_output_prints_on_the_console() -> None:
    package = Path(output.__file__).parent
    printing = re.compile(r"console\(\)\.(print|log|out)\b")
    found = [path.name for path in package.rglob("*.py") if printing.search(path.read_text("utf-8"))]
    assert found == ["output.py"]


def test_a_review_shows_its_title_as_it_was_written(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.console.cache_clear()
    with pytest.raises(SystemExit):
        app(["review", "show", "r", "--address", hostile, "--api-key", "k"])
    assert ESCAPED in capsys.readouterr().out


def test_an_error_that_quotes_others_is_harmless_too(
    hostile: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from autodev_cli.__main__ import main

    monkeypatch.setattr("sys.argv", ["autodev", "events", "tail", "--type", HOSTILE, "--address", hostile])
    with pytest.raises(SystemExit):
        main()
    assert harmless(capsys.readouterr().err)


@given(st.text())
def test_text_of_others_prints_and_stays_on_its_lines(text: str) -> None:
    assert visible(text).isprintable()
    assert visible_lines(text).count("\n") == text.count("\n")
    assert harmless(visible_lines(text))
    assert visible(plain := "".join(filter(str.isprintable, text))) == plain
