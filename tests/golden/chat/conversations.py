"""Random conversations: turns, tools, content of several kinds."""
import random

WORDS = ["Hello", "world", "what's", "the", "weather", "今天", "天气", "é", "straße", "naïve", "\n", "\n\n", "  ", "\t", "x=1;",
         "<b>", "{{ no }}", "{% if %}", "'quoted'", '"double"', "</think>", "<think>hm</think>", "/think", "🙂", "a\\b", "…",
         "1,234.5", "[INST", "end.", "Ünïcode", "הלו", "\r\n", "\u2028", "\u00a0", "Z"]
PLAIN = [word for word in WORDS if "think" not in word]


def text(rng, n=12):
    return "".join(rng.choice(WORDS) + rng.choice(["", " ", " "]) for _ in range(rng.randint(1, n)))


def value(rng, depth=0):
    kinds = ["str", "int", "float", "bool", "none"] + (["list", "dict"] if depth < 3 else [])
    kind = rng.choice(kinds)
    if kind == "str":
        return text(rng, 4)
    if kind == "int":
        return rng.choice([0, -1, 7, 123456789, -(2**53)])
    if kind == "float":
        return rng.choice([0.5, -1.25, 1e30, 3.0, 1e-9])
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "none":
        return None
    if kind == "list":
        return [value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    return {rng.choice("abcdeü") + str(i): value(rng, depth + 1) for i in range(rng.randint(0, 3))}


def tool(rng):
    types = ["string", "number", "integer", "boolean", "array", "object", ["string", "null"]]
    properties = {}
    for i in range(rng.randint(0, 4)):
        kind = rng.choice(types)
        properties[rng.choice("zyxab") + str(i)] = {
            "type": kind, "description": text(rng, 3), **({"items": {"type": "string"}} if kind == "array" else {})}
    return {"type": "function",
            "function": {"name": rng.choice(["get_weather", "add", "zeit"]), "description": text(rng, 6),
                         "parameters": {"type": "object", "properties": properties,
                                        "required": [name for name in properties if rng.random() < 0.5]}}}


def tool_call(rng):
    return {"type": "function", "id": "".join(rng.choice("abc123") for _ in range(9)),
            "function": {"name": rng.choice(["get_weather", "add"]),
                         "arguments": {"a" + str(i): value(rng, 1) for i in range(rng.randint(0, 3))}}}


def content(rng, parts):
    if parts and rng.random() < 0.2:
        return [{"type": "text", "text": text(rng)} for _ in range(rng.randint(1, 3))]
    return text(rng)


def messages(rng, calls=True, parts=False):
    all_messages = []
    if rng.random() < 0.4:
        all_messages.append({"role": "system", "content": text(rng)})
    for _ in range(rng.randint(1, 4)):
        all_messages.append({"role": "user", "content": content(rng, parts)})
        if calls and rng.random() < 0.3:
            all_messages.append({"role": "assistant", "content": rng.choice([None, "", text(rng)]),
                                 "tool_calls": [tool_call(rng) for _ in range(rng.choice([1, 1, 1, 2]))]})
            all_messages.append({"role": "tool", "name": "add", "content": text(rng, 5)})
        answer = {"role": "assistant", "content": content(rng, parts)}
        if rng.random() < 0.2:
            answer[rng.choice(["reasoning_content", "thinking", "reasoning"])] = text(rng)
        all_messages.append(answer)
    if rng.random() < 0.7:
        all_messages.pop()
    if rng.random() < 0.05:
        rng.shuffle(all_messages)
    return all_messages


def conversation(seed, name):
    """What a template is run on, the arguments of apply_chat_template."""
    rng = random.Random(f"{name} {seed}")
    calls = name not in ("phi_3", "olmo_2", "falcon", "baichuan", "llama_2", "gemma_3", "chatml") or rng.random() < 0.1
    variables = {}
    if name in ("qwen3", "smollm_3") and rng.random() < 0.5:
        variables["enable_thinking"] = rng.random() < 0.5
    if name == "llama_3" and rng.random() < 0.3:
        variables["date_string"] = "1 Jan 2025"
    return {"messages": messages(rng, calls, name in ("gemma_3", "phi_4_mini")),
            "tools": [tool(rng) for _ in range(rng.randint(1, 3))] if rng.random() < 0.4 else None,
            "variables": variables, "add": rng.random() < 0.7}
