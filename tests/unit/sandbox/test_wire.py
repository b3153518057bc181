import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_sandbox.execution import IsolationLevel, Limits, Outcome, Status
from autodev_sandbox.wire import (
    BrokenReport,
    CallReport,
    Ending,
    FrameReader,
    Kind,
    Report,
    outcome_of,
    parse_call,
    parse_file,
    parse_report,
)

CALL, MODULE = True, False
SMALL = Limits(output_bytes=100, file_bytes=100)


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


def framed(kind: Kind, body: bytes) -> bytes:
    return kind.value + len(body).to_bytes(4, "big") + body


def outcome(
    seen: Report, expects_value: bool = CALL, peak_bytes: int = 0, oom_kills: int = 0, output_bytes: int = 2**20
) -> Outcome:
    return outcome_of(
        seen,
        IsolationLevel.NAMESPACE,
        output_bytes=output_bytes,
        expects_value=expects_value,
        peak_bytes=peak_bytes,
        oom_kills=oom_kills,
    )


@given(st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=50)), max_size=5), st.lists(st.integers(1, 30)))
def test_frames_are_read_from_any_pieces(sent: list[tuple[Kind, bytes]], cuts: list[int]) -> None:
    stream = b"".join(framed(kind, body) for kind, body in sent)
    reader = FrameReader(SMALL)
    read: list[tuple[Kind, bytes]] = []
    start = 0
    for size in [*cuts, len(stream)]:
        read += reader.feed(stream[start : start + size])
        start += size
    assert read == sent


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_report_is_read_as_it_was_sent(stdout: bytes, message: bytes) -> None:
    sent = Report(Ending.EXITED, 1, 0, 0.25, 77, 0, stdout, b"", message)
    assert parse_report(encoded(sent)) == sent


@given(st.lists(st.integers(0, 2**63)), st.booleans())
def test_a_call_is_read_as_it_was_sent(times_ns: list[int], varied: bool) -> None:
    head = (7).to_bytes(4, "big") + len(times_ns).to_bytes(4, "big") + bytes([varied])
    sent = head + b"".join(ns.to_bytes(8, "big") for ns in times_ns) + encoded(report(Ending.ANSWERED))
    assert parse_call(sent) == CallReport(7, varied, tuple(ns / 1e9 for ns in times_ns), report(Ending.ANSWERED))


@given(st.binary(max_size=400))
def test_what_is_no_frame_is_refused_or_waited_on_and_nothing_else(data: bytes) -> None:
    reader = FrameReader(SMALL)
    try:
        for _, body in reader.feed(data):
            for parse in (parse_report, parse_call, parse_file):
                parse(body)
    except BrokenReport:
        return


@pytest.mark.parametrize("body", [b"1 2 3\n", b"9 0 0 0 0 0 0 0 0\n", b"0 -1 0 0 0 0 0 0 0\n", b"x" * 300, b""])
def test_broken_figures_are_refused(body: bytes) -> None:
    with pytest.raises(BrokenReport):
        parse_report(body)


def test_a_report_that_is_not_as_long_as_it_says_is_refused() -> None:
    with pytest.raises(BrokenReport):
        parse_report(b"0 0 0 0 0 0 10 0 0\nshort")


def test_a_frame_longer_than_its_limit_is_refused_at_its_head() -> None:
    with pytest.raises(BrokenReport):
        list(FrameReader(SMALL).feed(b"r" + (10_000_000).to_bytes(4, "big")))


@pytest.mark.parametrize(
    ("seen", "expects_value", "status"),
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
        (report(message=b'{"error": 1, "value": 1}'), CALL, Status.ERROR),
        (report(message=b'{"value": 1, "error": 1}'), CALL, Status.ERROR),
        (report(message=b"\xff"), CALL, Status.ERROR),
        (report(signal=11), CALL, Status.KILLED),
        (report(signal=9), CALL, Status.KILLED),
        (report(signal=9, oom_kills=1), CALL, Status.OOM),
        (report(signal=11, oom_kills=1), CALL, Status.KILLED),
        (report(Ending.TIMEOUT, signal=9, oom_kills=1), CALL, Status.TIMEOUT),
        (report(Ending.OUTPUT_LIMIT, signal=9), CALL, Status.OUTPUT_LIMIT),
    ],
)
def test_how_it_ended_decides_the_status(seen: Report, expects_value: bool, status: Status) -> None:
    assert outcome(seen, expects_value).status is status


@given(st.integers(1, 300), st.sampled_from([-1, 0, 1]))
def test_a_value_has_as_much_json_text_as_output_and_an_error_room_of_its_own(most: int, more: int) -> None:
    value = json.dumps("x" * max(0, most + more - 2)).encode()
    ended = outcome(report(message=b'{"value": ' + value + b"}"), output_bytes=most)
    assert (ended.status is Status.OK) is (len(value) <= most)
    assert ended.status in (Status.OK, Status.OUTPUT_LIMIT)
    assert ended.value is None or ended.status is Status.OK
    error = {"error": {"type": "ValueError", "message": "x" * 1000, "traceback": ""}}
    assert outcome(report(exit_code=1, message=json.dumps(error).encode()), output_bytes=most).status is Status.ERROR


def test_an_error_that_is_a_value_besides_has_no_more_room() -> None:
    forged = b'{"error": 1, "value": "' + b"x" * 100 + b'"}'
    assert outcome(report(message=forged), output_bytes=50).status is not Status.OK


def test_an_uncaught_memory_error_is_out_of_memory() -> None:
    error = {"error": {"type": "MemoryError", "message": "", "traceback": ""}}
    assert outcome(report(exit_code=1, message=json.dumps(error).encode())).status is Status.OOM


def test_a_memory_kill_that_only_the_host_saw_counts() -> None:
    assert outcome(report(signal=9), oom_kills=1).status is Status.OOM


def test_a_signal_is_told_as_128_and_its_number() -> None:
    assert outcome(report(signal=11)).exit_code == 139


def test_the_higher_peak_is_told() -> None:
    assert outcome(report(), peak_bytes=5000).peak_memory_bytes == 5000


def test_limits_have_the_defaults_that_the_contract_states() -> None:
    assert Limits() == Limits(5.0, 256 * 2**20, 1.0, 2**20, 64, 64 * 2**20, 4 * 2**20)
