"""Values scaled to the range from 0 to 1."""


def normalise(values):
    scaled = []
    for value in values:
        if max(values) == min(values):
            scaled.append(0.0)
        else:
            scaled.append((value - min(values)) / (max(values) - min(values)))
    return scaled
