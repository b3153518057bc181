"""The pairs of places that hold the same."""


def same_pairs(values):
    pairs = []
    for i in range(len(values)):
        for j in range(i + 1, len(values)):
            if values[i] == values[j]:
                pairs.append((i, j))
    return pairs
