"""The sums of all windows of a width."""


def moving_sums(values, width):
    sums = []
    for start in range(len(values) - width + 1):
        sums.append(sum(values[start : start + width]))
    return sums
