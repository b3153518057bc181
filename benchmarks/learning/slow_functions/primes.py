"""The primes up to a limit."""


def is_prime(n):
    if n < 2:
        return False
    for divisor in range(2, n):
        if n % divisor == 0:
            return False
    return True


def primes(limit):
    found = []
    for n in range(limit + 1):
        if is_prime(n):
            found.append(n)
    return found
