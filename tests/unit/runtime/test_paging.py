"""Page tokens, and pages that fit an answer."""

import base64
import contextlib
import json
from typing import Any

import pytest
from google.protobuf.struct_pb2 import ListValue, Value
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from autodev_runtime.errors import InvalidArgument
from autodev_runtime.paging import PAGE_BYTES, fitting, key_from, page_of, page_size, token_after

KEYS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
    ),
    max_size=5,
)


@given(KEYS)
def test_a_token_gives_its_key_back(key: list[Any]) -> None:
    token = token_after(key)
    assert key_from(token, *(type(value) for value in key)) == key
    assert token.isascii()
    assert not set(token) & set("+/= ")


def test_no_token_is_the_first_page() -> None:
    assert key_from("", str) is None


@given(st.text(max_size=100))
def test_text_that_is_no_token_is_refused_and_never_raises_anything_else(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        key = key_from(text, str)
        assert key is None or isinstance(key[0], str)


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "value",
    ["text", {"a": 1}, [], ["a", "b"], [1], [True], [None], [["a"]]],
)
def test_a_key_of_another_shape_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgument):
        key_from(encoded(value), str)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**400])
def test_a_number_that_no_database_holds_is_refused(number: int) -> None:
    with pytest.raises(InvalidArgument):
        key_from(encoded([number]), int)


@pytest.mark.parametrize("text", ["\ud800", "a\0b"])
def test_text_that_no_database_holds_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        key_from(encoded([text]), str)
    assert [violation.field for violation in caught.value.violations] == ["page_token"]


def test_a_token_nested_without_end_is_refused() -> None:
    token = base64.urlsafe_b64encode(b"[" * 100_000).decode().rstrip("=")
    with pytest.raises(InvalidArgument):
        key_from(token, str)


def test_a_number_that_json_has_not_is_refused() -> None:
    for text in (b"[NaN]", b"[Infinity]", b"[-Infinity]"):
        with pytest.raises(InvalidArgument):
            key_from(base64.urlsafe_b64encode(text).decode().rstrip("="), float)


def test_pages_have_fifty_rows_unless_said_otherwise() -> None:
    assert (page_size(0), page_size(7)) == (50, 7)


@given(st.lists(st.integers(0, 100), max_size=30), st.integers(1, 200))
def test_a_page_is_the_longest_start_that_fits_and_never_empty(sizes: list[int], most: int) -> None:
    rows = [StringValue(value="x" * size) for size in sizes]
    page = list(fitting(rows, most))
    assert page == rows[: len(page)]
    assert bool(page) is bool(rows)
    assert len(page) <= 1 or sum(row.ByteSize() for row in page) <= most
    if len(page) < len(rows):
        assert sum(row.ByteSize() for row in rows[: len(page) + 1]) > most


@given(st.integers(1, 40_000), st.integers(0, 500))
def test_an_answer_with_a_full_page_fits_the_limit_that_grpc_has_by_itself(size: int, token: int) -> None:
    row = ListValue(values=[Value(string_value="x" * size)])
    rows = fitting([row] * 5000)
    answer = ListValue(values=[Value(list_value=each) for each in rows])
    assert answer.ByteSize() + token <= 4 * 1024 * 1024


def text_of(row: object) -> StringValue:
    return StringValue(value=str(row))


@given(st.lists(st.integers(), max_size=20, unique=True), st.integers(1, 8))
def test_pages_that_follow_each_other_hold_every_row_once(rows: list[int], size: int) -> None:
    told: list[str] = []
    token = "the first"
    while token:
        rest = rows[len(told) :]
        page, token = page_of(rest[: size + 1], size, text_of, lambda last: [last])
        assert token == (token_after([rest[size - 1]]) if len(rest) > size else "")
        told += [message.value for message in page]
    assert told == [str(row) for row in rows]


def test_a_page_that_is_cut_to_fit_is_followed_by_what_was_cut() -> None:
    rows = ["a" * (PAGE_BYTES - 10), "b" * 100]
    page, token = page_of(rows, 2, text_of, lambda last: [last[0]])
    assert ([message.value[0] for message in page], token) == (["a"], token_after(["a"]))
