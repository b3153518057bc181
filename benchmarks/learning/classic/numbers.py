"""Programs that calculate."""

from benchmarks.learning.classic.program import Classic

PROGRAMS = (
    Classic(
        name="bitcount",
        does="how many bits of a number are set",
        code="""\
def bitcount(n):
    count = 0
    while n > 0:
        count += n & 1
        n >>= 1
    return count
""",
        right="while n > 0:",
        wrong="while n > 1:",
        tests=(
            ("bitcount(31)", "5"),
            ("bitcount(64)", "1"),
            ("bitcount(0)", "0"),
            ("bitcount(1)", "1"),
            ("bitcount(1000)", "6"),
            ("bitcount(10)", "2"),
            ("bitcount(13)", "3"),
            ("bitcount(777)", "4"),
            ("bitcount(2 ** 40 - 1)", "40"),
        ),
    ),
    Classic(
        name="gcd",
        does="the greatest common divisor",
        code="""\
def gcd(a, b):
    while b:
        a, b = b, a % b
    return a
""",
        right="a, b = b, a % b",
        wrong="a, b = b, a // b",
        tests=(
            ("gcd(12, 18)", "6"),
            ("gcd(17, 0)", "17"),
            ("gcd(0, 5)", "5"),
            ("gcd(9, 9)", "9"),
            ("gcd(35, 64)", "1"),
            ("gcd(15, 60)", "15"),
            ("gcd(123456, 7890)", "6"),
            ("gcd(4, 28)", "4"),
            ("gcd(81, 54)", "27"),
        ),
    ),
    Classic(
        name="prime_factors",
        does="the prime factors of a number, smallest first",
        code="""\
def prime_factors(n):
    factors = []
    divisor = 2
    while divisor * divisor <= n:
        while n % divisor == 0:
            factors.append(divisor)
            n //= divisor
        divisor += 1
    if n > 1:
        factors.append(n)
    return factors
""",
        right="while divisor * divisor <= n:",
        wrong="while divisor * divisor < n:",
        tests=(
            ("prime_factors(1)", "[]"),
            ("prime_factors(4)", "[2, 2]"),
            ("prime_factors(25)", "[5, 5]"),
            ("prime_factors(100)", "[2, 2, 5, 5]"),
            ("prime_factors(97)", "[97]"),
            ("prime_factors(49)", "[7, 7]"),
            ("prime_factors(360)", "[2, 2, 2, 3, 3, 5]"),
            ("prime_factors(2)", "[2]"),
            ("prime_factors(121)", "[11, 11]"),
            ("prime_factors(130)", "[2, 5, 13]"),
        ),
    ),
    Classic(
        name="primes",
        does="the primes up to a limit, the limit included",
        code="""\
def primes(limit):
    is_prime = [True] * (limit + 1)
    found = []
    for n in range(2, limit + 1):
        if is_prime[n]:
            found.append(n)
            for multiple in range(n * n, limit + 1, n):
                is_prime[multiple] = False
    return found
""",
        right="for multiple in range(n * n, limit + 1, n):",
        wrong="for multiple in range(n * n, limit, n):",
        tests=(
            ("primes(1)", "[]"),
            ("primes(2)", "[2]"),
            ("primes(4)", "[2, 3]"),
            ("primes(10)", "[2, 3, 5, 7]"),
            ("primes(20)", "[2, 3, 5, 7, 11, 13, 17, 19]"),
            ("primes(25)", "[2, 3, 5, 7, 11, 13, 17, 19, 23]"),
            ("primes(50)", "[2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47]"),
            ("primes(0)", "[]"),
            ("primes(49)", "[2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47]"),
            ("primes(7)", "[2, 3, 5, 7]"),
        ),
    ),
    Classic(
        name="square_root",
        does="the square root, to six digits, by Newton's steps",
        code="""\
def square_root(x):
    guess = x
    while abs(guess * guess - x) > 1e-9 * max(x, 1):
        guess = (guess + x / guess) / 2
    return round(guess, 6)
""",
        right="guess = (guess + x / guess) / 2",
        wrong="guess = guess + x / guess / 2",
        tests=(
            ("square_root(4)", "2.0"),
            ("square_root(0)", "0"),
            ("square_root(2)", "1.414214"),
            ("square_root(30)", "5.477226"),
            ("square_root(0.25)", "0.5"),
            ("square_root(1)", "1"),
            ("square_root(7)", "2.645751"),
            ("square_root(1234)", "35.128336"),
            ("square_root(10000)", "100.0"),
        ),
    ),
    Classic(
        name="whole_root",
        does="the greatest number whose square is not greater, by halving",
        code="""\
def whole_root(n):
    low, high = 0, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        if middle * middle <= n:
            low = middle
        else:
            high = middle
    return low
""",
        right="low, high = 0, n + 1",
        wrong="low, high = 0, n",
        tests=(
            ("whole_root(0)", "0"),
            ("whole_root(1)", "1"),
            ("whole_root(2)", "1"),
            ("whole_root(3)", "1"),
            ("whole_root(4)", "2"),
            ("whole_root(15)", "3"),
            ("whole_root(16)", "4"),
            ("whole_root(17)", "4"),
            ("whole_root(10 ** 12)", "1000000"),
        ),
    ),
    Classic(
        name="to_base",
        does="a number's digits in a base of up to 36",
        code="""\
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def to_base(number, base):
    if number == 0:
        return "0"
    text = ""
    while number > 0:
        text = DIGITS[number % base] + text
        number //= base
    return text
""",
        right="text = DIGITS[number % base] + text",
        wrong="text = DIGITS[number % 10] + text",
        tests=(
            ("to_base(5000, 12)", "'2A88'"),
            ("to_base(100, 7)", "'202'"),
            ("to_base(0, 2)", "'0'"),
            ("to_base(15, 20)", "'F'"),
            ("to_base(47, 16)", "'2F'"),
            ("to_base(22, 2)", "'10110'"),
            ("to_base(255, 16)", "'FF'"),
            ("to_base(99, 5)", "'344'"),
            ("to_base(30, 24)", "'16'"),
            ("to_base(1995, 36)", "'1JF'"),
        ),
    ),
    Classic(
        name="from_base",
        does="the number that digits in a base stand for",
        code="""\
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def from_base(text, base):
    value = 0
    for digit in text:
        value = value * base + DIGITS.index(digit)
    return value
""",
        right="value = value * base + DIGITS.index(digit)",
        wrong="value += base * DIGITS.index(digit)",
        tests=(
            ('from_base("101", 2)', "5"),
            ('from_base("", 7)', "0"),
            ('from_base("7F", 16)', "127"),
            ('from_base("10", 36)', "36"),
            ('from_base("Z", 36)', "35"),
            ('from_base("000", 5)', "0"),
            ('from_base("9999", 10)', "9999"),
            ('from_base("1201", 3)', "46"),
            ('from_base("777", 8)', "511"),
        ),
    ),
    Classic(
        name="pascal",
        does="the first rows of Pascal's triangle",
        code="""\
def pascal(count):
    rows = []
    for n in range(count):
        row = [1]
        for k in range(1, n):
            row.append(rows[-1][k - 1] + rows[-1][k])
        if n > 0:
            row.append(1)
        rows.append(row)
    return rows
""",
        right="row.append(rows[-1][k - 1] + rows[-1][k])",
        wrong="row.append(rows[-1][k] + rows[-1][k])",
        tests=(
            ("pascal(1)", "[[1]]"),
            ("pascal(0)", "[]"),
            ("pascal(2)", "[[1], [1, 1]]"),
            ("pascal(4)", "[[1], [1, 1], [1, 2, 1], [1, 3, 3, 1]]"),
            ("pascal(3)", "[[1], [1, 1], [1, 2, 1]]"),
            ("pascal(6)", "[[1], [1, 1], [1, 2, 1], [1, 3, 3, 1], [1, 4, 6, 4, 1], [1, 5, 10, 10, 5, 1]]"),
            ("pascal(5)", "[[1], [1, 1], [1, 2, 1], [1, 3, 3, 1], [1, 4, 6, 4, 1]]"),
        ),
    ),
)
