"""Which start below a limit takes the most steps to 1."""


def steps(n):
    if n == 1:
        return 1
    if n % 2 == 0:
        return 1 + steps(n // 2)
    return 1 + steps(3 * n + 1)


def longest_start(limit):
    best, best_steps = 1, 1
    for start in range(1, limit):
        taken = steps(start)
        if taken > best_steps:
            best, best_steps = start, taken
    return best
