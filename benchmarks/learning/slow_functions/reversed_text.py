"""A text whose lines are numbered and come last first."""


def reversed_lines(text):
    result = ""
    number = 0
    for line in text.split("\n"):
        number += 1
        result = str(number) + ": " + line + "\n" + result
    return result
