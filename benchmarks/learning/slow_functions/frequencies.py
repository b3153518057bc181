"""How often each word is in a text, the most frequent first."""


def frequencies(text):
    words = text.lower().split()
    seen = []
    for word in words:
        if word not in seen:
            seen.append(word)
    return sorted([(word, words.count(word)) for word in seen], key=lambda pair: (-pair[1], pair[0]))
