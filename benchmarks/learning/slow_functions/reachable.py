"""How many steps each place is away from a start, on a grid with walls."""


def distances(width, height, walls, start):
    steps = {start: 0}
    waiting = [start]
    while waiting:
        x, y = waiting.pop(0)
        for place in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            inside = 0 <= place[0] < width and 0 <= place[1] < height
            if inside and place not in walls and place not in steps:
                steps[place] = steps[(x, y)] + 1
                waiting.append(place)
    return steps
