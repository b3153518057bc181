"""Programs that choose, move and link."""

from benchmarks.learning.classic.program import Classic

LINKED = """
class Node:
    def __init__(self, value, next=None):
        self.value = value
        self.next = next


def chain(values):
    first = None
    for value in reversed(values):
        first = Node(value, first)
    return first


def values(node):
    found = []
    while node is not None and len(found) < 100:
        found.append(node.value)
        node = node.next
    return found


def ring(values, start):
    nodes = [Node(value) for value in values]
    for node, following in zip(nodes, nodes[1:]):
        node.next = following
    nodes[-1].next = nodes[start]
    return nodes[0]
"""

PROGRAMS = (
    Classic(
        name="knapsack",
        does="the greatest value of things of (weight, value) that together weigh no more than the capacity",
        code="""\
def knapsack(capacity, things):
    best = [0] * (capacity + 1)
    for weight, value in things:
        for room in range(capacity, weight - 1, -1):
            best[room] = max(best[room], best[room - weight] + value)
    return best[capacity]
""",
        right="for room in range(capacity, weight - 1, -1):",
        wrong="for room in range(weight, capacity + 1):",
        tests=(
            ("knapsack(20, [(11, 9), (9, 8), (5, 4), (4, 4), (3, 1)])", "17"),
            ("knapsack(0, [(1, 1)])", "0"),
            ("knapsack(10, [])", "0"),
            ("knapsack(8, [(2, 3), (3, 4), (4, 5), (5, 6)])", "10"),
            ("knapsack(6, [(2, 5)])", "5"),
            ("knapsack(30, [(10, 7), (12, 8), (8, 6)])", "21"),
            ("knapsack(15, [(7, 10), (8, 12), (9, 13)])", "22"),
            ("knapsack(3, [(4, 9)])", "0"),
            ("knapsack(9, [(3, 4), (3, 5)])", "9"),
            ("knapsack(5, [(5, 7), (1, 1)])", "7"),
        ),
    ),
    Classic(
        name="ways_to_change",
        does="in how many ways coins of these values make a total",
        code="""\
def ways_to_change(total, coins):
    if total == 0:
        return 1
    if total < 0 or not coins:
        return 0
    return ways_to_change(total - coins[0], coins) + ways_to_change(total, coins[1:])
""",
        right="return ways_to_change(total - coins[0], coins) + ways_to_change(total, coins[1:])",
        wrong="return ways_to_change(total - coins[0], coins[1:]) + ways_to_change(total, coins[1:])",
        tests=(
            ("ways_to_change(12, [1, 2, 10])", "9"),
            ("ways_to_change(0, [2])", "1"),
            ("ways_to_change(3, [])", "0"),
            ("ways_to_change(20, [5, 3, 8])", "3"),
            ("ways_to_change(50, [1, 5, 20])", "21"),
            ("ways_to_change(30, [1, 5, 20])", "10"),
            ("ways_to_change(4, [1, 2, 3])", "4"),
            ("ways_to_change(7, [4])", "0"),
            ("ways_to_change(6, [3])", "1"),
        ),
    ),
    Classic(
        name="hanoi",
        does="the moves of a tower of discs",
        code="""\
def hanoi(height, start=1, end=3, spare=2):
    if height == 0:
        return []
    moves = hanoi(height - 1, start, spare, end)
    moves.append((start, end))
    return moves + hanoi(height - 1, spare, end, start)
""",
        right="return moves + hanoi(height - 1, spare, end, start)",
        wrong="return moves + hanoi(height - 1, spare, start, end)",
        tests=(
            ("hanoi(0)", "[]"),
            ("hanoi(1)", "[(1, 3)]"),
            ("hanoi(1, 1, 2, 3)", "[(1, 2)]"),
            ("hanoi(2)", "[(1, 2), (1, 3), (2, 3)]"),
            ("hanoi(2, 3, 1, 2)", "[(3, 2), (3, 1), (2, 1)]"),
            ("hanoi(3)", "[(1, 3), (1, 2), (3, 2), (1, 3), (2, 1), (2, 3), (1, 3)]"),
            ("hanoi(2, 2, 3, 1)", "[(2, 1), (2, 3), (1, 3)]"),
            ("hanoi(3, 3, 2, 1)", "[(3, 2), (3, 1), (2, 1), (3, 2), (1, 3), (1, 2), (3, 2)]"),
            ("hanoi(3, 2, 1, 3)", "[(2, 1), (2, 3), (1, 3), (2, 1), (3, 2), (3, 1), (2, 1)]"),
        ),
    ),
    Classic(
        name="reverse_chain",
        does="a linked list the other way round",
        code="""\
def reverse_chain(node):
    previous = None
    while node:
        following = node.next
        node.next = previous
        previous = node
        node = following
    return previous
""",
        right="return previous",
        wrong="return node",
        tests=(
            ("values(reverse_chain(chain([1, 2, 3])))", "[3, 2, 1]"),
            ("values(reverse_chain(chain([])))", "[]"),
            ("values(reverse_chain(chain([7])))", "[7]"),
            ('values(reverse_chain(chain(["a", "b"])))', "['b', 'a']"),
            ("values(reverse_chain(chain([1, 1, 2])))", "[2, 1, 1]"),
            ("values(reverse_chain(chain([4, 3, 2, 1])))", "[1, 2, 3, 4]"),
            ("values(reverse_chain(chain([0, None])))", "[None, 0]"),
            ("values(reverse_chain(chain([5, 6, 7, 8, 9])))", "[9, 8, 7, 6, 5]"),
            ("values(reverse_chain(chain([True, False])))", "[False, True]"),
        ),
        preamble=LINKED,
    ),
    Classic(
        name="has_cycle",
        does="whether a linked list comes back to one of its nodes",
        code="""\
def has_cycle(node):
    slow = fast = node
    while fast is not None and fast.next is not None:
        slow = slow.next
        fast = fast.next.next
        if slow is fast:
            return True
    return False
""",
        right="fast = fast.next.next",
        wrong="fast = fast.next",
        tests=(
            ("has_cycle(chain([1, 2, 3]))", "False"),
            ("has_cycle(chain([]))", "False"),
            ("has_cycle(ring([1, 2, 3], 0))", "True"),
            ("has_cycle(ring([1, 2, 3, 4], 2))", "True"),
            ("has_cycle(chain([5]))", "False"),
            ("has_cycle(ring([5], 0))", "True"),
            ("has_cycle(chain([1, 1]))", "False"),
            ("has_cycle(ring([1, 2, 3, 4, 5], 4))", "True"),
            ("has_cycle(chain([3, 4, 3, 4]))", "False"),
        ),
        preamble=LINKED,
    ),
)
