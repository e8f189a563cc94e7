#!/usr/bin/env python3
"""Makes the golden conversations: texts by transformers' environment of Jinja, ids by apply_chat_template.

  tests/golden/chat/make.py    writes templates.json, and the folders bytes/ and pieces/ with their ids.json
"""
import datetime
import json
import random
import sys
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from conversations import conversation, text  # noqa: E402
from templates import TEMPLATES  # noqa: E402

NOW = 1770685261  # the time that strftime_now tells, in UTC
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
           "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|tool|>", "<|start_header_id|>", "<|end_header_id|>",
           "<|eot_id|>"]
PLAIN = ["<think>", "</think>", "<tool_call>", "</tool_call>", "\n\n", "  "]


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None)


chat_template_utils.datetime = Clock


def rendered(template, case):
    chat = chat_template_utils._normalize_chat_messages(case["messages"])
    texts, _ = chat_template_utils.render_jinja_template(
        [chat], tools=case["tools"], chat_template=template, add_generation_prompt=case["add"], **TOKENS,
        **case["variables"])
    return texts[0]


def dumped(case):
    """JSON as text, whose order of members counts."""
    return {"messages": json.dumps(case["messages"], ensure_ascii=False),
            "tools": json.dumps(case["tools"]) if case["tools"] else "",
            "variables": json.dumps(case["variables"]), "add": case["add"]}


def make_texts(n):
    all_cases = {}
    for name, template in TEMPLATES.items():
        cases = []
        for seed in range(n):
            case = conversation(seed, name)
            try:
                cases.append({**dumped(case), "text": rendered(template, case)})
            except Exception as error:
                cases.append({**dumped(case), "error": str(error)})
        assert any("text" in case for case in cases), (name, cases[0]["error"])
        all_cases[name] = {"template": template, "cases": cases}
    write(HERE / "templates.json", {"now": NOW, "tokens": TOKENS, "templates": all_cases})


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0, sort_keys=True) + "\n")


def corpus():
    rng = random.Random(1)
    return [text(rng, 30) for _ in range(2000)]


def added(content, special):
    return AddedToken(content, special=special, normalized=False)


def bytes_tokenizer():
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    return tokenizer


def pieces_tokenizer():
    """As SentencePiece's of Llama 2: blanks are U+2581, unknown characters bytes, and the special tokens pieces."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)], show_progress=False))
    # The trainer's special tokens are the vocabulary's; the bytes' are no added ones.
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if not token["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(state))


def without_tokens(value):
    """The same without what spells a token that a template may write."""
    if isinstance(value, str):
        for token in SPECIAL + [token for token in PLAIN if not token.isspace()]:
            value = value.replace(token, "-")
        return value
    if isinstance(value, list):
        return [without_tokens(item) for item in value]
    return {key: without_tokens(item) for key, item in value.items()} if isinstance(value, dict) else value


def ids_cases(tokenizer, n):
    """Conversations of a few templates; in half of them users spell tokens with a role of their own."""
    rng = random.Random(7)
    cases = []
    for name in ("chatml", "qwen3", "llama_2", "gemma_3", "phi_3", "phi_4_mini", "llama_3"):
        for seed in range(n):
            case = conversation(1000 + seed, name)
            hostile = seed % 2 == 1
            if hostile:
                for message in case["messages"]:
                    if isinstance(message.get("content"), str):
                        words = message["content"].split(" ")
                        words.insert(rng.randint(0, len(words)), rng.choice(SPECIAL + PLAIN))
                        message["content"] = " ".join(words)
            else:
                case = without_tokens(case)
            tokenizer.chat_template = TEMPLATES[name]
            try:
                ids = tokenizer.apply_chat_template(
                    case["messages"], tools=case["tools"], add_generation_prompt=case["add"], return_dict=False,
                    sanitize_control_tokens=hostile, **case["variables"])
            except Exception:
                continue
            cases.append({**dumped(case), "template": name, "hostile": hostile, "ids": list(ids)})
    return cases


def make_ids(name, tokenizer, n):
    tokenizer.add_tokens([added(token, True) for token in SPECIAL])
    tokenizer.add_tokens([added(token, False) for token in PLAIN])
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **TOKENS)
    fast.save_pretrained(folder)
    write(folder / "ids.json", ids_cases(fast, n))


if __name__ == "__main__":
    make_texts(4)
    make_ids("bytes", bytes_tokenizer(), 4)
    make_ids("pieces", pieces_tokenizer(), 4)
