"""How long it takes to tell what a new failure is similar to, as one agent's stored failures grow.

Each is told from all the others: an agent with so many failures is the worst case, since agents are compared with
their own. A third of the new failures are at tasks that come often, a third at tasks that vary one, a third at tasks
that nobody failed at. With one error, all failures have it, as where one harness checks everything. Beside each figure
stands one indexed query by the database's own driver on the same tables: the latest failure of one error that is in a
pattern.
"""

import contextlib
import gc
import json
import random
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from autodev_learning.memento.reflection import Failure, PatternRule, place, signature_key
from autodev_learning.similarity import task_words
from autodev_learning.store.failures import find_similar, words_key
from autodev_learning.word_index import bits_of, entries
from autodev_runtime.database import Database
from autodev_runtime.migrations import upgrade
from benchmarks.figures import Bar, Row, Side, judged, missing
from benchmarks.learning.effort import Effort
from benchmarks.mesh import engines
from benchmarks.mesh.engines import NotHere
from tests.postgresql import SUPERUSER
from tests.storage import Storage

ONE_ERROR: Final = "-one-error"
BARS: Final[Mapping[str, Bar]] = {
    f"reflection-{engine.lower()}{errors}": Bar(
        f"detection among 100,000 failures{' of one error' if errors else ''} on {engine}, p99", Side.AT_MOST, 10, "ms"
    )
    for errors in ("", ONE_ERROR)
    for engine in ("SQLite", "PostgreSQL")
}
SIZES: Final = (1_000, 10_000, 100_000)
ASKED: Final = 600
AGENT, TENANT = "ada", "acme"
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
WORDS, TEMPLATES, SIGNATURES = 5_000, 2_000, 500
TABLES: Final = ("task_words", "failure_tasks", "failure_words", "failure_patterns", "episodes")

Raw = Callable[[str], Awaitable[None]]


class Tasks:
    """Descriptions as agents have them: some words are common and most are rare, some tasks come often."""

    def __init__(self, seed: int, *, one_error: bool) -> None:
        self._random = random.Random(seed)
        self._one_error = one_error
        self._vocabulary = [f"{self._syllables()}{number}" for number in range(WORDS)]
        self._common = [1 / rank for rank in range(1, WORDS + 1)]
        self._templates = [self._sentence() for _ in range(TEMPLATES)]
        self._often = [1 / rank for rank in range(1, TEMPLATES + 1)]

    def frequent(self) -> tuple[int, str]:
        """A task that comes often, and its number."""
        (number,) = self._random.choices(range(TEMPLATES), self._often)
        return number, self._templates[number]

    def varied(self) -> tuple[int, str]:
        """The same with one word changed and a number added."""
        number, text = self.frequent()
        words = text.split()
        words[self._random.randrange(len(words))] = self._word()
        return number, f"{' '.join(words)} {self._random.randrange(10**6)}"

    def rare(self) -> str:
        """One that nobody failed at."""
        return self._sentence()

    def signature(self) -> str:
        """An error of few kinds; more often than not there is none. Or one for all."""
        if self._one_error:
            return "AssertionError||check"
        return f"ValueError|kind {int(self._random.paretovariate(0.7)) % SIGNATURES}|run" if self.chance(0.4) else ""

    def chance(self, share: float) -> bool:
        """True so often."""
        return self._random.random() < share

    def _sentence(self) -> str:
        return " ".join(self._word() for _ in range(self._random.randint(6, 14)))

    def _word(self) -> str:
        return self._random.choices(self._vocabulary, self._common)[0]

    def _syllables(self) -> str:
        return "".join(self._random.choice("bdfgklmnprst") + self._random.choice("aeiou") for _ in range(3))


class Filling:
    """The rows of so many failures: what the service would have written."""

    def __init__(self, tasks: Tasks, count: int) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
        self._numbers: dict[str, int] = {}
        self._tasks: dict[frozenset[str], int] = {}
        self._patterns: set[str] = set()
        for number in range(count):
            template, text = (None, tasks.rare()) if tasks.chance(0.2) else tasks.frequent()
            if template is not None and tasks.chance(0.3):
                template, text = tasks.varied()
            signature = tasks.signature()
            # What comes often is in the pattern of its task, what has an error only in that of the error.
            pattern = f"task {template}" if template is not None else signature[:36] or None
            astray = template is None and pattern in self._patterns
            if pattern is not None and pattern not in self._patterns:
                self._add_pattern(pattern, number, text, signature)
            self._add(number, text, signature, pattern, astray if pattern is not None else None)

    def _add_pattern(self, pattern: str, number: int, text: str, signature: str) -> None:
        self._patterns.add(pattern)
        self.rows["failure_patterns"].append(
            {
                "id": pattern,
                "tenant_id": TENANT,
                "agent_id": AGENT,
                "first_episode_id": f"e{number}",
                "error_signature": signature,
                "task_description": text,
                "detected_at": START,
                "skipped_reason": "",
            }
        )

    def _add(self, number: int, text: str, signature: str, pattern: str | None, astray: bool | None) -> None:
        self.rows["episodes"].append(
            {
                "id": str(uuid.UUID(int=number << 80 | 7 << 76 | 2 << 62)),
                "tenant_id": TENANT,
                "episode_id": f"e{number}",
                "event_id": "e",
                "agent_id": AGENT,
                "outcome": "failure",
                "task_description": text,
                "task_key": "",
                "error_trace": "",
                "error_signature": signature,
                "code": "def run():\n    pass\n" * 20,
                "preamble": "",
                "examples": "[]",
                "tool_calls": "[]",
                "segments": "[]",
                "pattern_id": pattern,
                "astray": astray,
                "occurred_at": START + timedelta(seconds=number),
                "signature_key": signature_key(signature) or None,
                "failure_task": self._task(task_words(text)),
            }
        )

    def _task(self, words: frozenset[str]) -> int:
        if words not in self._tasks:
            task = self._tasks[words] = len(self._tasks) + 1
            ordered = sorted((self._number(word) for word in sorted(words)), reverse=True)
            values = {"tenant_id": TENANT, "agent_id": AGENT}
            self.rows["failure_tasks"].append(
                {
                    **values,
                    "id": task,
                    "words_key": words_key(words),
                    "words": json.dumps(sorted(words)),
                    "bits": bits_of(words),
                }
            )
            self.rows["failure_words"] += [
                {**values, "word": number, "size": len(ordered), "task": task} for number in entries(ordered)
            ]
        return self._tasks[words]

    def _number(self, word: str) -> int:
        if word not in self._numbers:
            self._numbers[word] = len(self._numbers) + 1
            self.rows["task_words"].append({"tenant_id": TENANT, "word": word, "number": self._numbers[word]})
        return self._numbers[word]


@dataclass(frozen=True)
class Figures:
    """Seconds of each detection, and of the raw query beside it."""

    detected: Sequence[float]
    raw: Sequence[float]

    def __str__(self) -> str:
        return (
            f"p50 {statistics.median(self.detected) * 1000:.2f} ms, p99 {p99(self.detected) * 1000:.2f} ms; "
            f"raw p50 {statistics.median(self.raw) * 1000:.2f} ms, p99 {p99(self.raw) * 1000:.2f} ms"
        )


def p99(seconds: Sequence[float]) -> float:
    """The ninety-ninth of a hundred."""
    return statistics.quantiles(seconds, n=100)[98]


async def measure(names: Collection[str], effort: Effort) -> Mapping[str, Row]:
    """Measure on each database, at each size."""
    rows = {}
    for name in names:
        found: list[Figures] = []
        try:
            for size in SIZES[:1] if effort.quick else SIZES:
                found.append(await _on(name, size, effort))
                print(f"  {name}, {size:,} failures: {found[-1]}", flush=True)
        except NotHere as error:
            rows[name] = missing(BARS[name], str(error))
            continue
        last = found[-1]
        notes = [f"{size:>7,} failures: {figures}" for size, figures in zip(SIZES, found, strict=False)]
        raw = f"{statistics.median(last.raw) * 1000:.2f} ms raw query"
        rows[name] = judged(BARS[name], f"{len(last.detected)} failures told", raw, p99(last.detected) * 1000, notes)
    return rows


async def _on(name: str, size: int, effort: Effort) -> Figures:
    tasks = Tasks(effort.seed, one_error=name.endswith(ONE_ERROR))
    filling = Filling(tasks, size)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = None
        if "postgresql" in name:
            database = stack.enter_context(stack.enter_context(engines.postgresql()).database())
        storage = Storage(directory, database)
        async with storage.open("learning") as opened:
            await upgrade(opened, "autodev_learning")
            async with _filled(storage, filling) as raw:
                # A service holds none of these rows: its collector has no millions of objects to go through.
                gc.freeze()
                return await _figures(opened, raw, tasks, ASKED // 6 if effort.quick else ASKED)


async def _figures(database: Database, raw: Raw, tasks: Tasks, asked: int) -> Figures:
    detected, driver = [], []
    for number in range(-20, asked):
        kinds = (lambda: tasks.frequent()[1], lambda: tasks.varied()[1], tasks.rare)
        signature = signature_key(tasks.signature())
        moment = START + timedelta(days=2)
        failure = Failure("new", AGENT, task_words(kinds[number % 3]()), signature, moment)
        seconds = await _detect(database, failure)
        started = time.perf_counter()
        await raw(signature)
        if number >= 0:
            detected.append(seconds)
            driver.append(time.perf_counter() - started)
    return Figures(detected, driver)


async def _detect(database: Database, failure: Failure) -> float:
    """Tell what a failure is similar to, in a transaction that is undone."""
    rule, seconds = PatternRule(), 0.0

    class Undone(Exception):
        pass

    async def told(session: AsyncSession) -> float:
        started = time.perf_counter()
        found = await find_similar(session, failure, rule.window, None)
        place(failure, found.similar, rule)
        return time.perf_counter() - started

    with contextlib.suppress(Undone):
        async with database.session(TENANT) as session:
            seconds = await told(session)
            raise Undone
    return seconds


QUERY: Final = (
    "SELECT id, pattern_id FROM {table} WHERE tenant_id = {0} AND agent_id = {1} AND signature_key = {2}"
    " AND pattern_id IS NOT NULL ORDER BY id DESC LIMIT 1"
)


@contextlib.asynccontextmanager
async def _filled(storage: Storage, filling: Filling) -> AsyncIterator[Raw]:
    """The failures are in the tables; yields what asks the raw query."""
    if storage.database is None:
        with contextlib.closing(sqlite3.connect(storage.directory / "learning.sqlite3")) as file:
            with file:
                for table, columns, rows in _tables(filling):
                    marks = ", ".join("?" * len(columns))
                    file.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", _as_sqlite(rows))
            statement = QUERY.format("?", "?", "?", table="episodes")

            async def ask(signature: str) -> None:
                file.execute(statement, (TENANT, AGENT, signature)).fetchall()

            yield ask
        return
    connection = await storage.database.connect(SUPERUSER)
    try:
        for table, columns, rows in _tables(filling):
            await connection.copy_records_to_table(table, schema_name="learning", columns=columns, records=rows)
            if table in ("task_words", "failure_tasks"):
                key = "number" if table == "task_words" else "id"
                await connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('learning.{table}', '{key}'), {len(rows) + 1})"
                )
        await connection.execute("VACUUM ANALYZE")
        prepared = await connection.prepare(QUERY.format("$1", "$2", "$3", table="learning.episodes"))

        async def ask_server(signature: str) -> None:
            await prepared.fetch(TENANT, AGENT, signature)

        yield ask_server
    finally:
        await connection.close()


def _tables(filling: Filling) -> Iterator[tuple[str, list[str], list[tuple[Any, ...]]]]:
    for table, rows in filling.rows.items():
        columns = list(rows[0])
        yield table, columns, [tuple(row[column] for column in columns) for row in rows]


def _as_sqlite(rows: list[tuple[Any, ...]]) -> Iterator[list[Any]]:
    for row in rows:
        yield [value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value for value in row]
