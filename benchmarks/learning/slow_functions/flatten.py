"""All the items of several lists, doubled."""


def flatten_doubled(groups):
    result = []
    for group in groups:
        for item in group:
            result = result + [item * 2]
    return result
