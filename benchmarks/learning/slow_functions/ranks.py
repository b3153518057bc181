"""How many results are below each score, in percent."""


def percentiles(scores, results):
    ranks = []
    for score in scores:
        below = sum(1 for result in results if result < score)
        ranks.append(100 * below // len(results))
    return ranks
