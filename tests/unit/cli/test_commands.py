"""What commands take and say, without a mesh."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import grpc
import pytest
import typer.main
from grpc_status import rpc_status

from autodev.gateway.v1 import event_pb2
from autodev.learning.v1.memento_service_pb2 import Proposer
from autodev.sandbox.v1 import sandbox_service_pb2
from autodev_cli import narration
from autodev_cli.__main__ import COMMANDS, app
from autodev_cli.commands.events import kind_numbered, since_time
from autodev_cli.commands.settings import check_proposers
from autodev_cli.databases import database_settings
from autodev_cli.errors import CommandError
from autodev_cli.failures import ADVICE_BY_REASON, line_of
from autodev_cli.options import Connection, Output
from autodev_cli.output import cell, enum_word, one_line
from autodev_cli.sandbox import level_lines_of, levels_of, lines_of
from autodev_cli.target import find
from autodev_runtime.errors import (
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from autodev_runtime.status import status_of

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def autodev(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autodev_cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, check=False)


def failed_call(error: Exception) -> grpc.aio.AioRpcError:
    """What a client gets for an error of the mesh."""
    status = rpc_status.to_status(status_of(error))
    metadata = grpc.aio.Metadata(*status.trailing_metadata)
    return grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), metadata, status.details)


def test_help_lists_every_command_and_imports_no_grpc() -> None:
    program = (
        "import sys\nfrom autodev_cli.__main__ import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'grpc' not in sys.modules and 'rich' not in sys.modules\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert all(name in ended.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    ended = autodev(command, "--help")
    assert ended.returncode == 0, ended.stderr
    assert "Usage:" in ended.stdout


def test_it_says_its_version() -> None:
    ended = autodev("--version")
    assert (ended.returncode, ended.stdout) == (0, f"{version('autodev-cli')}\n")


def test_without_a_mesh_a_command_says_what_to_do_in_one_line(tmp_path: Path) -> None:
    ended = autodev("skills", "list", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "autodev: no mesh runs in .autodev: start one with `autodev up`, or give --address or --data-dir"
    ]


def test_an_address_that_does_not_answer_is_one_line() -> None:
    ended = autodev("skills", "list", "--address", "127.0.0.1:1", "--api-key", "k")
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "no answer from 127.0.0.1:1" in ended.stderr


@pytest.mark.parametrize("arguments", [["up", "--ports", "auto", "--data-dir"], ["certs", "create", "--dir"]])
def test_a_place_that_cannot_be_written_is_one_line(arguments: list[str]) -> None:
    # Where root may not make a folder either.
    ended = autodev(*arguments, "/proc/nowhere")
    assert (ended.returncode, ended.stderr.splitlines()) == (
        1,
        ["autodev: /proc/nowhere: No such file or directory"],
    )


@pytest.mark.parametrize("directory", ["missing", "."])
def test_no_key_is_made_where_no_gateway_has_its_database(tmp_path: Path, directory: str) -> None:
    ended = autodev("keys", "create", "ada", "--offline", "--data-dir", directory, cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"autodev: no gateway database in {directory}: give --data-dir or AUTODEV_GATEWAY_")
    assert len(ended.stderr.splitlines()) == 1
    assert not any(tmp_path.iterdir())


def test_only_a_services_own_variables_name_its_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.setenv("DATABASE_POOL_SIZE", "none")
    monkeypatch.setenv("AUTODEV_FITNESS_DATABASE_URL", "postgresql://u@h/d")
    assert database_settings("fitness", tmp_path).database_url == "postgresql+asyncpg://u@h/d"
    monkeypatch.setenv("AUTODEV_FITNESS_DATABASE_URL", "postgresql://u:secret@h/d?keepalives=1")
    with pytest.raises(CommandError, match=r"AUTODEV_FITNESS_DATABASE_URL: .* cannot have keepalives here") as refused:
        database_settings("fitness", tmp_path)
    assert "secret" not in str(refused.value)
    monkeypatch.setenv("AUTODEV_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(CommandError, match=r"AUTODEV_SECRETS_DIR: .*none is no folder"):
        database_settings("gateway", tmp_path)


@pytest.mark.parametrize("key", ["two\nlines", "schl\u00fcssel", "zero\0"])
def test_a_key_that_cannot_be_one_is_told(tmp_path: Path, key: str) -> None:
    with pytest.raises(CommandError, match="the API key is empty, or has a character that no key has"):
        find(Connection("127.0.0.1:1", key, tmp_path, "default", Output.TEXT))


@pytest.mark.parametrize("value", ["-1", "2147483648"])
@pytest.mark.parametrize("option", ["--canary-percent", "--max-mutations-per-day", "--max-skill-candidates-per-day"])
def test_a_number_that_no_setting_may_be_is_refused(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        app(["settings", "set", option, value, "--address", "127.0.0.1:1"])
    assert ended.value.code == 2
    assert f"Invalid value for '{option}'" in capsys.readouterr().err


def test_a_proposer_may_be_named_once() -> None:
    known = [Proposer(name="search", available=True), Proposer(name="acme.fixer", available=True)]
    check_proposers(["acme.fixer", "search"], known)
    with pytest.raises(CommandError, match="a name is there twice"):
        check_proposers(["acme.fixer", "search", "acme.fixer"], known)
    with pytest.raises(CommandError, match=r"no proposer is named Search, fixer; there are: search, acme\.fixer"):
        check_proposers(["Search", "search", "fixer"], known)


def test_an_authoritys_file_must_hold_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("nothing of the kind")
    connection = Connection("127.0.0.1:1", "k", tmp_path, "default", Output.TEXT, str(tmp_path / "ca.crt"))
    with pytest.raises(CommandError, match=r"--ca-file .*ca.crt: it holds no certificate in PEM"):
        find(connection)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("up", "--ports", "²"), "--ports ²: give default, auto, or a number to count from"),
        (("up", "--ports", "abc"), "--ports abc: give default, auto, or a number to count from"),
        (("demo", "--exit", "--ports", "abc"), "--exit, --ports: only with --up"),
        (("demo", "--allow-process-sandbox"), "--allow-process-sandbox: only with --up"),
        (("replay", "--allow-process-sandbox"), "--allow-process-sandbox: only with --up"),
        (("events", "tail", "--type", "nonsense"), "no event type 'nonsense'; there are: task_failed"),
        (("events", "tail", "--since", "yesterday"), "--since yesterday: give start, a span"),
        (("events", "tail", "--since", "9999999d"), "--since 9999999d: give start, a span"),
        (("events", "discard", "group"), "name letters, or say --all"),
        (("evolve", "run", "--agent", "ada", "--skill", "a", "--within", "10x"), "--within 10x: give a span"),
        (("evolve", "run", "--agent", "ada"), "give one of --skill and --score"),
        (("settings", "set"), "nothing to set: see `autodev settings set --help`"),
        (("keys", "rotate", "k1", "--overlap", "soon"), "--overlap soon: give a span"),
        (("keys", "create", "bob", "--expires-in", "999999999d"), "--expires-in 999999999d: give a span"),
        (("keys", "create", "nobody at all", "--offline"), "'nobody at all' is no name"),
        (("webhooks", "replay"), "name webhooks, or say --all"),
        (("audit", "verify", "--expect-head", "nonsense"), "--expect-head: "),
        (("certs", "create", "--host", "no name"), "--host no name: is no DNS name"),
        (("migrate", "sandbox"), "no service with a database is called 'sandbox'"),
        (("skills", "list", "--address", "127.0.0.1", "--api-key", "k"), "give host:port, without a scheme"),
    ],
)
def test_a_call_that_can_never_do_is_one_line_with_the_status_of_wrong_usage(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    ended = autodev(*arguments, cwd=tmp_path)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr
    assert says in ended.stderr
    assert not any(tmp_path.iterdir())


HUGE = "9" * 20


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("fitness mutate v --agent a", "--seed", HUGE),
        ("fitness mutate v --agent a", "--seed", f"-{HUGE}"),
        ("evolve run --agent a --score s", "--seed", HUGE),
        ("events tail", "--last", HUGE),
        ("certs create", "--days", "1e12"),
        ("certs create", "--ca-days", "1e12"),
        ("certs keep", "--every", "inf"),
    ],
)
def test_a_number_out_of_range_is_wrong_usage(command: str, option: str, value: str, tmp_path: Path) -> None:
    ended = autodev(*command.split(), option, value, cwd=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert option in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert not any(tmp_path.iterdir())


def options_of(*kinds: type) -> Iterator[tuple[str, Any]]:
    """Every option that takes one of these, after the command that has it."""
    for name in COMMANDS:
        command: Any = typer.main.get_command(app).get_command(None, name)  # type: ignore[attr-defined]
        for word, each in getattr(command, "commands", {"": command}).items():
            for option in each.params:
                stated = option.type_descriptor.annotation
                if {stated, *get_args(stated)} & {*kinds}:
                    yield f"{name} {word}", option


def test_every_option_with_a_number_has_its_range() -> None:
    unbounded = {"replay --limit", "replay --agents-per-task"}
    found = {
        f"{command.split()[0]} {option.opts[0]}"
        for command, option in options_of(int, float)
        if None in (option.min, option.max)
    }
    # These are only compared with, or told.
    assert found == unbounded


@pytest.mark.parametrize(("command", "option"), [(command, each.opts[0]) for command, each in options_of(float)])
def test_no_option_takes_nan(command: str, option: str, tmp_path: Path) -> None:
    test_a_number_out_of_range_is_wrong_usage(command, option, "nan", tmp_path)


def test_why_nothing_was_proposed_is_told_by_each_proposer() -> None:
    reasons = [f"{name}: {'no program of it passes what is expected; ' * 3}" for name in ("case_bank", "search", "llm")]
    event = event_pb2.Event(candidate_generated=event_pb2.CandidateGenerated(failure_reason="".join(reasons)))
    assert all(reason.rstrip() in narration.tell(event) for reason in reasons)


def test_a_demo_without_a_mesh_fails(tmp_path: Path) -> None:
    ended = autodev("demo", "--data-dir", str(tmp_path))
    assert ended.returncode == 1
    assert "start one with `autodev up`" in ended.stderr


def test_a_key_comes_from_a_file_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("secret\n")
    monkeypatch.setenv("AUTODEV_API_KEY_FILE", str(tmp_path / "key"))
    connection = Connection("127.0.0.1:1", None, tmp_path, "default", Output.TEXT)
    assert find(connection).api_key == "secret"
    monkeypatch.setenv("AUTODEV_API_KEY_FILE", str(tmp_path / "none"))
    with pytest.raises(CommandError, match=r"no API key: .*none"):
        find(connection)


def test_a_key_comes_from_a_file_that_is_stated(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    connection = Connection("127.0.0.1:1", None, tmp_path, "default", Output.TEXT, api_key_file=tmp_path / "key")
    assert find(connection).api_key == "secret"
    ended = autodev("skills", "list", "--address", "127.0.0.1:1", "--api-key-file", str(tmp_path / "none"))
    assert f"no API key: {tmp_path / 'none'}: " in ended.stderr


@pytest.mark.parametrize("command", [("skills", "list"), ("migrate",)])
def test_the_help_says_that_others_see_a_secret_in_arguments(command: tuple[str, ...]) -> None:
    told = " ".join(autodev(*command, "--help").stdout.split())
    assert "Whoever may list this machine's processes" in told


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00key", b"one\ntwo\n"])
def test_a_file_that_holds_no_key_is_told(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv("AUTODEV_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(CommandError, match="the API key is empty, or has a character that no key has"):
        find(Connection("127.0.0.1:1", None, tmp_path, "default", Output.TEXT))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            InvalidArgument([FieldViolation("agent_id", "is required"), FieldViolation("call", "is too long")]),
            "invalid request: agent_id: is required; call: is too long [INVALID_ARGUMENT from here:1]",
        ),
        (
            PermissionDenied("this needs the role 'reviewer'", reason="ROLE_REQUIRED"),
            "this needs the role 'reviewer' [PERMISSION_DENIED from here:1]: use a key that has the role",
        ),
        (
            ResourceExhausted("5 of 5 today", reason="QUOTA_EXCEEDED"),
            "5 of 5 today [RESOURCE_EXHAUSTED from here:1]: wait for the reset, or raise the limit with `autodev "
            "settings set`",
        ),
        (
            FailedPrecondition("nobody signed the package", reason="PACKAGE_UNSIGNED"),
            "nobody signed the package [FAILED_PRECONDITION from here:1]: an operator may take it all the same: "
            "--allow-unsigned",
        ),
        (
            Unavailable("learning cannot be reached; call again", reason="SERVICE_AWAY"),
            "learning cannot be reached; call again [SERVICE_AWAY from here:1]: repeat; see `autodev status`, and the "
            "service's own log",
        ),
        (
            Unavailable("what later releases say", reason="OF_A_LATER_RELEASE"),
            "what later releases say [OF_A_LATER_RELEASE from here:1]",
        ),
    ],
)
def test_a_call_that_fails_is_one_line(error: Exception, line: str) -> None:
    assert line_of(failed_call(error), "here:1") == line


def test_every_reason_that_operations_explains_has_its_advice() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    section = page.split("## What a call is refused with")[1].split("\n## ")[0]
    reasons = {reason for row in re.findall(r"^\| ([A-Z_, ]+) \|", section, re.MULTILINE) for reason in row.split(", ")}
    assert "SERVICE_AWAY" in reasons
    assert reasons <= set(ADVICE_BY_REASON)


def test_an_error_without_details_is_one_line_too() -> None:
    bare = grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(), "first\nsecond")
    assert line_of(bare, "here:1") == "first [INTERNAL from here:1]"


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("1d", NOW - timedelta(days=1)),
        ("2026-04-30T10:00:00+00:00", datetime(2026, 4, 30, 10, tzinfo=UTC)),
    ],
)
def test_since_takes_spans_and_times(text: str, time: datetime) -> None:
    assert since_time(text, NOW) == time


@pytest.mark.parametrize("text", ["", "yesterday", "10", "m", "10 m", "-5m", "9999-12-31T23:59:59-12:00"])
def test_since_refuses_the_rest(text: str) -> None:
    with pytest.raises(CommandError, match="give start, a span"):
        since_time(text, NOW)


def test_event_types_go_by_their_words() -> None:
    assert kind_numbered("task_failed") == event_pb2.EVENT_TYPE_TASK_FAILED
    with pytest.raises(CommandError, match="no event type 'x'; there are: task_failed, "):
        kind_numbered("x")


def test_every_kind_of_event_is_told() -> None:
    for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields:
        event = event_pb2.Event()
        getattr(event, field.name).SetInParent()
        assert narration.kind_of(event) == field.name
        assert field.name in narration.KINDS
        assert isinstance(narration.tell(event), str)
        assert field.name in narration._TELLINGS, f"{field.name} says nothing"


def test_an_event_of_a_later_version_is_unknown_and_no_error() -> None:
    assert narration.line(event_pb2.Event(agent_id="ann")).split() == ["unknown", "ann"]


def test_what_an_event_says_is_cut_to_a_line() -> None:
    event = event_pb2.Event()
    event.task_failed.task_description = "Do it\nnow"
    event.task_failed.error_trace = "Traceback\n  here\nValueError: " + "x" * 500
    told = narration.tell(event)
    assert told.startswith("Do it  ValueError: xxx")
    assert len(told.splitlines()) == 1
    assert len(told) < 200


def test_cells_and_words() -> None:
    assert cell(0.123456) == "0.123"
    assert enum_word("CANDIDATE_STATUS_PENDING", "CANDIDATE_STATUS_") == "pending"
    assert one_line("\n\n  first  \nsecond") == "first"
    assert one_line("x" * 100, 10) == "x" * 9 + "…"


def test_a_machine_without_a_sandbox_is_told_what_to_install_and_which_flag_there_is() -> None:
    pb = sandbox_service_pb2
    none = pb.GetSandboxStatusResponse(
        levels=[pb.IsolationLevelStatus(level=pb.ISOLATION_LEVEL_NAMESPACE, detail="bwrap is not installed")]
    )
    told = "\n".join(lines_of(none))
    for part in ("bwrap is not installed", "apt-get install bubblewrap", "--allow-process-sandbox"):
        assert part in told


def test_the_process_level_is_never_taken_silently() -> None:
    pb = sandbox_service_pb2
    process = pb.GetSandboxStatusResponse(default_isolation=pb.ISOLATION_LEVEL_PROCESS)
    assert "can read your files" in lines_of(process)[0]
    good = pb.GetSandboxStatusResponse(
        default_isolation=pb.ISOLATION_LEVEL_NAMESPACE,
        levels=[pb.IsolationLevelStatus(level=pb.ISOLATION_LEVEL_NAMESPACE, available=True, detail="bubblewrap 0.8")],
    )
    assert lines_of(good) == ["sandbox     NAMESPACE  bubblewrap 0.8"]
    for untried in (pb.ISOLATION_LEVEL_PROCESS, pb.ISOLATION_LEVEL_CONTAINER):
        good.levels.append(pb.IsolationLevelStatus(level=untried, detail="not tried yet"))
    assert lines_of(good)[1:] == ["            being tried still: CONTAINER; see autodev status"]


def test_a_status_tells_of_the_pool_and_of_what_the_isolation_lacks() -> None:
    pb = sandbox_service_pb2
    namespace = pb.IsolationLevelStatus(level=pb.ISOLATION_LEVEL_NAMESPACE, available=True, detail="bubblewrap 0.8")
    namespace.facilities.add(name="seccomp", available=True, detail="a filter")
    namespace.facilities.add(name="memory cgroup", detail="not writable")
    namespace.pool.CopyFrom(pb.PoolStatus(ready=2, floor=1, ceiling=8))
    status = pb.GetSandboxStatusResponse(levels=[namespace], default_isolation=namespace.level, running=1, waiting=3)
    assert level_lines_of(status) == [
        "sandbox level NAMESPACE: 1 run, 3 wait, 2 sandboxes ready (8 at most)",
        "  no memory cgroup: not writable",
    ]
    told = levels_of(status)
    assert (told["running"], told["waiting"]) == (1, 3)
    assert told["levels"]["namespace"]["pool"]["ready"] == 2
    assert told["levels"]["namespace"]["facilities"]["memory cgroup"] == {"available": False, "detail": "not writable"}
    assert level_lines_of(pb.GetSandboxStatusResponse()) == ["sandbox level none"]
    missing = pb.IsolationLevelStatus(level=pb.ISOLATION_LEVEL_NAMESPACE, detail="bwrap is not installed")
    assert level_lines_of(pb.GetSandboxStatusResponse(levels=[missing])) == [
        "sandbox level none",
        "  no NAMESPACE: bwrap is not installed",
    ]


@pytest.mark.parametrize("group", ["events", "review", "skills", "fitness", "audit", "certs"])
def test_a_group_says_whole_what_its_commands_do(group: str) -> None:
    assert "..." not in autodev(group, "--help").stdout.split("Commands:")[1]
