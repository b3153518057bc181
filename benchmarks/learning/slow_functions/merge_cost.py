"""What it costs to join ropes two at a time, the shortest first."""


def merge_cost(lengths):
    ropes = list(lengths)
    cost = 0
    while len(ropes) > 1:
        first = min(ropes)
        ropes.remove(first)
        second = min(ropes)
        ropes.remove(second)
        cost += first + second
        ropes.append(first + second)
    return cost
