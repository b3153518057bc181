"""Programs that put in order and find what is in order."""

from benchmarks.learning.classic.program import Classic

PROGRAMS = (
    Classic(
        name="quicksort",
        does="the items in order",
        code="""\
def quicksort(items):
    if not items:
        return []
    pivot = items[0]
    smaller = [item for item in items[1:] if item < pivot]
    others = [item for item in items[1:] if item >= pivot]
    return quicksort(smaller) + [pivot] + quicksort(others)
""",
        right="smaller = [item for item in items[1:] if item < pivot]",
        wrong="smaller = [item for item in items[1:] if item <= pivot]",
        tests=(
            ("quicksort([3, 1, 2])", "[1, 2, 3]"),
            ("quicksort([])", "[]"),
            ("quicksort([4, 4])", "[4, 4]"),
            ("quicksort([5])", "[5]"),
            ("quicksort([2, 3, 2, 1, 2])", "[1, 2, 2, 2, 3]"),
            ('quicksort(["pear", "fig", "fig"])', "['fig', 'fig', 'pear']"),
            ("quicksort([-1, -1, 0, -7, 0])", "[-7, -1, -1, 0, 0]"),
            ("quicksort([9, 8, 7, 6, 5, 4])", "[4, 5, 6, 7, 8, 9]"),
            ("quicksort([1, 1, 1, 1])", "[1, 1, 1, 1]"),
        ),
    ),
    Classic(
        name="mergesort",
        does="the items in order",
        code="""\
def merge(left, right):
    merged = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            j += 1
    return merged + left[i:] + right[j:]


def mergesort(items):
    if len(items) <= 1:
        return items
    middle = len(items) // 2
    return merge(mergesort(items[:middle]), mergesort(items[middle:]))
""",
        right="return merged + left[i:] + right[j:]",
        wrong="return merged + left[i:]",
        tests=(
            ("mergesort([3, 1, 2])", "[1, 2, 3]"),
            ("mergesort([])", "[]"),
            ("mergesort([7])", "[7]"),
            ("mergesort([1, 2])", "[1, 2]"),
            ("mergesort([2, 1])", "[1, 2]"),
            ("mergesort([5, 3, 5, 1, 4])", "[1, 3, 4, 5, 5]"),
            ("mergesort([8, 15, 3, 40, 12, 1, 22])", "[1, 3, 8, 12, 15, 22, 40]"),
            ("mergesort([-4, 0, -4, 9])", "[-4, -4, 0, 9]"),
            ("mergesort([1, 2, 3, 4, 5, 6])", "[1, 2, 3, 4, 5, 6]"),
        ),
    ),
    Classic(
        name="counting_sort",
        does="numbers from 0 to `most` in order",
        code="""\
def counting_sort(numbers, most):
    counts = [0] * (most + 1)
    for number in numbers:
        counts[number] += 1
    ordered = []
    for number, count in enumerate(counts):
        ordered.extend([number] * count)
    return ordered
""",
        right="counts[number] += 1",
        wrong="counts[number] = 1",
        tests=(
            ("counting_sort([], 3)", "[]"),
            ("counting_sort([3, 1, 2], 3)", "[1, 2, 3]"),
            ("counting_sort([2, 2], 5)", "[2, 2]"),
            ("counting_sort([0, 0, 0], 0)", "[0, 0, 0]"),
            ("counting_sort([4, 2, 4, 1, 4], 4)", "[1, 2, 4, 4, 4]"),
            ("counting_sort([12, 4, 12, 7, 4], 12)", "[4, 4, 7, 12, 12]"),
            ("counting_sort([5], 5)", "[5]"),
            ("counting_sort([1, 0, 1, 0], 1)", "[0, 0, 1, 1]"),
            ("counting_sort([6, 6, 2, 9], 10)", "[2, 6, 6, 9]"),
        ),
    ),
    Classic(
        name="kth_smallest",
        does="the item that k others precede in order",
        code="""\
def kth_smallest(items, k):
    pivot = items[0]
    smaller = [item for item in items if item < pivot]
    greater = [item for item in items if item > pivot]
    same = len(items) - len(smaller) - len(greater)
    if k < len(smaller):
        return kth_smallest(smaller, k)
    if k < len(smaller) + same:
        return pivot
    return kth_smallest(greater, k - len(smaller) - same)
""",
        right="return kth_smallest(greater, k - len(smaller) - same)",
        wrong="return kth_smallest(greater, k - len(smaller))",
        tests=(
            ("kth_smallest([10, 20, 30, 40, 50], 3)", "40"),
            ("kth_smallest([9], 0)", "9"),
            ("kth_smallest([5, 2, 8, 5, 1, 9, 2], 5)", "8"),
            ("kth_smallest([4, 9, 6, 3, 7], 0)", "3"),
            ("kth_smallest([30, 12, 8, 5], 3)", "30"),
            ("kth_smallest([17, 3, 12, 60, 25], 2)", "17"),
            ("kth_smallest([4, 4, 4, 5], 3)", "5"),
            ("kth_smallest([17, 3, 12, 60, 25], 4)", "60"),
            ("kth_smallest([-2, 0, -5, 11], 2)", "0"),
        ),
    ),
    Classic(
        name="position",
        does="where an item stands in a sorted list, or -1",
        code="""\
def position(items, wanted):
    low, high = 0, len(items) - 1
    while low <= high:
        middle = (low + high) // 2
        if items[middle] == wanted:
            return middle
        if items[middle] < wanted:
            low = middle + 1
        else:
            high = middle - 1
    return -1
""",
        right="while low <= high:",
        wrong="while low < high:",
        tests=(
            ("position([1, 2, 8, 8, 9], 2)", "1"),
            ("position([], 1)", "-1"),
            ("position([6], 6)", "0"),
            ("position([6], 5)", "-1"),
            ("position([1, 3, 9], 9)", "2"),
            ("position([1, 3, 9], 1)", "0"),
            ("position([1, 2, 4, 6, 7], 5)", "-1"),
            ("position([2, 4, 6, 8, 10, 12], 12)", "5"),
            ("position([2, 4, 6, 8, 10, 12], 2)", "0"),
        ),
    ),
    Classic(
        name="first_position",
        does="where an item stands first in a sorted list, or None",
        code="""\
def first_position(items, wanted):
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    if low < len(items) and items[low] == wanted:
        return low
    return None
""",
        right="low = middle + 1",
        wrong="low = middle",
        tests=(
            ("first_position([1, 2, 2, 2, 7], 2)", "1"),
            ("first_position([1, 2, 2, 2, 7], 8)", "None"),
            ("first_position([], 1)", "None"),
            ("first_position([2, 2, 2], 2)", "0"),
            ("first_position([2, 5, 6, 6, 11, 15], 11)", "4"),
            ("first_position([-3, 0, 4, 10, 21], 12)", "None"),
            ("first_position([-3, 0, 4, 10, 21], 10)", "3"),
            ("first_position([1], 1)", "0"),
            ("first_position([1, 5, 5], 5)", "1"),
            ("first_position([1], 0)", "None"),
        ),
    ),
    Classic(
        name="next_permutation",
        does="the next greater order of the same items, or None",
        code="""\
def next_permutation(items):
    i = len(items) - 2
    while i >= 0 and items[i] >= items[i + 1]:
        i -= 1
    if i < 0:
        return None
    j = len(items) - 1
    while items[j] <= items[i]:
        j -= 1
    swapped = list(items)
    swapped[i], swapped[j] = swapped[j], swapped[i]
    return swapped[:i + 1] + swapped[i + 1:][::-1]
""",
        right="return swapped[:i + 1] + swapped[i + 1:][::-1]",
        wrong="return swapped[:i + 1] + swapped[i + 1:]",
        tests=(
            ("next_permutation([2, 4, 3, 1])", "[3, 1, 2, 4]"),
            ("next_permutation([1, 2, 3])", "[1, 3, 2]"),
            ("next_permutation([3, 2, 1])", "None"),
            ("next_permutation([1, 3, 2])", "[2, 1, 3]"),
            ("next_permutation([])", "None"),
            ("next_permutation([1, 5, 8, 4, 2])", "[1, 8, 2, 4, 5]"),
            ("next_permutation([1, 1, 5])", "[1, 5, 1]"),
            ("next_permutation([2, 3, 1, 4])", "[2, 3, 4, 1]"),
            ("next_permutation([6, 2, 3, 9, 7, 5])", "[6, 2, 5, 3, 7, 9]"),
        ),
    ),
)
