"""Making, finding and listing variants."""

import asyncio
from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict

from autodev.fitness.v1 import fitness_service_pb2 as pb
from autodev_cli.lineage import whole_lineage
from autodev_fitness import store
from tests.clock import Clock
from tests.integration.fitness.parts import create, evaluate, signal, workflow
from tests.serving import refusal

if TYPE_CHECKING:
    from autodev.fitness.v1.fitness_service_pb2_grpc import FitnessServiceAsyncStub as Stub


async def get(stub: "Stub", variant_id: str) -> pb.WorkflowVariant:
    return (await stub.GetVariant(pb.GetVariantRequest(variant_id=variant_id))).variant


async def test_a_new_variant_is_pending_and_without_a_score(fitness: "Stub", clock: Clock) -> None:
    variant = await create(fitness)
    assert variant == await get(fitness, variant.id)
    assert variant.evaluation_status == pb.EVALUATION_STATUS_PENDING
    assert (variant.fitness_score, variant.agent_id, variant.fitness_function) == (0, "ada", "proxy")
    assert variant.workflow_definition == workflow()
    assert variant.created_at.ToDatetime(UTC) == clock()
    assert not variant.HasField("proxy_signals")
    assert not variant.HasField("last_evaluated_at")


async def test_the_same_request_makes_one_variant_however_often_and_fast_it_comes(fitness: "Stub") -> None:
    made = await asyncio.gather(*(create(fitness, "same") for _ in range(10)))
    assert len({variant.id for variant in made}) == 1
    assert len((await fitness.ListVariants(pb.ListVariantsRequest())).variants) == 1


async def test_a_parent_must_be_there(fitness: "Stub") -> None:
    assert (await refusal(create(fitness, parent="no-such"))).code == "NOT_FOUND"
    assert not (await fitness.ListVariants(pb.ListVariantsRequest())).variants


async def test_an_unknown_fitness_function_is_refused(fitness: "Stub") -> None:
    refused = await refusal(create(fitness, function="telepathy"))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "UNKNOWN_FITNESS_FUNCTION")


async def test_the_functions_are_listed_page_by_page(fitness: "Stub") -> None:
    names, token = dict[str, str](), ""
    while True:
        request = pb.ListFitnessFunctionsRequest(page_size=3, page_token=token)
        page = await fitness.ListFitnessFunctions(request)
        names |= {each.name: each.version for each in page.functions}
        if not (token := page.next_page_token):
            break
    assert names == {"proxy": "", "measured": "", "acme.broken": "", "acme.cost": "7"}
    assert list(names) == ["proxy", "measured", "acme.broken", "acme.cost"]


async def test_a_score_says_which_version_of_its_function_made_it(fitness: "Stub") -> None:
    made = await create(fitness, function="acme.cost")
    assert made.fitness_function_version == ""
    assert (await evaluate(fitness, made.id)).fitness_function_version == "7"
    explained = await fitness.ExplainFitness(pb.ExplainFitnessRequest(variant_id=made.id))
    assert explained.fitness_function_version == "7"
    assert MessageToDict(explained.weights.weights)["functions"] == {"acme.cost": "7"}


@pytest.mark.parametrize(
    ("most", "lengths"), [(1, [1, 1, 1, 1]), (2, [1, 1, 2]), (3, [1, 1, 2]), (4, [2, 2]), (5, [2, 2]), (6, [4])]
)
async def test_lists_are_cut_by_the_signals_of_their_variants(
    fitness: "Stub", monkeypatch: pytest.MonkeyPatch, most: int, lengths: list[int]
) -> None:
    """Three variants have two signals each, and the oldest none: a list holds one at least, and so many signals."""
    monkeypatch.setattr(store, "MOST_SIGNALS", most)
    line = [(await create(fitness, "untold")).id]
    await evaluate(fitness, line[-1])
    for number in range(3):
        line.append((await create(fitness, f"r-{number}", parent=line[-1])).id)
        await evaluate(fitness, line[-1])
        told = [pb.ExternalSignal(id=f"s-{each}", crm_conversion=True) for each in range(2)]
        await signal(fitness, line[-1], *told)
    pages, token = list[list[str]](), ""
    while True:
        page = await fitness.ListVariants(pb.ListVariantsRequest(page_size=4, page_token=token))
        pages.append([variant.id for variant in page.variants])
        if not (token := page.next_page_token):
            break
    assert [len(each) for each in pages] == lengths
    assert [each for listed in pages for each in listed] == line[::-1]
    top = (await fitness.ListTopVariants(pb.ListTopVariantsRequest(limit=4))).variants
    assert [variant.id for variant in top] == [*line[1:], line[0]][: lengths[0]]
    lineage = (await fitness.GetLineage(pb.GetLineageRequest(variant_id=line[-1]))).variants
    assert [variant.id for variant in lineage] == line[::-1][: lengths[0]]


async def test_lineage_goes_from_a_variant_to_its_root(fitness: "Stub") -> None:
    line = [await create(fitness, "root")]
    for generation in range(4):
        line.append(await create(fitness, f"generation-{generation}", parent=line[-1].id))
    await create(fitness, "sibling", parent=line[1].id)
    found = (await fitness.GetLineage(pb.GetLineageRequest(variant_id=line[-1].id))).variants
    assert [variant.id for variant in found] == [variant.id for variant in reversed(line)]
    assert found[0].parent_variant_id == line[-2].id


async def test_a_long_lineage_is_cut_where_it_is_oldest(fitness: "Stub", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LINEAGE_DEPTH", 3)
    line = [(await create(fitness, "root")).id]
    for generation in range(4):
        line.append((await create(fitness, f"generation-{generation}", parent=line[-1])).id)
    for length in range(1, 6):
        found = (await fitness.GetLineage(pb.GetLineageRequest(variant_id=line[length - 1]))).variants
        assert [variant.id for variant in found] == line[:length][::-1][:3]


async def test_a_lineage_is_followed_to_its_root_or_as_far_as_is_asked(
    fitness: "Stub", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LINEAGE_DEPTH", 2)
    monkeypatch.setattr("autodev_cli.lineage.MOST_ANSWERS", 3)
    line = [(await create(fitness, "root")).id]
    for generation in range(7):
        line.append((await create(fitness, f"generation-{generation}", parent=line[-1])).id)
    for length in range(1, 9):
        found = (await whole_lineage(fitness.GetLineage, line[length - 1])).variants
        assert [variant.id for variant in found] == line[:length][::-1][:6]
        assert bool(found[-1].parent_variant_id) is (length > 6)


async def test_top_variants_are_the_fittest_first_ties_by_age_and_none_without_a_score(fitness: "Stub") -> None:
    scores = [("low", 0.2), ("best", 1.0), ("older", 0.5), ("younger", 0.5)]
    shown = {
        0.2: pb.ProxySignals(),
        0.5: pb.ProxySignals(execution_success=True),
        1.0: pb.ProxySignals(execution_success=True, user_approved=True),
    }
    ids = {}
    for name, score in scores:
        ids[name] = (await create(fitness, name)).id
        await evaluate(fitness, ids[name], shown[score])
    await create(fitness, "pending")
    worthless = await create(fitness, "worthless")
    await evaluate(fitness, worthless.id, pb.ProxySignals(syntax_error=True))
    top = (await fitness.ListTopVariants(pb.ListTopVariantsRequest())).variants
    assert [variant.id for variant in top] == [ids[name] for name in ("best", "older", "younger", "low")]
    two = (await fitness.ListTopVariants(pb.ListTopVariantsRequest(limit=2))).variants
    assert [variant.id for variant in two] == [ids["best"], ids["older"]]


async def test_five_variants_are_the_top_unless_said_otherwise(fitness: "Stub") -> None:
    for index in range(6):
        await evaluate(fitness, (await create(fitness, f"r{index}")).id)
    assert len((await fitness.ListTopVariants(pb.ListTopVariantsRequest())).variants) == 5


@pytest.mark.parametrize("page_size", [1, 2, 7, 500])
async def test_a_walk_meets_each_variant_once_newest_first(fitness: "Stub", page_size: int) -> None:
    ids = [(await create(fitness, f"r{index}", agent_id=f"agent-{index % 2}")).id for index in range(7)]

    async def walk(agent_id: str) -> list[str]:
        found, token = [], ""
        while True:
            request = pb.ListVariantsRequest(agent_id=agent_id, page_size=page_size, page_token=token)
            page = await fitness.ListVariants(request)
            found += [variant.id for variant in page.variants]
            if not (token := page.next_page_token):
                return found

    assert await walk("") == ids[::-1]
    assert await walk("agent-1") == ids[1::2][::-1]


async def test_what_a_request_made_is_found_by_its_id(fitness: "Stub") -> None:
    made = {name: (await create(fitness, name)).id for name in ("one", "other")}
    for name, variant_id in made.items():
        found = (await fitness.ListVariants(pb.ListVariantsRequest(request_id=name))).variants
        assert [variant.id for variant in found] == [variant_id]
    assert not (await fitness.ListVariants(pb.ListVariantsRequest(request_id="none", agent_id="ada"))).variants


async def test_a_page_of_large_variants_is_short_and_the_walk_still_meets_each_once(fitness: "Stub") -> None:
    definition = workflow(code="x" * 65_000)
    wanted = []
    for index in range(70):
        request = pb.CreateVariantRequest(request_id=f"r{index}", agent_id="ada", workflow_definition=definition)
        wanted.append((await fitness.CreateVariant(request)).variant.id)
    found, token, pages = [], "", 0
    while True:
        page = await fitness.ListVariants(pb.ListVariantsRequest(page_size=500, page_token=token))
        found += [variant.id for variant in page.variants]
        pages += 1
        if not (token := page.next_page_token):
            break
    assert found == wanted[::-1]
    assert pages == 2


async def test_another_tenants_variants_are_not_there(fitness: "Stub", caller: Any) -> None:
    mine, parent = await create(fitness, "shared-request"), await create(fitness, "parent")
    await evaluate(fitness, mine.id)
    other = caller("globex")
    runs = pb.RunMeasurements(run_seconds=[1], correct=1, total=1)
    theirs = await create(other, "shared-request")
    assert theirs.id != mine.id
    for call in (
        get(other, mine.id),
        other.GetLineage(pb.GetLineageRequest(variant_id=mine.id)),
        evaluate(other, mine.id),
        signal(other, mine.id, pb.ExternalSignal(id="s", invoice_created=True)),
        create(other, "child", parent=parent.id),
        other.CompareVariants(
            pb.CompareVariantsRequest(
                request_id="c",
                variant_id=theirs.id,
                baseline_variant_id=mine.id,
                variant_runs=runs,
                baseline_runs=runs,
            )
        ),
    ):
        assert (await refusal(call)).code == "NOT_FOUND"
    assert [each.id for each in (await other.ListVariants(pb.ListVariantsRequest())).variants] == [theirs.id]
    assert not (await other.ListTopVariants(pb.ListTopVariantsRequest())).variants
    assert (await get(fitness, mine.id)).fitness_score == pytest.approx(0.5)
