import json
import math

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from autodev_runtime.json_value import JsonValue
from autodev_sandbox.json_value import MAX_INTEGER, MAX_NESTING, NotJsonShaped, check_json

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES)
def test_what_passes_comes_through_json_and_protobuf_unchanged(value: JsonValue) -> None:
    try:
        check_json(value)
    except NotJsonShaped:
        return
    assert json.loads(json.dumps(value)) == value
    sent = json_format.ParseDict(value, Value()).SerializeToString()  # type: ignore[arg-type]
    assert json_format.MessageToDict(Value.FromString(sent)) == value


@pytest.mark.parametrize(
    "value",
    [math.nan, -math.inf, MAX_INTEGER + 1, -MAX_INTEGER - 1, ["\ud800"], {"\udfff": 1}, {"a": [{"b": math.inf}]}],
)
def test_what_another_reader_would_change_is_refused(value: JsonValue) -> None:
    with pytest.raises(NotJsonShaped):
        check_json(value)


def test_the_message_says_where() -> None:
    with pytest.raises(NotJsonShaped, match=r"the result\['a'\]\[1\] is inf"):
        check_json({"a": [1, math.inf]})


def test_a_path_is_made_only_where_something_is_wrong() -> None:
    class Key(str):
        __slots__ = ()

        def __repr__(self) -> str:
            raise AssertionError("a path was made")

    check_json({Key("long"): [0, 1, {"deeper": 2}]})


def test_the_deepest_value_that_passes_can_be_read_by_protobuf() -> None:
    value: JsonValue = 1
    for _ in range(MAX_NESTING):
        value = {"deeper": value}
    check_json(value)
    sent = json_format.ParseDict(value, Value()).SerializeToString()  # type: ignore[arg-type]
    assert json_format.MessageToDict(Value.FromString(sent)) == value
    with pytest.raises(NotJsonShaped, match="nested deeper"):
        check_json([value])
