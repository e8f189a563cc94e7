#!/usr/bin/env python3
"""Lets a model answer random JSON schemas, and checks each answer by the package jsonschema: to be run by hand, in an
environment that has it and the package headlane.

  python3 tests/golden/constraint/random_schemas.py MODEL [N_SCHEMAS] [SEED]

MODEL is best one of random weights, such as that of tests/golden/language_models/llama_texts, whose tokens are drawn at
a high temperature: it takes the ways that no trained model takes.
"""
import json
import random
import sys

import headlane
import jsonschema

WORDS = ["name", "age", "a", "ab", "tags", "x y", "gr\u00fcn", "\"q\"", "id", "\\"]
FORMATS = ["date", "time", "date-time", "uuid", "ipv4"]
PATTERNS = ["^[a-z]{2,5}$", "^\\d+-\\w$", "a.c", "^(x|yz)*$", "[\"\\\\]", "^$", "\u4eca"]


def scalar(rng):
    kind = rng.randrange(9)
    if kind == 0:
        return {"type": "string", **({"minLength": rng.randrange(4), "maxLength": rng.randrange(4, 30)} if rng.random() < 0.7 else {})}
    if kind == 1:
        return {"type": "string", "pattern": rng.choice(PATTERNS)}
    if kind == 2:
        return {"type": "string", "format": rng.choice(FORMATS)}
    if kind in (3, 4):
        low = rng.randrange(-1000, 1000)
        schema = {"type": "integer" if kind == 3 else "number"}
        if rng.random() < 0.6:
            schema[rng.choice(["minimum", "exclusiveMinimum"])] = low
        if rng.random() < 0.6:
            schema[rng.choice(["maximum", "exclusiveMaximum"])] = low + rng.randrange(3, 10**rng.randrange(1, 9))
        return schema
    if kind == 5:
        return {"enum": rng.sample([1, 2.5, "a", "b\"", None, True, [1, "x"], {"a": {}}], rng.randrange(1, 5))}
    if kind == 6:
        return {"const": rng.choice([0, -3.25, "\n\u4eca", [], {"a": 1, "b": [None]}])}
    if kind == 7:
        return {"type": rng.sample(["null", "boolean", "integer"], rng.randrange(1, 3))}
    return {"type": rng.choice(["boolean", "null"])}


def schema_of(rng, depth):
    kind = rng.random()
    if depth == 0 or kind < 0.25:
        return scalar(rng)
    if kind < 0.6:
        names = rng.sample(WORDS, rng.randrange(0, 5))
        schema = {"type": "object", "properties": {name: schema_of(rng, depth - 1) for name in names}}
        schema["required"] = [name for name in names if rng.random() < 0.5]
        more = rng.random()
        if more < 0.2:
            schema["additionalProperties"] = schema_of(rng, depth - 1)
        elif more < 0.6:
            schema["additionalProperties"] = False
        return schema
    if kind < 0.8:
        schema = {"type": "array", "items": schema_of(rng, depth - 1)}
        least = rng.randrange(3)
        if rng.random() < 0.3:
            schema["prefixItems"] = [schema_of(rng, depth - 1) for _ in range(rng.randrange(1, 3))]
        return {**schema, "minItems": least, "maxItems": least + rng.randrange(4)}
    if kind < 0.92:
        return {"anyOf": [schema_of(rng, depth - 1) for _ in range(rng.randrange(1, 4))]}
    return {"$ref": "#/$defs/tree"}


def main():
    model = headlane.LanguageModel(sys.argv[1], n_threads=1)
    n, seed = int(sys.argv[2]) if len(sys.argv) > 2 else 500, int(sys.argv[3]) if len(sys.argv) > 3 else 0
    rng = random.Random(seed)
    most = min(4000, model.max_positions - 10)
    n_whole = n_cut = 0
    for i in range(n):
        schema = schema_of(rng, 3)
        schema["$defs"] = {"tree": {"type": "object", "properties": {"v": scalar(rng), "next": {"anyOf": [
            {"type": "null"}, {"$ref": "#/$defs/tree"}]}}, "required": ["v", "next"]}}
        if "$ref" in schema:
            schema = {"anyOf": [{"$ref": "#/$defs/tree"}], "$defs": schema["$defs"]}
        answer = model.generate("JSON:", schema=schema, temperature=3.0, seed=i, max_new_tokens=most)
        if answer.finish_reason != "stop":
            assert answer.finish_reason == "length", (schema, answer)
            n_cut += 1
            continue
        value = json.loads(answer.text)
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker(FORMATS[:1] + FORMATS[3:])).validate(value)
        n_whole += 1
    print(f"{n} schemas: {n_whole} answers are valid, {n_cut} were cut at {most} tokens")


if __name__ == "__main__":
    main()
