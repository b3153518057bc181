"""Programs over lists."""

from benchmarks.learning.classic.program import Classic

PROGRAMS = (
    Classic(
        name="longest_increasing",
        does="the length of the longest increasing subsequence",
        code="""\
def longest_increasing(numbers):
    longest = [1] * len(numbers)
    for i in range(len(numbers)):
        for j in range(i):
            if numbers[j] < numbers[i]:
                longest[i] = max(longest[i], longest[j] + 1)
    return max(longest, default=0)
""",
        right="longest[i] = max(longest[i], longest[j] + 1)",
        wrong="longest[i] = longest[j] + 1",
        tests=(
            ("longest_increasing([])", "0"),
            ("longest_increasing([3])", "1"),
            ("longest_increasing([3, 1, 2, 8, 6, 4, 5])", "4"),
            ("longest_increasing([1, 9, 2, 10, 3, 11])", "4"),
            ("longest_increasing([6, 5, 4, 7])", "2"),
            ("longest_increasing([1, 2, 3, 0, 4])", "4"),
            ("longest_increasing([5, 6, 1, 7, 3, 8])", "4"),
            ("longest_increasing([5, 5, 5])", "1"),
            ("longest_increasing([1, 5, 6, 2, 3, 7])", "4"),
            ("longest_increasing([2, 4, 1, 5])", "3"),
        ),
    ),
    Classic(
        name="max_sublist_sum",
        does="the greatest sum of items that follow each other; 0 for none",
        code="""\
def max_sublist_sum(numbers):
    best = ending_here = 0
    for number in numbers:
        ending_here = max(0, ending_here + number)
        best = max(best, ending_here)
    return best
""",
        right="best = max(best, ending_here)",
        wrong="best = max(best, number)",
        tests=(
            ("max_sublist_sum([2, -9, 3, 3, -1, 4])", "9"),
            ("max_sublist_sum([])", "0"),
            ("max_sublist_sum([5, -2, 4, -3, 1])", "7"),
            ("max_sublist_sum([1, 6, 2])", "9"),
            ("max_sublist_sum([-4])", "0"),
            ("max_sublist_sum([-1, 8, -3, 6, -20, 7, 2])", "11"),
            ("max_sublist_sum([-2, -3, -1])", "0"),
            ("max_sublist_sum([2, 3])", "5"),
            ("max_sublist_sum([1, -2, 4, -1])", "4"),
        ),
    ),
    Classic(
        name="flatten",
        does="the items of nested lists, in one list",
        code="""\
def flatten(nested):
    flat = []
    for item in nested:
        if isinstance(item, list):
            flat.extend(flatten(item))
        else:
            flat.append(item)
    return flat
""",
        right="flat.extend(flatten(item))",
        wrong="flat.append(flatten(item))",
        tests=(
            ("flatten([1, [2, [3, [4]]], [], 5])", "[1, 2, 3, 4, 5]"),
            ("flatten([])", "[]"),
            ("flatten([[], [[], []]])", "[]"),
            ("flatten([1, 2])", "[1, 2]"),
            ('flatten(["ab", ["cd"]])', "['ab', 'cd']"),
            ("flatten([[[[7]]]])", "[7]"),
            ("flatten([[1, 2], 3, [4]])", "[1, 2, 3, 4]"),
            ("flatten([[], 1, [[2]]])", "[1, 2]"),
            ("flatten([None, [None]])", "[None, None]"),
        ),
    ),
    Classic(
        name="powerset",
        does="every choice of the items",
        code="""\
def powerset(items):
    if not items:
        return [[]]
    rest = powerset(items[1:])
    return rest + [[items[0]] + each for each in rest]
""",
        right="return [[]]",
        wrong="return []",
        tests=(
            ("powerset([])", "[[]]"),
            ("powerset([1])", "[[], [1]]"),
            ('powerset(["a", "b"])', "[[], ['b'], ['a'], ['a', 'b']]"),
            ("powerset([1, 2, 3])", "[[], [3], [2], [2, 3], [1], [1, 3], [1, 2], [1, 2, 3]]"),
            ('powerset(["x"])', "[[], ['x']]"),
            ("powerset([4, 4])", "[[], [4], [4], [4, 4]]"),
            ("powerset([5, 6, 7])", "[[], [7], [6], [6, 7], [5], [5, 7], [5, 6], [5, 6, 7]]"),
            ("powerset([True, None])", "[[], [None], [True], [True, None]]"),
            (
                'powerset(["p", "q", "r"])',
                "[[], ['r'], ['q'], ['q', 'r'], ['p'], ['p', 'r'], ['p', 'q'], ['p', 'q', 'r']]",
            ),
        ),
    ),
    Classic(
        name="subsequences",
        does="every choice of k of the items, in their order",
        code="""\
def subsequences(items, k):
    if k == 0:
        return [[]]
    if not items:
        return []
    with_first = [[items[0]] + rest for rest in subsequences(items[1:], k - 1)]
    return with_first + subsequences(items[1:], k)
""",
        right="with_first = [[items[0]] + rest for rest in subsequences(items[1:], k - 1)]",
        wrong="with_first = [[items[0]] + rest for rest in subsequences(items, k - 1)]",
        tests=(
            ("subsequences([1, 2, 3], 2)", "[[1, 2], [1, 3], [2, 3]]"),
            ("subsequences([], 0)", "[[]]"),
            ("subsequences([], 1)", "[]"),
            ("subsequences([1, 2, 3], 3)", "[[1, 2, 3]]"),
            ('subsequences(["a", "b", "c", "d"], 1)', "[['a'], ['b'], ['c'], ['d']]"),
            (
                'subsequences(["a", "b", "c", "d"], 3)',
                "[['a', 'b', 'c'], ['a', 'b', 'd'], ['a', 'c', 'd'], ['b', 'c', 'd']]",
            ),
            ("subsequences([5, 6], 2)", "[[5, 6]]"),
            ("subsequences([5, 6], 3)", "[]"),
            ("subsequences([1, 2, 3, 4], 2)", "[[1, 2], [1, 3], [1, 4], [2, 3], [2, 4], [3, 4]]"),
            ("subsequences([8], 1)", "[[8]]"),
        ),
    ),
    Classic(
        name="merge_intervals",
        does="intervals put together where they meet, in order",
        code="""\
def merge_intervals(intervals):
    merged = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return merged
""",
        right="merged[-1][1] = max(merged[-1][1], end)",
        wrong="merged[-1][1] = end",
        tests=(
            ("merge_intervals([[1, 3], [2, 6]])", "[[1, 6]]"),
            ("merge_intervals([])", "[]"),
            ("merge_intervals([[1, 10], [2, 3]])", "[[1, 10]]"),
            ("merge_intervals([[5, 6], [1, 2]])", "[[1, 2], [5, 6]]"),
            ("merge_intervals([[1, 4], [4, 5]])", "[[1, 5]]"),
            ("merge_intervals([[0, 9], [1, 2], [3, 4]])", "[[0, 9]]"),
            ("merge_intervals([[3, 8], [1, 9], [20, 21]])", "[[1, 9], [20, 21]]"),
            ("merge_intervals([[2, 7], [2, 3]])", "[[2, 7]]"),
            ("merge_intervals([[1, 1]])", "[[1, 1]]"),
        ),
    ),
)
