"""Honest programs that use much of Python: strictness that breaks them would be no merit."""

# ruff: noqa: E501 (programs are texts, easier seen on one line)

from tests.security.program import Limits, Program
from tests.security.program import Value as Expectation

PROGRAMS: list[Program] = []


def works(name: str, tries: str, code: str, value: Expectation, limits: Limits | None = None) -> None:
    PROGRAMS.append(Program(name=name, tries=tries, code=code, value=value, limits=limits or Limits(), benign=True))


works(
    "threads",
    "eight threads and a lock",
    """
import threading
def f(host):
    total, lock = [0], threading.Lock()
    def add():
        for _ in range(1000):
            with lock: total[0] += 1
    threads = [threading.Thread(target=add) for _ in range(8)]
    for each in threads: each.start()
    for each in threads: each.join()
    return total[0]
""",
    8000,
)
works(
    "thread_pool",
    "concurrent.futures",
    """
from concurrent.futures import ThreadPoolExecutor
def f(host):
    with ThreadPoolExecutor(4) as pool: return list(pool.map(lambda n: n * n, range(10)))
""",
    [n * n for n in range(10)],
)
works(
    "forked_processes",
    "multiprocessing by fork, with pipes",
    """
import multiprocessing
def work(pipe, n): pipe.send(n * n)
def f(host):
    context = multiprocessing.get_context("fork")
    got = []
    for n in range(4):
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, n))
        process.start(); got.append(ours.recv()); process.join()
    return got
""",
    [0, 1, 4, 9],
)
works(
    "fork_and_wait",
    "os.fork, os.pipe, os.waitpid",
    """
import os
def f(host):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"hello")
        os._exit(7)
    text = os.read(reading, 5).decode()
    return [text, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]
""",
    ["hello", 7],
)
works(
    "subprocess_of_python",
    "the interpreter itself, started again",
    """
import subprocess, sys
def f(host):
    return subprocess.run([sys.executable, "-S", "-c", "print(6 * 7)"], capture_output=True, text=True).stdout
""",
    "42\n",
)
works(
    "asyncio",
    "tasks, timeouts, queues and threads of an event loop",
    """
import asyncio
async def main():
    queue = asyncio.Queue()
    async def produce():
        for n in range(5):
            await asyncio.sleep(0.001); await queue.put(n)
    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        got = [await asyncio.wait_for(queue.get(), 2) for _ in range(5)]
    return got + [await asyncio.to_thread(sum, [1, 2])]
def f(host): return asyncio.run(main())
""",
    [0, 1, 2, 3, 4, 3],
)
works(
    "socketpair",
    "a pair of sockets between two threads",
    """
import socket, threading
def f(host):
    one, other = socket.socketpair()
    threading.Thread(target=lambda: other.sendall(other.recv(10).upper())).start()
    one.sendall(b"hello")
    return one.recv(10).decode()
""",
    "HELLO",
)
works(
    "loopback",
    "a server and its client within the program",
    """
import http.server, threading, urllib.request
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"hello")
    def log_message(self, *_): pass
def f(host):
    server = http.server.HTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=3).read().decode()
""",
    "hello",
)
works(
    "temporary_files",
    "tempfile in all its forms",
    """
import os, tempfile
def f(host):
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as named, tempfile.TemporaryFile() as file:
        named.write(b"abc"); named.flush(); file.write(b"x")
        return [os.path.getsize(named.name), len(os.listdir(folder))]
""",
    [3, 1],
)
works(
    "files",
    "csv, json and pathlib in /tmp, the working directory",
    """
import csv, json, pathlib, shutil
def f(host):
    with open("table.csv", "w", newline="") as file: csv.writer(file).writerows([["a", 1], ["b", 2]])
    rows = list(csv.reader(open("table.csv")))
    pathlib.Path("deep/er").mkdir(parents=True)
    pathlib.Path("deep/er/it.json").write_text(json.dumps(rows))
    shutil.copytree("deep", "copy")
    return json.loads(next(pathlib.Path("copy").rglob("*.json")).read_text())
""",
    [["a", "1"], ["b", "2"]],
)
works(
    "sqlite_in_memory",
    "a database in memory",
    """
import sqlite3
def f(host):
    database = sqlite3.connect(":memory:")
    database.execute("create table t (n integer)")
    database.executemany("insert into t values (?)", [(n,) for n in range(100)])
    return database.execute("select sum(n), count(*) from t where n % 2").fetchone()
""",
    [2500, 50],
)
works(
    "sqlite_in_a_file",
    "a database in /tmp, with a write-ahead log",
    """
import sqlite3
def f(host):
    database = sqlite3.connect("data.db")
    database.execute("pragma journal_mode=wal")
    database.execute("create table t (n integer)")
    with database: database.execute("insert into t values (42)")
    return sqlite3.connect("data.db").execute("select n from t").fetchone()[0]
""",
    42,
)
works(
    "time_zones",
    "zoneinfo and datetime",
    """
from datetime import datetime
from zoneinfo import ZoneInfo
def f(host):
    when = datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    return [when.isoformat(), when.astimezone(ZoneInfo("America/New_York")).hour]
""",
    ["2024-07-01T12:00:00+02:00", 6],
)
works(
    "exact_numbers",
    "decimal, fractions, statistics, math",
    """
import decimal, fractions, math, statistics
def f(host):
    decimal.getcontext().prec = 50
    return [str(decimal.Decimal(2).sqrt()), str(fractions.Fraction(1, 3) + fractions.Fraction(1, 6)),
            statistics.median([3, 1, 2]), math.comb(50, 25), str(math.factorial(100))[:10]]
""",
    ["1.4142135623730950488016887242096980785696718753769", "1/2", 2, 126410606437752, "9332621544"],
)
works(
    "foreign_functions",
    "ctypes: C's own sort, with a function of Python's",
    """
import ctypes
def f(host):
    libc = ctypes.CDLL(None)
    numbers = (ctypes.c_int * 5)(3, 1, 4, 1, 5)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    libc.qsort(numbers, 5, 4, compare(lambda a, b: a[0] - b[0]))
    return list(numbers)
""",
    [1, 1, 3, 4, 5],
)
works(
    "deep_recursion",
    "recursion ten thousand deep",
    """
import sys
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
def f(host):
    sys.setrecursionlimit(20_000)
    return depth(10_000)
""",
    10_000,
)
works(
    "large_result",
    "a result and an output of almost all that is allowed",
    """
def f(host):
    print("y" * 90_000)
    return "x" * 90_000
""",
    "x" * 90_000,
)
works(
    "unicode",
    "text of many scripts, given, printed and written",
    """
import unicodedata
def f(host):
    text = "Grüße, 世界, مرحبا, 👩‍👩‍👧"
    print(text)
    open("ü.txt", "w").write(text)
    return [open("ü.txt").read(), unicodedata.normalize("NFD", "é"), "ß".upper()]
""",
    ["Grüße, 世界, مرحبا, 👩‍👩‍👧", "e\u0301", "SS"],
)
works(
    "generators",
    "generators, itertools, functools",
    """
import functools, itertools
def primes():
    found = []
    for n in itertools.count(2):
        if all(n % p for p in found): found.append(n); yield n
@functools.cache
def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
def f(host): return [list(itertools.islice(primes(), 8)), fibonacci(70)]
""",
    [[2, 3, 5, 7, 11, 13, 17, 19], 190392490709135],
)
works(
    "data_classes",
    "dataclasses, enums, abstract classes, pattern matching, pickle and copy",
    """
import abc, copy, dataclasses, enum, pickle
class Colour(enum.Enum): RED = 1
class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...
@dataclasses.dataclass(frozen=True)
class Square(Shape):
    side: int
    colour: Colour = Colour.RED
    def area(self): return self.side ** 2
def f(host):
    square = copy.deepcopy(pickle.loads(pickle.dumps(Square(3))))
    match square:
        case Square(side=3, colour=Colour.RED): return square.area()
""",
    9,
)
works(
    "mapped_memory",
    "mmap, anonymous and of a file, shared with a child",
    """
import mmap, os
def f(host):
    shared = mmap.mmap(-1, 4096)
    child = os.fork()
    if child == 0: shared[:5] = b"child"; os._exit(0)
    os.waitpid(child, 0)
    open("file", "wb").write(bytes(4096))
    with open("file", "r+b") as file, mmap.mmap(file.fileno(), 0) as area: area[:4] = b"data"
    return [shared[:5].decode(), open("file", "rb").read(4).decode()]
""",
    ["child", "data"],
)
works(
    "signal_handlers",
    "an alarm, a timer and a signal to itself",
    """
import os, signal, time
def f(host):
    got = []
    for number in (signal.SIGALRM, signal.SIGUSR1): signal.signal(number, lambda number, _: got.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0.1)
    return sorted(got) == sorted([signal.SIGALRM, signal.SIGUSR1])
""",
    True,
)
works(
    "clocks",
    "every clock moves, and sleep sleeps",
    """
import time
def f(host):
    clocks = (time.time, time.monotonic, time.perf_counter)
    before = [clock() for clock in clocks]
    time.sleep(0.02)
    return [0.015 < clock() - then < 2 for clock, then in zip(clocks, before)] + [time.process_time() > 0]
""",
    [True] * 4,
)
works(
    "chance",
    "random by seed, secrets and uuids without",
    """
import random, secrets, uuid
def f(host):
    random.seed(7)
    return [random.randint(1, 100), len(secrets.token_hex(16)), uuid.uuid4() != uuid.uuid4()]
""",
    [42, 32, True],
)
works(
    "digests",
    "hashlib, hmac, base64, zlib, bz2, lzma",
    """
import base64, bz2, gzip, hashlib, hmac, lzma, zlib
def f(host):
    packed = [each.decompress(each.compress(b"data" * 100)) == b"data" * 100 for each in (zlib, bz2, lzma, gzip)]
    return [hashlib.sha256(b"x").hexdigest()[:8], hmac.new(b"k", b"m", "sha256").hexdigest()[:8], base64.b64encode(b"x").decode(), packed]
""",
    ["2d711642", "b60090e3", "eA==", [True] * 4],
)
works(
    "patterns",
    "re, string, textwrap, difflib",
    """
import difflib, re, textwrap
def f(host):
    return [re.sub(r"(\\w+) (\\w+)", r"\\2 \\1", "hello world"), re.findall(r"\\d+", "a1b22"), textwrap.fill("a b c", 3),
            difflib.get_close_matches("appel", ["apple", "pear"])]
""",
    ["world hello", ["1", "22"], "a b\nc", ["apple"]],
)
works(
    "structures",
    "collections, heapq, bisect, array, struct, weakref",
    """
import array, bisect, collections, heapq, struct, weakref
def f(host):
    class Thing: pass
    thing = Thing(); reference = weakref.ref(thing); del thing
    return [collections.Counter("abca").most_common(1), heapq.nsmallest(2, [3, 1, 2]), bisect.bisect([1, 3], 2),
            struct.unpack("<I", array.array("B", [1, 0, 0, 0]).tobytes())[0], reference() is None]
""",
    [[["a", 2]], [1, 2], 1, 1, True],
)
works(
    "trees",
    "ast, xml, html and url parsers",
    """
import ast, html.parser, urllib.parse, xml.etree.ElementTree as xml
def f(host):
    return [ast.unparse(ast.parse("x=1+2")), xml.fromstring("<a><b>1</b></a>").find("b").text, html.unescape("&lt;"),
            urllib.parse.parse_qs("a=1&b=2")["b"]]
""",
    ["x = 1 + 2", "1", "<", ["2"]],
)
works(
    "logging",
    "logging and warnings, to stderr",
    """
import logging, warnings
def f(host):
    logging.basicConfig(level=logging.INFO)
    logging.info("told")
    warnings.warn("careful")
    return 1
""",
    1,
)
works(
    "much_memory",
    "most of the memory it may have",
    """
def f(host): return len(bytearray(b"x") * 80_000_000)
""",
    80_000_000,
)
works(
    "much_of_tmp",
    "forty megabytes in /tmp",
    """
import os
def f(host):
    with open("big", "wb") as file:
        for _ in range(40): file.write(bytes(1 << 20))
    return os.path.getsize("big") >> 20
""",
    40,
)
works(
    "exceptions",
    "exceptions raised, chained, grouped and handled",
    """
import contextlib, traceback
def f(host):
    try:
        try: 1 / 0
        except ZeroDivisionError as error: raise ValueError("x") from error
    except ValueError as error: text = "".join(traceback.format_exception(error))
    with contextlib.suppress(KeyError): {}["x"]
    try: raise ExceptionGroup("g", [OSError(), KeyError()])
    except* OSError as group: count = len(group.exceptions)
    except* KeyError: pass
    return ["ZeroDivisionError" in text, count]
""",
    [True, 1],
)
