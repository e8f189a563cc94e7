"""Makes the parallel corpus: everyday sentences in Chinese and English, trained on and held out.

    python make_corpus.py FOLDER        writes FOLDER/train.tsv and FOLDER/held_out.tsv

Every template (corpus/) says all its sentences, and some are taken so that every word is among
them equally often. A sentence is held out by the hash of its English too, with every Chinese
sentence that means the same, so what the model is asked for was never a target of training, in any
word order. Hashes rather than a random generator: a new template leaves the rest as it was.
"""

import argparse
import collections
import hashlib
import heapq
import pathlib
import re

# In this order, which is that of the corpus.
from corpus import days, people, things  # noqa: F401 (they fill TEMPLATES)
from corpus.templates import TEMPLATES

SHOWN = "今天天气很好"  # the example of the docs: trained on
HELD_OUT_ONE_IN = 14
# A held-out word needs others to be learned from.
MIN_TIMES_TRAINED = 4


def digest(text, purpose):
    return int.from_bytes(hashlib.sha256(f"{purpose}:{text}".encode()).digest()[:8], "big")


def words_of(english):
    return re.findall(r"\w+", english.lower())


def taken(function, take, argument):
    """`take` pairs of the template, always next the one whose least seen word was seen least, so
    that every word is learned; among equals by hash."""
    pairs = set(function(argument) if argument else function())
    seen = collections.Counter()
    heap = [(0, digest(zh + en, "take"), zh, en) for zh, en in pairs]
    heapq.heapify(heap)
    result = []
    while heap and len(result) < take:
        known, order, zh, en = heapq.heappop(heap)
        now = min(seen[word] for word in words_of(en))
        if now > known:  # others came first since: back in line
            heapq.heappush(heap, (now, order, zh, en))
            continue
        seen.update(words_of(en))
        result.append((zh, en))
    return result


def make_corpus():
    """(pairs to train on, pairs held out), each a list of (Chinese, English)."""
    corpus = {}
    in_full = set()  # of templates that are no combinations: nothing to infer them from
    for function, take, argument in TEMPLATES:
        for zh, en in taken(function, take, argument):
            if corpus.setdefault(zh, en) != en:
                raise SystemExit(f"{zh} has two translations: {corpus[zh]} / {en}")
            if function in (days.greetings, days.weekday):
                in_full.add(en)
    in_full.add(corpus[SHOWN])

    held = {en for en in corpus.values()
            if en not in in_full and digest(en, "hold") % HELD_OUT_ONE_IN == 0}
    train = [pair for pair in corpus.items() if pair[1] not in held]
    times = collections.Counter(word for _, en in train for word in words_of(en))
    for word in {word for en in held for word in words_of(en)}:
        if times[word] < MIN_TIMES_TRAINED:
            raise SystemExit(f"{word} is trained on {times[word]} times only")
    return train, [pair for pair in corpus.items() if pair[1] in held]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, pairs in zip(("train", "held_out"), make_corpus(), strict=True):
        text = "".join(f"{zh}\t{en}\n" for zh, en in pairs)
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")
        print(f"{name}.tsv: {len(pairs)} pairs")


if __name__ == "__main__":
    main()
