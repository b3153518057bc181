import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_sandbox.execution import Execution, IsolationLevel, Limits, Status
from autodev_sandbox.report import BrokenReport, Ending, Report, ReportReader, outcome_of

CALL = Execution(code="", entry_point="f")
MODULE = Execution(code="")


def encoded(report: Report) -> bytes:
    figures = (
        report.ending.value,
        report.exit_code,
        report.signal,
        int(report.duration_s * 1e6),
        report.peak_memory_bytes,
        report.oom_kills,
        len(report.stdout),
        len(report.stderr),
        len(report.message),
    )
    return b" ".join(b"%d" % figure for figure in figures) + b"\n" + report.stdout + report.stderr + report.message


def report(
    ending: Ending = Ending.EXITED, exit_code: int = 0, signal: int = 0, oom_kills: int = 0, message: bytes = b""
) -> Report:
    return Report(ending, exit_code, signal, 0.5, 1000, oom_kills, b"out", b"err", message)


def judged(seen: Report, execution: Execution = CALL, oom_kills: int = 0) -> Status:
    return outcome_of(execution, seen, IsolationLevel.NAMESPACE, 0, oom_kills).status


@given(st.binary(max_size=50), st.binary(max_size=50), st.lists(st.integers(1, 30)))
def test_a_report_is_read_from_any_pieces(stdout: bytes, message: bytes, cuts: list[int]) -> None:
    sent = Report(Ending.EXITED, 1, 0, 0.25, 77, 0, stdout, b"", message)
    wire = encoded(sent)
    reader = ReportReader(output_bytes=100)
    read, start = None, 0
    for size in [*cuts, len(wire)]:
        if read is None:
            read = reader.feed(wire[start : start + size])
            start += size
    assert read == sent


@given(st.binary(max_size=400))
def test_what_is_no_report_is_refused_or_waited_on_and_nothing_else(data: bytes) -> None:
    reader = ReportReader(output_bytes=50)
    try:
        read = reader.feed(data)
    except BrokenReport:
        return
    assert read is None or isinstance(read, Report)


@pytest.mark.parametrize("header", [b"1 2 3\n", b"9 0 0 0 0 0 0 0 0\n", b"0 -1 0 0 0 0 0 0 0\n", b"x" * 300])
def test_a_broken_header_is_refused(header: bytes) -> None:
    with pytest.raises(BrokenReport):
        ReportReader(output_bytes=100).feed(header)


def test_a_report_longer_than_its_limit_is_refused() -> None:
    with pytest.raises(BrokenReport):
        ReportReader(output_bytes=100).feed(b"0 0 0 0 0 0 1000 0 0\n" + b"x" * 1000)


@pytest.mark.parametrize(
    ("seen", "execution", "status"),
    [
        (report(message=b'{"value": 1}'), CALL, Status.OK),
        (report(), MODULE, Status.OK),
        (report(), CALL, Status.ERROR),
        (report(exit_code=3), MODULE, Status.ERROR),
        (report(exit_code=3, message=b'{"value": 1}'), CALL, Status.ERROR),
        (report(message=b'{"value": NaN}'), CALL, Status.ERROR),
        (report(message=b'{"value": 9007199254740993}'), CALL, Status.ERROR),
        (report(message=b'{"value": "\\ud800"}'), CALL, Status.ERROR),
        (report(message=b'{"value": ' + b"[" * 32 + b"]" * 32 + b"}"), CALL, Status.ERROR),
        (report(message=b'{"value": ' + b"[" * 100_000), CALL, Status.ERROR),
        (report(message=b"[]"), CALL, Status.ERROR),
        (report(message=b'{"error": 1}'), CALL, Status.ERROR),
        (report(message=b"\xff"), CALL, Status.ERROR),
        (report(signal=11), CALL, Status.KILLED),
        (report(signal=9), CALL, Status.KILLED),
        (report(signal=9, oom_kills=1), CALL, Status.OOM),
        (report(signal=11, oom_kills=1), CALL, Status.KILLED),
        (report(Ending.TIMEOUT, signal=9, oom_kills=1), CALL, Status.TIMEOUT),
        (report(Ending.OUTPUT_LIMIT, signal=9), CALL, Status.OUTPUT_LIMIT),
    ],
)
def test_how_it_ended_decides_the_status(seen: Report, execution: Execution, status: Status) -> None:
    assert judged(seen, execution) is status


def test_an_uncaught_memory_error_is_out_of_memory() -> None:
    error = {"error": {"type": "MemoryError", "message": "", "traceback": ""}}
    assert judged(report(exit_code=1, message=json.dumps(error).encode())) is Status.OOM


def test_a_memory_kill_that_only_the_host_saw_counts() -> None:
    assert judged(report(signal=9), oom_kills=1) is Status.OOM


def test_a_signal_is_told_as_128_and_its_number() -> None:
    assert outcome_of(CALL, report(signal=11), IsolationLevel.NAMESPACE, 0, 0).exit_code == 139


def test_the_higher_peak_is_told() -> None:
    assert outcome_of(CALL, report(), IsolationLevel.NAMESPACE, 5000, 0).peak_memory_bytes == 5000


def test_limits_have_the_defaults_that_the_contract_states() -> None:
    assert Limits() == Limits(5.0, 256 * 2**20, 1.0, 2**20, 64, 64 * 2**20)
