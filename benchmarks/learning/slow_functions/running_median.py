"""The median after each value."""


def running_median(values):
    seen = []
    medians = []
    for value in values:
        seen.append(value)
        seen.sort()
        middle = len(seen) // 2
        if len(seen) % 2:
            medians.append(seen[middle])
        else:
            medians.append((seen[middle - 1] + seen[middle]) / 2)
    return medians
