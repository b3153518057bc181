"""Programs over texts and tokens."""

from benchmarks.learning.classic.program import Classic

PROGRAMS = (
    Classic(
        name="wrap",
        does="words in lines that are no longer than a width",
        code="""\
def wrap(text, width):
    lines = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        elif line:
            line += " " + word
        else:
            line = word
    if line:
        lines.append(line)
    return lines
""",
        right="if line and len(line) + 1 + len(word) > width:",
        wrong="if line and len(line) + len(word) > width:",
        tests=(
            ('wrap("", 5)', "[]"),
            ('wrap("one two three", 7)', "['one two', 'three']"),
            ('wrap("one two three", 6)', "['one', 'two', 'three']"),
            ('wrap("a b c d", 2)', "['a', 'b', 'c', 'd']"),
            ('wrap("a b c d", 3)', "['a b', 'c d']"),
            ('wrap("longword a", 4)', "['longword', 'a']"),
            ('wrap("the quick brown fox", 8)', "['the', 'quick', 'brown', 'fox']"),
            ('wrap("to be or not to be", 4)', "['to', 'be', 'or', 'not', 'to', 'be']"),
            ('wrap("to be or not to be", 100)', "['to be or not to be']"),
            ('wrap("ab cd ef", 4)', "['ab', 'cd', 'ef']"),
        ),
    ),
    Classic(
        name="is_balanced",
        does="whether brackets of three kinds are closed in order",
        code="""\
OPENING = {")": "(", "]": "[", "}": "{"}


def is_balanced(text):
    opened = []
    for character in text:
        if character in "([{":
            opened.append(character)
        elif character in OPENING:
            if not opened or opened.pop() != OPENING[character]:
                return False
    return not opened
""",
        right="if not opened or opened.pop() != OPENING[character]:",
        wrong="if opened.pop() != OPENING[character]:",
        tests=(
            ('is_balanced("()[]{}")', "True"),
            ('is_balanced("")', "True"),
            ('is_balanced(")")', "False"),
            ('is_balanced("(]")', "False"),
            ('is_balanced("((")', "False"),
            ('is_balanced("a)b(")', "False"),
            ('is_balanced("{[(x)]}")', "True"),
            ('is_balanced("())")', "False"),
            ('is_balanced("]]")', "False"),
            ('is_balanced("([)]")', "False"),
        ),
    ),
    Classic(
        name="reverse_polish",
        does="the value of an expression in reverse Polish notation",
        code="""\
def reverse_polish(tokens):
    stack = []
    for token in tokens:
        if token in ("+", "-", "*"):
            second = stack.pop()
            first = stack.pop()
            if token == "+":
                stack.append(first + second)
            elif token == "-":
                stack.append(first - second)
            else:
                stack.append(first * second)
        else:
            stack.append(int(token))
    return stack.pop()
""",
        right="stack.append(int(token))",
        wrong="stack.append(token)",
        tests=(
            ('reverse_polish(["4", "9", "+"])', "13"),
            ('reverse_polish(["7"])', "7"),
            ('reverse_polish(["1", "1", "+"])', "2"),
            ('reverse_polish(["6", "3", "+", "2", "-"])', "7"),
            ('reverse_polish(["5", "0", "*"])', "0"),
            ('reverse_polish(["8", "2", "3", "+", "7", "*", "-", "1", "+"])', "-26"),
            ('reverse_polish(["2", "9", "-"])', "-7"),
            ('reverse_polish(["-4", "6", "*"])', "-24"),
            ('reverse_polish(["10", "2", "8", "*", "-"])', "-6"),
        ),
    ),
    Classic(
        name="shunting_yard",
        does="an expression's tokens in reverse Polish notation",
        code="""\
PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}


def shunting_yard(tokens):
    output = []
    waiting = []
    for token in tokens:
        if token in PRECEDENCE:
            while waiting and PRECEDENCE[waiting[-1]] >= PRECEDENCE[token]:
                output.append(waiting.pop())
            waiting.append(token)
        else:
            output.append(token)
    while waiting:
        output.append(waiting.pop())
    return output
""",
        right="while waiting and PRECEDENCE[waiting[-1]] >= PRECEDENCE[token]:",
        wrong="while waiting and PRECEDENCE[waiting[-1]] > PRECEDENCE[token]:",
        tests=(
            ("shunting_yard([])", "[]"),
            ("shunting_yard([6])", "[6]"),
            ('shunting_yard([9, "-", 3, "-", 1])', "[9, 3, '-', 1, '-']"),
            ('shunting_yard([7, "-", 8, "/", 2])', "[7, 8, 2, '/', '-']"),
            ('shunting_yard([1, "+", 2, "*", 3, "-", 4, "+", 5])', "[1, 2, 3, '*', '+', 4, '-', 5, '+']"),
            ('shunting_yard([2, "*", 3, "-", 4, "+", 6, "/", 5])', "[2, 3, '*', 4, '-', 6, 5, '/', '+']"),
            ('shunting_yard([5, "+", 6, "*", 7])', "[5, 6, 7, '*', '+']"),
            ('shunting_yard([8, "/", 4, "/", 2])', "[8, 4, '/', 2, '/']"),
            ('shunting_yard([1, "-", 2, "+", 3])', "[1, 2, '-', 3, '+']"),
        ),
    ),
    Classic(
        name="levenshtein",
        does="how many letters to insert, delete or change to get from one text to another",
        code="""\
def levenshtein(source, target):
    row = list(range(len(target) + 1))
    for i, x in enumerate(source, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(target, 1):
            change = diagonal + (x != y)
            diagonal = row[j]
            row[j] = min(change, row[j] + 1, row[j - 1] + 1)
    return row[-1]
""",
        right="row[j] = min(change, row[j] + 1, row[j - 1] + 1)",
        wrong="row[j] = min(change, row[j] + 1, row[j - 1])",
        tests=(
            ('levenshtein("saturday", "sunday")', "3"),
            ('levenshtein("", "")', "0"),
            ('levenshtein("kitten", "sitting")', "3"),
            ('levenshtein("", "abc")', "3"),
            ('levenshtein("abc", "")', "3"),
            ('levenshtein("intention", "execution")', "5"),
            ('levenshtein("same", "same")', "0"),
            ('levenshtein("xabc", "abcx")', "2"),
            ('levenshtein("drawer", "reward")', "4"),
            ('levenshtein("a", "ab")', "1"),
        ),
    ),
    Classic(
        name="common_subsequence",
        does="the longest text whose letters both texts have in this order",
        code="""\
def common_subsequence(a, b):
    if not a or not b:
        return ""
    if a[0] == b[0]:
        return a[0] + common_subsequence(a[1:], b[1:])
    without_a = common_subsequence(a[1:], b)
    without_b = common_subsequence(a, b[1:])
    return max(without_a, without_b, key=len)
""",
        right="without_b = common_subsequence(a, b[1:])",
        wrong="without_b = common_subsequence(a[1:], b[1:])",
        tests=(
            ('common_subsequence("stone", "onset")', "'one'"),
            ('common_subsequence("harvest", "rivets")', "'rvet'"),
            ('common_subsequence("", "x")', "''"),
            ('common_subsequence("abc", "abc")', "'abc'"),
            ('common_subsequence("xyz", "zx")', "'z'"),
            ('common_subsequence("mountain", "counting")', "'ountin'"),
            ('common_subsequence("b", "ab")', "'b'"),
            ('common_subsequence("aab", "ba")', "'b'"),
            ('common_subsequence("2468", "1223456788")', "'2468'"),
        ),
    ),
    Classic(
        name="run_lengths",
        does="each letter with how often it follows itself",
        code="""\
def run_lengths(text):
    runs = []
    for letter in text:
        if runs and runs[-1][0] == letter:
            runs[-1] = (letter, runs[-1][1] + 1)
        else:
            runs.append((letter, 1))
    return runs
""",
        right="if runs and runs[-1][0] == letter:",
        wrong="if runs and runs[0][0] == letter:",
        tests=(
            ('run_lengths("aaa")', "[('a', 3)]"),
            ('run_lengths("")', "[]"),
            ('run_lengths("aab")', "[('a', 2), ('b', 1)]"),
            ('run_lengths("abba")', "[('a', 1), ('b', 2), ('a', 1)]"),
            ('run_lengths("z")', "[('z', 1)]"),
            ('run_lengths("aabbcc")', "[('a', 2), ('b', 2), ('c', 2)]"),
            (
                'run_lengths("mississippi")',
                "[('m', 1), ('i', 1), ('s', 2), ('i', 1), ('s', 2), ('i', 1), ('p', 2), ('i', 1)]",
            ),
            ('run_lengths("abab")', "[('a', 1), ('b', 1), ('a', 1), ('b', 1)]"),
            ('run_lengths("xxyzzz")', "[('x', 2), ('y', 1), ('z', 3)]"),
        ),
    ),
)
