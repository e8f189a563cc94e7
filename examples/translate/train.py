"""Trains the Chinese-to-English Transformer of this folder.

    python train.py FOLDER

makes the corpus (make_corpus.py), the two SentencePiece models and their joint vocabulary, trains,
says how many held-out sentences come out right, and writes FOLDER in the layout of OPUS-MT, which
transformers' MarianMTModel and MarianTokenizer read: source.spm, target.spm, vocab.json, *.json,
model.safetensors. One core, ten minutes; the same machine gives the same weights.
"""

import argparse
import io
import json
import pathlib
import random
import time

import sentencepiece
import torch
from transformers import GenerationConfig, MarianConfig, MarianMTModel, MarianTokenizer

import make_corpus

SEED = 7
EOS, UNK = 0, 1  # as in OPUS-MT; <pad> is the last
BATCH, EPOCHS = 64, 60
PEAK_RATE, WARM_UP = 2e-3, 0.06
SMOOTHING = 0.02


def train_sentencepiece(lines, path, size, normalization, longest):
    """Writes the model, and returns its pieces."""
    written = io.BytesIO()  # not a path, which the model would keep
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=written, vocab_size=size,
        character_coverage=1.0, normalization_rule_name=normalization, num_threads=1,
        max_sentencepiece_length=longest, eos_id=EOS, unk_id=UNK, bos_id=-1, pad_id=-1,
        minloglevel=2)
    path.write_bytes(written.getvalue())
    model = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    return [model.id_to_piece(i) for i in range(model.vocab_size())]


def make_tokenizer(pairs, folder):
    """The pieces of both languages in one vocabulary, as Marian shares one embedding."""
    sources = [zh for zh, _ in pairs]
    # The full stop is in no pair, but people write it. NFKC makes narrow marks of wide ones, for
    # Chinese; English is not normalized, which saves a table of 240 KB.
    chinese = train_sentencepiece(sources + [zh + "。" for zh in sources if zh[-1] != "？"],
                                  folder / "source.spm", 520, "nmt_nfkc", 3)
    english = train_sentencepiece([en for _, en in pairs],
                                  folder / "target.spm", 480, "identity", 16)
    pieces = list(dict.fromkeys(["</s>", "<unk>"] + chinese + english)) + ["<pad>"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False, indent=1),
                                       encoding="utf-8")
    tokenizer = MarianTokenizer(
        str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json"),
        source_lang="zh", target_lang="en", model_max_length=64)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_model(vocab_size):
    pad = vocab_size - 1
    config = MarianConfig(
        vocab_size=vocab_size, d_model=128, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=384,
        decoder_ffn_dim=384, activation_function="swish", max_position_embeddings=64,
        scale_embedding=True, dropout=0.1, attention_dropout=0.0, activation_dropout=0.0,
        init_std=0.05, pad_token_id=pad, eos_token_id=EOS, bos_token_id=EOS,
        forced_eos_token_id=EOS, decoder_start_token_id=pad)
    model = MarianMTModel(config)
    model.generation_config = GenerationConfig(
        pad_token_id=pad, eos_token_id=EOS, bos_token_id=EOS, forced_eos_token_id=EOS,
        decoder_start_token_id=pad, bad_words_ids=[[pad]], max_length=64, num_beams=4,
        renormalize_logits=True)
    return model


def punctuated(zh, rng):
    """Sometimes with a full stop, or without the question mark: people write either."""
    if rng.random() < 0.1:
        return zh[:-1] if zh[-1] == "？" else zh + "。"
    return zh


def padded(rows, pad):
    width = max(map(len, rows))
    return torch.tensor([row + [pad] * (width - len(row)) for row in rows])


def batches(pairs, tokenizer, rng):
    """An epoch: sentences of about one length together, in random order."""
    shuffled = [(tokenizer(punctuated(zh, rng)).input_ids, target) for zh, target in pairs]
    rng.shuffle(shuffled)
    result = []
    for start in range(0, len(shuffled), 16 * BATCH):
        chunk = sorted(shuffled[start:start + 16 * BATCH], key=lambda pair: len(pair[1]))
        result += [chunk[i:i + BATCH] for i in range(0, len(chunk), BATCH)]
    rng.shuffle(result)
    return result


def train(model, tokenizer, pairs):
    rng = random.Random(SEED)
    pad = tokenizer.pad_token_id
    encoded = [(zh, tokenizer(text_target=en).input_ids) for zh, en in pairs]
    steps = EPOCHS * len(batches(encoded, tokenizer, random.Random(0)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98),
                                  weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=WARM_UP, anneal_strategy="cos",
        cycle_momentum=False)
    model.train()
    began = time.process_time()
    for epoch in range(EPOCHS):
        total, n_batches = 0.0, 0
        for batch in batches(encoded, tokenizer, rng):
            source = padded([ids for ids, _ in batch], pad)
            target = padded([ids for _, ids in batch], pad)
            decoder_input = torch.cat([torch.full_like(target[:, :1], pad), target[:, :-1]], 1)
            logits = model(input_ids=source, attention_mask=(source != pad).long(),
                           decoder_input_ids=decoder_input, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), target.flatten(), ignore_index=pad,
                label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total, n_batches = total + loss.item(), n_batches + 1
        print(f"epoch {epoch + 1}: loss {total / n_batches:.4f}, "
              f"{time.process_time() - began:.0f} s of CPU", flush=True)
    model.eval()


def translate(model, tokenizer, sources, num_beams):
    result = []
    for start in range(0, len(sources), 64):
        batch = tokenizer(sources[start:start + 64], return_tensors="pt", padding=True)
        result += tokenizer.batch_decode(model.generate(**batch, num_beams=num_beams),
                                         skip_special_tokens=True)
    return result


def report(model, tokenizer, pairs, what):
    sources, references = zip(*pairs, strict=True)
    for num_beams in (1, 4):
        answers = translate(model, tokenizer, sources, num_beams)
        right = sum(map(str.__eq__, answers, references))
        print(f"{what}, {num_beams} beams: {right} of {len(pairs)} right, "
              f"{right / len(pairs):.2%}")
        for zh, en, answer in zip(sources, references, answers, strict=True):
            if answer != en:
                print(f"  {zh} -> {answer} (not: {en})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    pairs, held_out = make_corpus.make_corpus()
    tokenizer = make_tokenizer(pairs, folder)
    model = make_model(tokenizer.vocab_size)
    print(f"{len(pairs)} pairs, {len(held_out)} held out; vocabulary of {tokenizer.vocab_size}; "
          f"{sum(p.numel() for p in model.parameters() if p.requires_grad)} parameters")
    train(model, tokenizer, pairs)
    model.save_pretrained(folder)
    report(model, tokenizer, held_out, "held out")
    print(make_corpus.SHOWN, "->", *translate(model, tokenizer, [make_corpus.SHOWN], 1))


if __name__ == "__main__":
    main()
