"""Lists that come by pages, as commands walk them."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from autodev.gateway.v1 import key_service_pb2 as pb
from autodev_cli.paging import COUNTED, PAGE, Count, counted, first_of, pages, whole


class Keys:
    """A service's list, which gives fewer than a page wherever a message would be too long."""

    def __init__(self, count: int, longest: int) -> None:
        self.ids = [f"k{number}" for number in range(count)]
        self.longest = longest
        self.asked: list[int] = []

    async def list(self, request: pb.ListKeysRequest) -> pb.ListKeysResponse:
        assert 0 < request.page_size <= PAGE
        start = int(request.page_token or 0)
        end = start + min(request.page_size, self.longest)
        self.asked.append(request.page_size)
        token = str(end) if end < len(self.ids) else ""
        return pb.ListKeysResponse(keys=[pb.ApiKey(id=each) for each in self.ids[start:end]], next_page_token=token)


def ids(page: pb.ListKeysResponse) -> Sequence[str]:
    return [key.id for key in page.keys]


@given(st.integers(0, 1200), st.integers(1, 600), st.integers(1, 1500))
async def test_as_many_are_given_as_are_wanted_or_there_are(count: int, longest: int, most: int) -> None:
    keys = Keys(count, longest)
    assert await first_of(most, keys.list, pb.ListKeysRequest(), ids) == keys.ids[:most]
    assert len(keys.asked) <= max(1, -(-min(most, count) // min(longest, PAGE, most)))


async def test_each_page_is_given_once() -> None:
    keys = Keys(5, 600)
    assert [ids(page) async for page in pages(keys.list, pb.ListKeysRequest(), 2)] == [
        ["k0", "k1"],
        ["k2", "k3"],
        ["k4"],
    ]


async def test_an_empty_list_is_one_page() -> None:
    assert [ids(page) async for page in pages(Keys(0, 1).list, pb.ListKeysRequest())] == [[]]


@given(st.integers(0, 1200), st.integers(1, 600))
async def test_a_whole_list_is_one_answer_without_a_next_page(count: int, longest: int) -> None:
    keys = Keys(count, longest)
    answer = await whole(keys.list, pb.ListKeysRequest(), lambda page: page.keys)
    assert (ids(answer), answer.next_page_token) == (keys.ids, "")


@given(st.integers(0, 1200), st.integers(1, 600))
async def test_things_are_counted_as_far_as_one_page_tells(count: int, longest: int) -> None:
    keys = Keys(count, longest)
    told = min(count, longest, COUNTED)
    assert await counted(keys.list, pb.ListKeysRequest(), ids) == Count(told, more=told < count)
    assert len(keys.asked) == 1


def test_a_count_says_where_there_are_more() -> None:
    assert (str(Count(7)), str(Count(100, more=True))) == ("7", "100+")
