"""How templates of sentences are told of.

A template yields (Chinese, English) for all it can say; make_corpus.py takes some of them. Tense is
in the Chinese (昨天, 了, 会, 要, 正在), and so is everything else that English says.
"""

import itertools

from corpus import words

# (function, how many pairs to take of what it yields, its argument: people or places or None)
TEMPLATES = []


def template(take):
    def register(function):
        TEMPLATES.append((function, take, None))
        return function
    return register


def about_people(take):
    """A template of sentences about somebody. Half of what is taken is about pronouns: there are
    few of them beside the relatives, but they have grammar of their own."""
    def register(function):
        shares = [(words.PRONOUNS, take // 2), (words.NAMED, take // 5), (words.RELATIVES, take * 3 // 10)]
        TEMPLATES.extend((function, share, people) for people, share in shares)
        return function
    return register


def about_places(take):
    """A template of sentences about here, a third of what is taken, or a city."""
    def register(function):
        cities = [(zh, " in " + en) for zh, en in words.CITIES]
        TEMPLATES.append((function, take // 3, [("", "")]))
        TEMPLATES.append((function, take - take // 3, cities))
        return function
    return register


def placed(times, places):
    """今天北京 and 北京今天: a place and a time in both orders, " in Beijing today"."""
    for (when, time), (place, where) in itertools.product(times, places):
        for order in (when + place, place + when):
            yield order, f"{where} {time}"
