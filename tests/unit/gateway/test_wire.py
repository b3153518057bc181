"""The encodings written by hand are those of protobuf."""

from hypothesis import given
from hypothesis import strategies as st

from autodev.gateway.v1 import event_pb2, event_service_pb2
from autodev_gateway import wire
from autodev_gateway.event_log import cursor_of

TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
PLACES = st.integers(0, 2**53)


def made(output: str) -> event_pb2.Event:
    return event_pb2.Event(id="an-id", skill_executed=event_pb2.SkillExecutionEvent(output=output))


@given(TEXT, PLACES)
def test_a_recorded_event_is_the_event_with_its_cursor_and_time(output: str, place: int) -> None:
    event = made(output)
    recorded = wire.recorded(event.SerializeToString(), cursor_of(place), place)
    event.cursor = cursor_of(place)
    event.recorded_at.FromMicroseconds(place)
    assert event_pb2.Event.FromString(wire.unsized(recorded)) == event


@given(st.lists(TEXT, max_size=8), PLACES)
def test_joined_events_are_a_response_of_subscribe(outputs: list[str], place: int) -> None:
    events = [made(output) for output in outputs]
    joined = wire.subscribe_response(
        wire.joined(wire.sized(each.SerializeToString()) for each in events), cursor_of(place)
    )
    expected = event_service_pb2.SubscribeResponse(events=events, head_cursor=cursor_of(place))
    assert event_service_pb2.SubscribeResponse.FromString(joined) == expected


@given(st.lists(st.tuples(TEXT, st.integers(1, 10**6)), max_size=8))
def test_joined_deliveries_are_a_response_of_consume(leased: list[tuple[str, int]]) -> None:
    joined = b"".join(
        wire.delivery(f"d-{number}", attempt, wire.sized(made(output).SerializeToString()))
        for number, (output, attempt) in enumerate(leased)
    )
    expected = event_service_pb2.ConsumeResponse(
        deliveries=[
            event_service_pb2.Delivery(delivery_id=f"d-{number}", attempt=attempt, event=made(output))
            for number, (output, attempt) in enumerate(leased)
        ]
    )
    assert event_service_pb2.ConsumeResponse.FromString(joined) == expected


@given(st.integers(0, 2**31 - 1))
def test_a_number_reads_back(number: int) -> None:
    message = event_service_pb2.Delivery.FromString(wire.SECOND_NUMBER + wire.varint(number))
    assert message.attempt == number
