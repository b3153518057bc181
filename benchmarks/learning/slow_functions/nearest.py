"""The smallest and the largest, and how far they are apart."""


def spread(values):
    smallest = sorted(values)[0]
    largest = sorted(values)[-1]
    return smallest, largest, largest - smallest
