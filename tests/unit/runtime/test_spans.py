"""Spans whose collector is away."""

import socket
import time
from collections.abc import Iterator

import pytest

from autodev_runtime import spans
from autodev_runtime.tracing import new_trace

MORE_THAN_ONE_BATCH = 1200


@pytest.fixture(params=["refuses", "says nothing"])
def away(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a collector that is none."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        if request.param == "refuses":
            listening.close()
            yield "http://127.0.0.1:1"
        else:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_collector_that_is_away_does_not_keep_a_process_from_ending(
    away: str, caplog: pytest.LogCaptureFixture
) -> None:
    stop = spans.export_spans("test", away)
    for _ in range(MORE_THAN_ONE_BATCH):
        begun = spans.begin("work", spans.Kind.INTERNAL, new_trace())
        assert begun is not None
        begun.end()
    began_s = time.monotonic()
    stop()
    assert time.monotonic() - began_s < 2 * spans.FAREWELL_S
    assert "the last spans are lost" in caplog.text
    assert not spans.recording()
