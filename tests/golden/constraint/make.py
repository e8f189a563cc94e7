#!/usr/bin/env python3
"""Makes patterns.json: random regular expressions, and which of some texts each of them fits as a whole, by Python's
re.fullmatch with re.ASCII. Texts are changed ones of each other, so that both answers are frequent.

  python3 tests/golden/constraint/make.py
"""
import json
import pathlib
import random
import re

ALPHABET = "ab1_ \n-\u00e4\u4eca\U0001f600"
ATOMS = ["a", "b", "1", "\\d", "\\D", "\\w", "\\W", "\\s", "\\S", ".", "[ab]", "[^a]", "[a-b1-3]", "[^\\d\\s]", "\\-", "\\n",
         "\u00e4", "\u4eca", "[\u00e4-\u4eca]", "[^\u00e4]", "\\x61", "\\u4eca", "[\\w-]"]
TIMES = ["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?", "??"]


def expression(rng, depth):
    kind = rng.random()
    if depth == 0 or kind < 0.35:
        return rng.choice(ATOMS)
    if kind < 0.6:
        return "".join(expression(rng, depth - 1) for _ in range(rng.randint(1, 3)))
    if kind < 0.75:
        return "(" + "|".join(expression(rng, depth - 1) for _ in range(rng.randint(1, 3))) + ")"
    inner = expression(rng, depth - 1)
    return (f"(?:{inner})" if rng.random() < 0.5 else f"({inner})") + rng.choice(TIMES)


def changed(rng, text):
    characters = list(text)
    for _ in range(rng.randint(1, 2)):
        at = rng.randint(0, len(characters))
        characters[at:at + rng.randint(0, 1)] = [rng.choice(ALPHABET)] * rng.randint(0, 2)
    return "".join(characters)


def main():
    rng = random.Random(21)
    cases, n_fits = [], 0
    while len(cases) < 150:
        pattern = expression(rng, 3)
        compiled = re.compile(pattern, re.ASCII)
        texts, fits = {""}, []
        for _ in range(400):
            base = rng.choice(fits) if fits and rng.random() < 0.7 else rng.choice(sorted(texts))
            text = changed(rng, base)
            if len(text) > 8 or text in texts:
                continue
            if compiled.fullmatch(text):
                fits.append(text)
            texts.add(text)
        if not fits:
            continue
        others = sorted(texts - set(fits))
        rng.shuffle(others)
        chosen = sorted(fits[:6] + others[:6] + ([""] if "" not in fits else []))
        cases.append({"pattern": pattern, "texts": {text: bool(compiled.fullmatch(text)) for text in chosen}})
        n_fits += sum(cases[-1]["texts"].values())
    path = pathlib.Path(__file__).parent / "patterns.json"
    path.write_text(json.dumps(cases, indent=None, separators=(",", ":")).replace("},{", "},\n{") + "\n")
    print(f"{len(cases)} expressions, {n_fits} of {sum(len(c['texts']) for c in cases)} texts fit")


main()
