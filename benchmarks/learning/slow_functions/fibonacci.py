"""The n-th Fibonacci number, as the definition says it."""


def fibonacci(n):
    if n <= 1:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)
