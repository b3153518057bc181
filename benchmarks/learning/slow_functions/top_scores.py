"""The best few of many players, by score."""


def top_players(players, count):
    return sorted(players, key=lambda player: player[1], reverse=True)[:count]
