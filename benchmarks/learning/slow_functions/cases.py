"""What the slow functions are called with.

`typical` calls are what a proposer knows: such as a skill's runs report. `checks` are arguments that it never sees: edges,
other types, duplicates, what is used up or has no hash, what makes the function raise. `known` are calls with what they
give, so that the suite's own functions are right.
"""

from dataclasses import dataclass, field
from random import Random

NAN = "float('nan')"
ITEMS = (
    "[]", "[1]", "[2, 1, 2, 3, 1]", "[1, True, 1.0, 0, False, 0.0, -0.0]", f"[{NAN}, 1.0, {NAN}]", "(lambda n: [n, n, 2.0])(float('nan'))",
    "[[1], [2], [1]]", "[{'a': 1}, {'a': 1}, {}]", "[{1}, frozenset({1}), {2}]", "['b', 'a', 'b', '']", "'hello'", "()", "(3, 1, 3)",
    "[(1, 2), (1, 2), (2, [1])]", "[None, 0, None]", "['a', 1, 'a', b'a']", "[2**70, 2**70 + 1, 1e30]", "iter([3, 1, 3])", "range(5)", "{3: 'x', 1: 'y'}",
    "{4, 5}", "None", "7", "[bytearray(b'a'), b'a', bytearray(b'a')]", "[1, 'a']", "['a', None]", "[1.5, 2, 0.5, 2.5, 2]", "[[3], [1], [2]]", "[1j, 2j, 1j]",
    "[-1, -5, 3, -5]", "[0.1, 0.2, 0.3, 0.4]", "[[], 0]", "[True, False, True]",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One slow function: `entry` is the function that is called, `checks` its arguments, each a text."""

    name: str
    entry: str
    typical: tuple[str, ...]
    known: tuple[tuple[str, str], ...]
    checks: tuple[str, ...] = field(default=())


def pairs_of(items: tuple[str, ...], seed: int, count: int) -> tuple[str, ...]:
    """Arguments for two places, each from the items; the first three have the same object in both."""
    random = Random(seed)
    same = tuple(f"*([{each}] * 2)" for each in ("[1, 2, 1]", "[[1], [1]]", "'ab'"))
    return (*same, *(f"{random.choice(items)}, {random.choice(items)}" for _ in range(count)))


ROWS = (
    "[]", "[{'id': 1, 'name': 'a'}]", "[{'id': 1, 'name': 'a'}, {'id': 2, 'name': 'b'}, {'id': 1, 'name': 'c'}]",
    "[{'id': True, 'name': 'a'}, {'id': 1.0, 'name': 'b'}]", "[{'id': [1], 'name': 'a'}]", f"[{{'id': {NAN}, 'name': 'n'}}]",
    "[{'name': 'no id'}]", "[{'id': 1}]", "None", "[{'id': 2, 'name': 'b'}, {}]", "iter([{'id': 1, 'name': 'a'}])", "({'id': 1, 'name': 'a'},)",
)  # fmt: skip
ORDERS = (
    "[]", "[{'customer': 1, 'number': 7, 'total': 3}]", "[{'customer': 1, 'number': 7, 'total': 3}] * 3",
    "[{'customer': [1], 'number': 7, 'total': 3}]", f"[{{'customer': {NAN}, 'number': 7, 'total': 3}}]", "[{'number': 7}]", "[{'customer': 1}]",
    "[{'customer': 2, 'number': 8, 'total': 1}, {'customer': 1, 'number': 9, 'total': 2}]", "iter([{'customer': 1, 'number': 7, 'total': 3}] * 2)",
)  # fmt: skip

CASES = (
    Case("distinct", "distinct",
         ("distinct([n * 7919 % 1200 for n in range(2000)])", "distinct(list('the quick brown fox'))"),
         (("distinct([3, 1, 3, 2, 1])", "[3, 1, 2]"), ("distinct([[1], [1]])", "[[1]]")),
         ITEMS),
    Case("common", "common",
         ("common(list(range(0, 3000, 2)), list(range(0, 4500, 3)))", "common([3, 1], [1, 2])"),
         (("common([3, 1, 3], [1, 3.0])", "[3, 1, 3]"), ("common([], [])", "[]")),
         pairs_of(ITEMS, 1, 60)),
    Case("fibonacci", "fibonacci", ("fibonacci(22)", "fibonacci(5)"),
         (("fibonacci(10)", "55"), ("fibonacci(0)", "0"), ("fibonacci(-4)", "-4")),
         ("0", "1", "True", "False", "-3", "15", "2.5", "7.0", "-0.0", NAN, "'a'", "None", "[1]", "float('inf') * -1", "1j")),
    Case("change", "ways",
         ("ways([1, 2, 5, 10, 20, 50], 90)", "ways([2, 3], 7)"),
         (("ways([1, 2, 5], 11)", "11"), ("ways([], 3)", "0"), ("ways([], 0)", "1"), ("ways([2], 3)", "0")),
         ("[1, 2], 5", "(1, 2), 5", "[5], 0", "[3], -1", "[1.5, 2], 6", "[True, 2], 4", "'ab', 3", "None, 0", "None, 3", "[1, 2], 2.0",
          "[1, 2], 5, 1", "[1, 2], 5, -1", "{1: 2}, 3", "[2, 'a'], 4", "[7, 3, 2], 14", "[1, 2], True", "iter([1]), 2", "[2, 2], 4", "[1, 2, 3], 10, 0")),
    Case("edit_distance", "edit_distance",
         ("edit_distance('intention', 'execution')", "edit_distance('sunday', 'sat')"),
         (("edit_distance('kitten', 'sitting')", "3"), ("edit_distance('', 'abc')", "3"), ("edit_distance([1, 2], [2])", "1")),
         ("'', ''", "'a', ''", "'abc', 'abc'", "'abcd', 'acbd'", "[1, 2, 3], [1, 3]", "(1, 2), [1, True]", "[1], [1.0]", "'ab', None", "None, 'ab'",
          "None, None", "b'abc', b'abd'", f"[{NAN}], [{NAN}]", "[[1]], [[1], [2]]", "'flaw', 'lawn'", "'ab', ['a', 'c']", "{1: 2}, [1]", "5, 6")),
    Case("collatz", "longest_start", ("longest_start(3000)", "longest_start(40)"),
         (("longest_start(10)", "9"), ("longest_start(1)", "1"), ("steps(27)", "112")),
         ("0", "-5", "1", "2", "True", "30", "100", "2.5", "'a'", "None", "[1]")),
    Case("orders", "with_names",
         ("with_names([{'customer': n * 37 % 400, 'number': n, 'total': n % 90} for n in range(400)],"
          " [{'id': n, 'name': 'c' + str(n)} for n in range(400)])",
          "with_names([{'customer': 1, 'number': 5, 'total': 9}], [{'id': 1, 'name': 'ada'}])"),
         (("with_names([{'customer': 1, 'number': 5, 'total': 9}], [{'id': 1, 'name': 'ada'}, {'id': 1, 'name': 'bob'}])",
           "[{'order': 5, 'name': 'ada', 'total': 9}, {'order': 5, 'name': 'bob', 'total': 9}]"),
          ("with_names([], [])", "[]")),
         tuple(f"{orders}, {rows}" for orders in ORDERS for rows in ROWS)),
    Case("duplicates", "same_pairs",
         ("same_pairs([n * 7919 % 450 for n in range(600)])", "same_pairs(list('banana'))"),
         (("same_pairs([1, 2, 1, 1])", "[(0, 2), (0, 3), (2, 3)]"), ("same_pairs('aa')", "[(0, 1)]")),
         ITEMS),
    Case("frequencies", "frequencies",
         ("frequencies(' '.join('word' + str(n * 7919 % 500) for n in range(1500)))", "frequencies('to be or not to be')"),
         (("frequencies('b a B c a b')", "[('b', 3), ('a', 2), ('c', 1)]"), ("frequencies('')", "[]")),
         ("''", "'   '", "'a'", "'a b A'", "'x\\ty\\nx'", "'\\u00c9t\\u00e9 \\u00e9t\\u00e9'", "None", "5", "b'a b'", "['a']", "'a,b a'", "'b a ' * 9")),
    Case("ranks", "percentiles",
         ("percentiles([n * 7919 % 1000 for n in range(500)], [n * 104729 % 1000 for n in range(800)])", "percentiles([50, 70], [60, 40])"),
         (("percentiles([50, 70, 10], [60, 40, 50])", "[33, 100, 0]"), ("percentiles([], [])", "[]")),
         pairs_of(ITEMS, 2, 60)),
    Case("moving_sum", "moving_sums",
         ("moving_sums([n * 7919 % 1000 for n in range(2500)], 300)", "moving_sums([1, 2, 3, 4], 2)"),
         (("moving_sums([1, 2, 3, 4], 2)", "[3, 5, 7]"), ("moving_sums([1], 2)", "[]"), ("moving_sums([0.5, 0.25], 1)", "[0.5, 0.25]")),
         tuple(f"{items}, {width}" for items in ITEMS for width in ("0", "1", "2", "-1", "2.0", "True"))),
    Case("normalise", "normalise",
         ("normalise([n * 7919 % 1000 for n in range(600)])", "normalise([5, 5])"),
         (("normalise([2, 4, 3])", "[0.0, 1.0, 0.5]"), ("normalise([])", "[]"), ("normalise([1, 1])", "[0.0, 0.0]")),
         ITEMS),
    Case("reversed_text", "reversed_lines",
         ("reversed_lines('\\n'.join('line ' + str(n) * 20 for n in range(2500)))", "reversed_lines('a\\nb')"),
         (("reversed_lines('a\\nb')", "'2: b\\n1: a\\n'"), ("reversed_lines('')", "'1: \\n'")),
         ("''", "'a'", "'\\n'", "'\\n\\nx'", "'\\u00e9\\nz'", "None", "b'a'", "[1]", "5", "'a\\r\\nb'")),
    Case("flatten", "flatten_doubled",
         ("flatten_doubled([list(range(60)) for _ in range(50)])", "flatten_doubled([[1], [2, 3]])"),
         (("flatten_doubled([[1, 2], [], ['a']])", "[2, 4, 'aa']"), ("flatten_doubled([])", "[]")),
         (*ITEMS, "[[1], None]", "[[[1]], [(2,)]]", "['ab', [1.5]]", "[[None]]", "iter([[1], iter([2])])")),
    Case("nearest", "spread",
         ("spread([n * n * 7919 % 30011 for n in range(20000)])", "spread([3, 1, 2])"),
         (("spread([3, 1, 2])", "(1, 3, 2)"), ("spread([1.5, 2])", "(1.5, 2, 0.5)")),
         ITEMS),
    Case("running_median", "running_median",
         ("running_median([n * n * 7919 % 10007 for n in range(1500)])", "running_median([3, 1, 2])"),
         (("running_median([3, 1, 2])", "[3, 2.0, 2]"), ("running_median([])", "[]")),
         ITEMS),
    Case("merge_cost", "merge_cost",
         ("merge_cost([n * 7919 % 1000 for n in range(900)])", "merge_cost([4, 3, 2, 6])"),
         (("merge_cost([4, 3, 2, 6])", "29"), ("merge_cost([5])", "0"), ("merge_cost([])", "0")),
         ITEMS),
    Case("reachable", "distances",
         ("distances(60, 60, [(x, 30) for x in range(58)] + [(20, y) for y in range(32, 60)], (0, 0))", "distances(3, 2, [(1, 0)], (0, 0))"),
         (("distances(2, 2, [(1, 0)], (0, 0))", "{(0, 0): 0, (0, 1): 1, (1, 1): 2}"), ("distances(1, 1, [], (0, 0))", "{(0, 0): 0}")),
         ("3, 3, [], (1, 1)", "3, 3, {(0, 0)}, (1, 1)", "0, 0, [], (0, 0)", "2, 2, [(1, 1)], (5, 5)", "3, 3, None, (0, 0)", "3, 3, [[1, 0]], (0, 0)",
          "3, 3, iter([(1, 0)]), (0, 0)", "2, 2, [], [0, 0]", "2, 2, [], 5", "2.5, 2, [], (0, 0)", "2, 2, [(1.0, 0)], (0, True)", "'a', 2, [], (0, 0)",
          "4, 1, ((2, 0),), (0, 0)", "3, 3, [(1, 0), [1]], (0, 0)", "2, 2, 'ab', (0, 0)")),
    Case("primes", "primes", ("primes(1500)", "primes(30)"),
         (("primes(20)", "[2, 3, 5, 7, 11, 13, 17, 19]"), ("primes(1)", "[]"), ("is_prime(49)", "False")),
         ("0", "1", "2", "3", "-7", "True", "50", "121", "2.5", "'a'", "None")),
    Case("top_scores", "top_players",
         ("top_players([('p' + str(n), n * n * 7919 % 30011) for n in range(20000)], 10)", "top_players([('a', 1), ('b', 2)], 1)"),
         (("top_players([('a', 1), ('b', 2), ('c', 2)], 2)", "[('b', 2), ('c', 2)]"), ("top_players([], 3)", "[]")),
         tuple(f"{players}, {count}" for players in (
             "[('a', 1), ('b', 1.0), ('c', True), ('d', 2)]", f"[('a', {NAN}), ('b', 1), ('c', 3)]", "[('a', 'x'), ('b', 'y')]", "[('a', 1), ('b', 'y')]",
             "[('a',)]", "[]", "(('a', 1), ('b', 2))", "iter([('a', 1), ('b', 2)])", "['ab', 'cd']", "None", "[('a', [1]), ('b', [2])]", "[('a', None)]")
             for count in ("0", "1", "2", "9", "-1", "None", "True", "1.0"))),
)  # fmt: skip
