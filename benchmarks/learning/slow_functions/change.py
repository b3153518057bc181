"""In how many ways coins make an amount."""


def ways(coins, amount, first=0):
    if amount == 0:
        return 1
    if amount < 0 or first >= len(coins):
        return 0
    return ways(coins, amount - coins[first], first) + ways(coins, amount, first + 1)
