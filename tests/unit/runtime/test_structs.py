from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from autodev_runtime.json_value import JsonValue
from autodev_runtime.structs import fill_value, value_from

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_comes_back_and_is_what_protobufs_own_way_makes(value: JsonValue) -> None:
    filled = Value()
    fill_value(filled, value)
    assert filled == json_format.ParseDict(value, Value())  # type: ignore[arg-type]
    assert value_from(filled) == value
