"""A segment: some events of one tenant, one after the other, as one message of the stream.

The server syncs each message to disk, which costs the same for a thousand events as for one. So what a gateway appends
for a tenant at a time is one message. It is four bytes of length, a header of that length in JSON, and the events'
bytes as subscribers get them. An episode's task is a part of its event, so it is a slice of them.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from autodev_gateway.event_log.appending import Stamped
from autodev_gateway.event_log.model import Appended, EpisodeReport, Record

SEGMENT_BYTES = 1024 * 1024
"""No event is added to a segment that would be larger then."""


class Segment(NamedTuple):
    """A message of the stream, and where it stands there."""

    number: int
    events: Sequence[Stamped]

    @property
    def last(self) -> int:
        """The place of its last event."""
        return self.events[-1].appended.record.seq


def segments_of(batch: Iterable[Stamped]) -> Iterator[list[Stamped]]:
    """The batch, cut where another tenant's events begin, or too much would come together."""
    part: list[Stamped] = []
    size_bytes = 0
    for each in batch:
        size_bytes += len(each.appended.record.sized)
        if part and (each.appended.tenant != part[0].appended.tenant or size_bytes > SEGMENT_BYTES):
            yield part
            part, size_bytes = [], len(each.appended.record.sized)
        part.append(each)
    if part:
        yield part


def packed(events: Sequence[Stamped]) -> bytes:
    """The message of some events of one tenant."""
    rows, pieces = [], []
    end = 0
    for stamped in events:
        (seq, sized), _, kind, agent_id, skill_id = stamped.appended
        start, end = end, end + len(sized)
        pieces.append(sized)
        episode: tuple[str, str, int, int, int] | None = None
        if (report := stamped.episode) is not None:
            found = sized.find(report.task)
            if found < 0:
                pieces.append(report.task)
                found, end = end - start, end + len(report.task)
            task = start + found
            episode = report.episode_id, report.agent_id, report.outcome, task, task + len(report.task)
        rows.append((seq, start, start + len(sized), stamped.event_id, kind, agent_id, skill_id, episode))
    header = json.dumps({"tenant": events[0].appended.tenant, "events": rows}, separators=(",", ":")).encode()
    return b"".join((len(header).to_bytes(4), header, *pieces))


def unpacked(message: bytes) -> list[Stamped]:
    """The events of a message."""
    base = 4 + int.from_bytes(message[:4])
    header = json.loads(message[4:base])
    tenant, body = header["tenant"], message[base:]
    events = []
    for seq, start, end, event_id, kind, agent_id, skill_id, episode in header["events"]:
        report = None
        if episode is not None:
            episode_id, episode_agent, outcome, task, task_end = episode
            report = EpisodeReport(episode_id, episode_agent, outcome, body[task:task_end])
        appended = Appended(Record(seq, body[start:end]), tenant, kind, agent_id, skill_id)
        events.append(Stamped(appended, event_id, report))
    return events
