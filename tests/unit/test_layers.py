"""Who may import whom: services meet over RPC alone, and rules know neither gRPC nor SQL (CONTRIBUTING.md)."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SERVICES = {path.name: path for path in REPOSITORY.glob("services/*/autodev_*")}
LIBRARIES = {path.name: path for path in REPOSITORY.glob("libs/*/autodev_*")}
OF_ALL = {"autodev_runtime", "autodev_sdk"}
MAY_IMPORT: dict[str, set[str]] = {"autodev_sdk": set(), "autodev_runtime": {"autodev_sdk"}}
"""Of ours. Whoever is not named may import what is of all."""

ADAPTERS = {"__main__", "servicer", "servicers", "peers", "remote", "listener", "consumers", "events", "announcements"}
STORES = {"store", "rows", "migrations"}

# What is otherwise, and why. Who is otherwise no more is to be left out.
MEET_OTHERWISE = {
    "autodev_cli.offline_keys": "makes a workspace's first key in the gateway's database, by the gateway's own rules",
}
SPEAK_GRPC = {
    "autodev_capability.custom": "asks gates that are extensions",
    "autodev_fitness.explained": "the servicer's messages of explanations",
    "autodev_fitness.functions": "asks fitness functions that are extensions",
    "autodev_gateway.audit.acts": "reads what is recorded from events",
    "autodev_gateway.backends": "names the services that are forwarded",
    "autodev_gateway.consume_stream": "the messages of one call of Consume",
    "autodev_gateway.filters": "filters of requests",
    "autodev_gateway.forwarding": "forwards calls as they are",
    "autodev_gateway.handlers": "asks event handlers that are extensions",
    "autodev_gateway.publish_stream": "the messages of one call of PublishStream",
    "autodev_gateway.publishing": "checks events and makes them what the log stores",
    "autodev_gateway.subscribe_stream": "the messages of one call of Subscribe",
    "autodev_gateway.webhooks.delivery": "passes webhooks on by an RPC",
    "autodev_gateway.webhooks.parts": "where the parts of webhooks meet",
    "autodev_gateway.webhooks.payload": "makes a webhook's body the call of an RPC",
    "autodev_learning.store.trial_ends": "names the type of the event that it stores",
    "autodev_sandbox.translating": "the servicer's messages",
}
KNOW_SQL = {
    "autodev_gateway.audit.log": "the chain and its table, which is only added to",
    "autodev_gateway.event_log.appending": "the statements of the event log's writers",
    "autodev_gateway.event_log.jetstream.index": "the tables beside a log that is elsewhere",
}


@cache
def imported(path: Path) -> frozenset[str]:
    """The packages that a module imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [each.name for node in nodes if isinstance(node, ast.Import) for each in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return frozenset(name.partition(".")[0] for name in names)


def modules(packages: dict[str, Path]) -> Iterator[tuple[str, frozenset[str]]]:
    """Each module's name, and what it imports."""
    for folder in packages.values():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), imported(path)


def is_of(layer: set[str], module: str) -> bool:
    """Whether the module, or a package that it is in, has a name of the layer, or one that ends so: `key_servicer`."""
    return any(part.rpartition("_")[2] in layer or part in layer for part in module.split("."))


def may_import(module: str) -> set[str]:
    """The packages of ours that a module may import."""
    own = module.partition(".")[0]
    return MAY_IMPORT.get(own, OF_ALL) | {own}


def test_services_import_no_other_service_and_libraries_import_none() -> None:
    ours = SERVICES | LIBRARIES
    assert {name for name, used in modules(ours) if used & ours.keys() - may_import(name)} == MEET_OTHERWISE.keys()


def test_only_adapters_speak_grpc() -> None:
    speaking = {name for name, used in modules(SERVICES) if any(each == "autodev" or "grpc" in each for each in used)}
    assert {name for name in speaking if not is_of(ADAPTERS, name)} == SPEAK_GRPC.keys()


def test_only_stores_know_sql() -> None:
    knowing = {name for name, used in modules(SERVICES) if "sqlalchemy" in used}
    assert {name for name in knowing if not is_of(STORES, name)} == KNOW_SQL.keys()
