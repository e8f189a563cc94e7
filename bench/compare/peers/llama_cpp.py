"""llama.cpp through llama-cpp-python: a GGUF file of the BERT encoder, texts alone; and language
models that are GGUF files."""

import pathlib

import numpy as np

from decoding import N_NEW
from peers import NotOffered, Peer
from peers.llama_cpp_decoder import Decoder
from peers.texts import load_pooling, load_tokenizer, max_length

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # how its vocabularies mark the beginning of a word
SPECIAL = {"[PAD]": "pad", "[UNK]": "unk", "[CLS]": "bos", "[SEP]": "sep", "[MASK]": "mask"}
BATCH_TOKENS, MOST_TEXTS = 512, 64  # more at once is slower: its attention is quadratic in them
TYPES = {"f32": "F32", "bf16": "BF16", "int8": "Q8_0"}  # as GGUF names them
STAYS_FLOAT = ("position_embd.weight", "token_types.weight")  # as in its own converter
NAMES = {  # of tensors in Hugging Face's files and in GGUF
    "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q", "attention.self.key": "attn_k",
    "attention.self.value": "attn_v", "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}


def gguf_name(name):
    """Of "encoder.layer.3.output.dense.weight"; None for what GGUF has not."""
    stem, _, last = name.rpartition(".")
    block = ""
    if stem.startswith("encoder.layer."):
        number, stem = stem.removeprefix("encoder.layer.").split(".", 1)
        block = f"blk.{number}."
    return f"{block}{NAMES[stem]}.{last}" if stem in NAMES else None


def spelling(token):
    if token.startswith("##"):
        return token[2:]
    return token if token.startswith("[") and token.endswith("]") else SPACE + token


class LlamaCpp(Peer):
    decodes = True

    def settings(self):
        if self.is_gguf():
            return Decoder.SETTINGS
        return (f"GGUF {TYPES[self.precision]}, batches of {BATCH_TOKENS} tokens and "
                f"{MOST_TEXTS} texts")

    def path(self):
        return str(self.setup.export("model.gguf"))

    def export(self):
        if self.is_gguf():
            return
        folder, config = pathlib.Path(self.setup.folder), self.config()
        if not (folder / "vocab.txt").is_file() and not (folder / "tokenizer.json").is_file():
            raise NotOffered("its files hold a vocabulary, and the model has none")
        import gguf
        import torch
        from transformers import AutoModel
        writer = gguf.GGUFWriter(self.path(), "bert")
        writer.add_context_length(config["max_position_embeddings"])
        writer.add_embedding_length(config["hidden_size"])
        writer.add_feed_forward_length(config["intermediate_size"])
        writer.add_block_count(config["num_hidden_layers"])
        writer.add_head_count(config["num_attention_heads"])
        writer.add_layer_norm_eps(config["layer_norm_eps"])
        writer.add_causal_attention(False)
        writer.add_pooling_type(gguf.PoolingType[load_pooling(folder)[0].upper()])
        self.add_vocabulary(writer, gguf)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False)
        for name, tensor in model.state_dict().items():
            if gguf_name(name):
                self.add_tensor(writer, gguf_name(name), tensor.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def add_tensor(self, writer, name, tensor):
        """Weights of products and of words in the precision; the rest is float32."""
        import gguf
        kind = gguf.GGMLQuantizationType[TYPES[self.precision]]
        if self.precision == "f32" or tensor.ndim < 2 or name in STAYS_FLOAT:
            writer.add_tensor(name, tensor)
            return
        try:
            writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
        except gguf.quants.QuantError:
            raise NotOffered(f"{kind.name} takes rows of 32 numbers, {name} has others") from None

    def add_vocabulary(self, writer, gguf):
        vocabulary = load_tokenizer(pathlib.Path(self.setup.folder)).get_vocab()
        tokens = sorted(vocabulary, key=vocabulary.get)
        kinds = {True: gguf.TokenType.CONTROL, False: gguf.TokenType.NORMAL}
        writer.add_tokenizer_model("bert")
        writer.add_token_type_count(self.config()["type_vocab_size"])
        writer.add_token_list([spelling(token) for token in tokens])
        writer.add_token_types([kinds[token in SPECIAL] for token in tokens])
        for token, name in SPECIAL.items():
            if token in vocabulary:
                getattr(writer, f"add_{name}_token_id")(vocabulary[token])

    def load(self):
        if self.is_gguf():
            self.decoder = Decoder(self.setup.folder, self.setup.threads)
            return
        from llama_cpp import Llama
        n = self.setup.threads
        self.model = Llama(self.path(), embedding=True, n_ctx=BATCH_TOKENS, n_batch=BATCH_TOKENS,
                           n_ubatch=BATCH_TOKENS, n_seq_max=MOST_TEXTS, n_threads=n,
                           n_threads_batch=n, verbose=False)

    def decode(self, prompts):
        return self.decoder.decode(prompts, N_NEW)

    def prompt(self, ids):
        return self.decoder.prompt(ids)

    def shared(self, ids, n_shared):
        return self.decoder.shared(ids, n_shared)

    def first_token(self, ids):
        def call():
            decoder = Decoder(self.setup.folder, self.setup.threads)
            found = decoder.prompt(ids)()
            decoder.close()
            return found
        return call

    def embedder(self):
        return Embedder(self)


class Embedder:
    def __init__(self, peer):
        self.model = peer.model
        self.tokenizer = load_tokenizer(pathlib.Path(peer.setup.folder))
        self.most = max_length(pathlib.Path(peer.setup.folder))
        self.normalize = load_pooling(pathlib.Path(peer.setup.folder))[1]

    def tune(self, texts):
        """Nothing to choose."""

    def lengths(self, texts):
        return [len(encoding.ids) for encoding in self.tokenizer.encode_batch(texts)]

    def cut(self, text, encoding):
        """What of the text the model has positions for: beyond them llama.cpp ends the process."""
        return text[:encoding.offsets[-2][1]] if len(encoding.ids) == self.most else text

    def embed(self, texts):
        texts = [self.cut(*pair) for pair in zip(texts, self.tokenizer.encode_batch(texts))]
        return np.array(self.model.embed(texts, normalize=self.normalize), dtype=np.float32)


PEER = LlamaCpp
