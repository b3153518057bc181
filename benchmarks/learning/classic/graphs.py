"""Programs over graphs."""

from benchmarks.learning.classic.program import Classic

PROGRAMS = (
    Classic(
        name="shortest_path",
        does="the length of the shortest path, or -1",
        code="""\
from heapq import heappop, heappush


def shortest_path(graph, start, end):
    heap = [(0, start)]
    seen = set()
    while heap:
        length, node = heappop(heap)
        if node == end:
            return length
        if node in seen:
            continue
        seen.add(node)
        for neighbour, step in graph.get(node, {}).items():
            if neighbour not in seen:
                heappush(heap, (length + step, neighbour))
    return -1
""",
        right="heappush(heap, (length + step, neighbour))",
        wrong="heappush(heap, (step, neighbour))",
        tests=(
            ('shortest_path({"a": {"b": 2, "c": 9}, "b": {"c": 4}}, "a", "c")', "6"),
            ('shortest_path({}, "a", "a")', "0"),
            ('shortest_path({"a": {"b": 1}}, "b", "a")', "-1"),
            ('shortest_path({"a": {"b": 4, "c": 1}, "c": {"b": 2}, "b": {"d": 5}}, "a", "d")', "8"),
            ('shortest_path({"a": {"b": 7}}, "a", "b")', "7"),
            ('shortest_path({"a": {"b": 1}, "b": {"a": 1, "c": 9}, "c": {}}, "a", "c")', "10"),
            ("shortest_path({1: {2: 5, 3: 2}, 3: {2: 2, 4: 8}, 2: {4: 1}}, 1, 4)", "5"),
            ('shortest_path({"a": {"b": 1}, "c": {"d": 1}}, "a", "d")', "-1"),
            ('shortest_path({"s": {"a": 2, "b": 5}, "a": {"b": 2, "t": 9}, "b": {"t": 3}}, "s", "t")', "7"),
        ),
    ),
    Classic(
        name="all_shortest",
        does="the shortest lengths between all nodes, from a matrix of edges",
        code="""\
def all_shortest(edges):
    size = len(edges)
    lengths = [list(row) for row in edges]
    for k in range(size):
        for i in range(size):
            for j in range(size):
                lengths[i][j] = min(lengths[i][j], lengths[i][k] + lengths[k][j])
    return lengths
""",
        right="lengths[i][j] = min(lengths[i][j], lengths[i][k] + lengths[k][j])",
        wrong="lengths[i][j] = min(lengths[i][j], lengths[i][k] + lengths[j][k])",
        tests=(
            ("all_shortest([])", "[]"),
            ("all_shortest([[0]])", "[[0]]"),
            ("all_shortest([[0, 3, 9], [9, 0, 2], [9, 9, 0]])", "[[0, 3, 5], [9, 0, 2], [9, 9, 0]]"),
            ("all_shortest([[0, 1], [7, 0]])", "[[0, 1], [7, 0]]"),
            ("all_shortest([[0, 5, 99], [99, 0, 1], [2, 99, 0]])", "[[0, 5, 6], [3, 0, 1], [2, 7, 0]]"),
            ("all_shortest([[0, 8, 5], [3, 0, 99], [99, 2, 0]])", "[[0, 7, 5], [3, 0, 8], [5, 2, 0]]"),
            (
                "all_shortest([[0, 99, 3, 99], [2, 0, 99, 99], [99, 7, 0, 1], [6, 99, 99, 0]])",
                "[[0, 10, 3, 4], [2, 0, 5, 6], [7, 7, 0, 1], [6, 16, 9, 0]]",
            ),
            ("all_shortest([[0, 4], [4, 0]])", "[[0, 4], [4, 0]]"),
            ("all_shortest([[0, 1, 99], [99, 0, 1], [1, 99, 0]])", "[[0, 1, 2], [2, 0, 1], [1, 2, 0]]"),
        ),
    ),
    Classic(
        name="topological_order",
        does="names in an order in which each follows all that it needs, or None",
        code="""\
def topological_order(needs):
    done = []
    waiting = sorted(needs)
    while waiting:
        ready = [name for name in waiting if all(other in done for other in needs[name])]
        if not ready:
            return None
        done.extend(ready)
        waiting = [name for name in waiting if name not in done]
    return done
""",
        right="ready = [name for name in waiting if all(other in done for other in needs[name])]",
        wrong="ready = [name for name in waiting if not any(other in done for other in needs[name])]",
        tests=(
            ('topological_order({"a": [], "b": ["a"]})', "['a', 'b']"),
            ("topological_order({})", "[]"),
            ('topological_order({"a": ["b"], "b": ["a"]})', "None"),
            ('topological_order({"a": ["c"], "b": [], "c": ["b"]})', "['b', 'c', 'a']"),
            ('topological_order({"x": [], "y": [], "z": ["x", "y"]})', "['x', 'y', 'z']"),
            ('topological_order({"a": ["b", "d"], "b": ["d"], "c": ["a"], "d": []})', "['d', 'b', 'a', 'c']"),
            (
                'topological_order({"roof": ["walls", "beams"], "walls": ["base"], "beams": ["base"], "base": []})',
                "['base', 'beams', 'walls', 'roof']",
            ),
            ('topological_order({"a": ["a"]})', "None"),
            ('topological_order({"p": ["q", "r"], "q": [], "r": ["q"]})', "['q', 'r', 'p']"),
        ),
    ),
    Classic(
        name="hops",
        does="over how few edges one node is reached from another, or None",
        code="""\
from collections import deque


def hops(graph, start, goal):
    queue = deque([(start, 0)])
    seen = {start}
    while queue:
        node, count = queue.popleft()
        if node == goal:
            return count
        for neighbour in graph.get(node, []):
            if neighbour not in seen:
                seen.add(neighbour)
                queue.append((neighbour, count + 1))
    return None
""",
        right="node, count = queue.popleft()",
        wrong="node, count = queue.pop()",
        tests=(
            ('hops({"a": ["b", "c"], "b": ["d"], "c": ["e"], "e": ["d"]}, "a", "d")', "2"),
            ('hops({}, "a", "a")', "0"),
            ('hops({"a": ["b"]}, "b", "a")', "None"),
            ('hops({"a": ["c", "b"], "b": ["x"], "x": ["y"], "y": ["c"], "c": ["d"]}, "a", "d")', "2"),
            ("hops({1: [2, 3], 2: [5], 3: [4], 4: [5]}, 1, 5)", "2"),
            ("hops({1: [2], 2: [1]}, 1, 3)", "None"),
            ('hops({"s": ["t", "u"], "u": ["v"], "v": ["t"], "t": ["z"]}, "s", "z")', "2"),
            ('hops({"a": ["b"], "b": ["c"], "c": ["d"]}, "a", "d")', "3"),
            ('hops({"a": ["b", "c"], "b": ["e"], "c": ["d"], "d": ["e"]}, "a", "e")', "2"),
        ),
    ),
    Classic(
        name="reaches",
        does="whether there is a way from one node to another",
        code="""\
def reaches(graph, start, goal):
    seen = set()

    def visit(node):
        if node == goal:
            return True
        if node in seen:
            return False
        seen.add(node)
        return any(visit(neighbour) for neighbour in graph.get(node, ()))

    return visit(start)
""",
        right="seen.add(node)",
        wrong="seen.add(goal)",
        tests=(
            ('reaches({"a": ["b"], "b": ["c"]}, "a", "c")', "True"),
            ('reaches({}, "a", "b")', "False"),
            ('reaches({"a": ["b"], "b": ["a"]}, "a", "c")', "False"),
            ('reaches({"a": ["a"]}, "a", "b")', "False"),
            ("reaches({1: [2, 3], 2: [1], 3: [4]}, 1, 4)", "True"),
            ("reaches({1: [2], 2: [3], 3: [1], 4: [1]}, 1, 4)", "False"),
            ('reaches({"a": [], "b": ["a"]}, "a", "b")', "False"),
            ('reaches({"a": ["b", "c"], "b": ["a"], "c": ["b", "d"]}, "a", "d")', "True"),
            ('reaches({"x": ["y"], "y": ["z"], "z": ["y"]}, "x", "q")', "False"),
        ),
    ),
    Classic(
        name="is_cyclic",
        does="whether a graph has a way from a node back to it",
        code="""\
def is_cyclic(graph):
    active = set()

    def visit(node):
        if node in active:
            return True
        active.add(node)
        found = any(visit(neighbour) for neighbour in graph.get(node, ()))
        active.discard(node)
        return found

    return any(visit(node) for node in graph)
""",
        right="        active.discard(node)\n",
        wrong="",
        tests=(
            ('is_cyclic({"a": ["b"], "b": ["c"]})', "False"),
            ("is_cyclic({})", "False"),
            ('is_cyclic({"a": ["b"], "b": ["a"]})', "True"),
            ('is_cyclic({"a": ["b", "c"], "b": ["d"], "c": ["d"]})', "False"),
            ('is_cyclic({"a": ["a"]})', "True"),
            ("is_cyclic({1: [2], 2: [3], 3: [1]})", "True"),
            ("is_cyclic({1: [3], 2: [3]})", "False"),
            ("is_cyclic({1: [2], 2: [3], 3: [2]})", "True"),
            ('is_cyclic({"a": []})', "False"),
        ),
    ),
    Classic(
        name="spanning_tree",
        does="the edges (weight, node, node) of a least spanning tree, lightest first",
        code="""\
def root(parents, node):
    while parents[node] != node:
        node = parents[node]
    return node


def spanning_tree(edges):
    parents = {node: node for edge in edges for node in edge[1:]}
    chosen = []
    for weight, a, b in sorted(edges):
        if root(parents, a) != root(parents, b):
            chosen.append((weight, a, b))
            parents[root(parents, a)] = root(parents, b)
    return chosen
""",
        right="parents[root(parents, a)] = root(parents, b)",
        wrong="parents[a] = root(parents, b)",
        tests=(
            ("spanning_tree([(2, 1, 2), (9, 2, 3), (2, 3, 4), (2, 1, 4)])", "[(2, 1, 2), (2, 1, 4), (2, 3, 4)]"),
            ("spanning_tree([])", "[]"),
            ('spanning_tree([(3, "a", "b")])', "[(3, 'a', 'b')]"),
            ('spanning_tree([(1, "a", "b"), (2, "b", "c"), (3, "a", "c")])', "[(1, 'a', 'b'), (2, 'b', 'c')]"),
            (
                'spanning_tree([(1, "a", "b"), (2, "a", "c"), (3, "b", "c"), (4, "c", "d"), (5, "b", "d")])',
                "[(1, 'a', 'b'), (2, 'a', 'c'), (4, 'c', 'd')]",
            ),
            ("spanning_tree([(5, 1, 3), (2, 6, 7), (8, 1, 4), (3, 3, 4)])", "[(2, 6, 7), (3, 3, 4), (5, 1, 3)]"),
            ("spanning_tree([(1, 1, 2), (1, 3, 4), (2, 1, 3), (3, 2, 4)])", "[(1, 1, 2), (1, 3, 4), (2, 1, 3)]"),
            (
                "spanning_tree([(1, 1, 2), (2, 1, 3), (3, 1, 4), (4, 2, 4), (5, 2, 3)])",
                "[(1, 1, 2), (2, 1, 3), (3, 1, 4)]",
            ),
            ('spanning_tree([(2, "x", "y"), (1, "x", "z"), (4, "y", "z")])', "[(1, 'x', 'z'), (2, 'x', 'y')]"),
        ),
    ),
)
