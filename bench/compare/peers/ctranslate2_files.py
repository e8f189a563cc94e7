"""CTranslate2's files of a model with an encoder and a decoder. Its converter wants a tokenizer,
which random weights have not and ids do not need: here, words are the ids in decimal."""

from ctranslate2.converters import TransformersConverter
from ctranslate2.specs.transformer_spec import TransformerEncoderModelSpec

PAD = "<pad>"  # by whose name the converter of Marian's models leaves it out of answers


class Words:
    """As much of a tokenizer as the converter asks for."""

    def __init__(self, config):
        self.words = list(map(str, range(config.vocab_size)))
        self.words[config.pad_token_id] = PAD
        self.eos_token = self.words[config.eos_token_id]
        self.bos_token = self.unk_token = self.words[1]  # an id like any other

    def get_vocab(self):
        return {word: i for i, word in enumerate(self.words)}

    def convert_ids_to_tokens(self, i):
        return self.words[i]


class OfIds(TransformersConverter):
    def load_tokenizer(self, tokenizer_class, folder, **_):
        from transformers import AutoConfig
        return Words(AutoConfig.from_pretrained(folder))


class EncoderOfIds(OfIds):
    """The encoder alone: what translates has no call that returns hidden states."""

    def _load(self):
        both = super()._load()
        encoder = TransformerEncoderModelSpec(both.encoder)
        encoder.register_vocabulary(list(map(str, range(encoder.get_vocabulary_size()))))
        encoder.config.unk_token = encoder.config.bos_token = encoder.config.eos_token = "1"
        return encoder
