"""Writes the small random classifiers of this folder and what their own programs say of them.

    python make.py [--out DIR] [NAME ...]

Each model is a Hugging Face folder (some as sentence-transformers' CrossEncoder saves it) and
    first.txt, second.txt   texts, and the second texts of pairs
    logits.npy              [n, n_labels], of the first texts alone
    pair_logits.npy         [n, n_labels], of the pairs
    scores.json             what programs make of the logits:
        "scores"            transformers' text-classification of the first texts, in the labels' order
        "pair_scores"       of a CrossEncoder's folder: its predict() of the pairs, else the pipeline's
        "order"             of a CrossEncoder of one label: its rank() of the second texts, by the
                            first of the first texts
        "zero_shot"         of a model with a label of entailment: labels, template, and the scores
                            of transformers' pipeline, in the order of the labels
    manifest.json           how far transformers' own float32 logits are from the float64, at most
Logits are computed in float64, text by text, and rounded once.

All parameters are random, biases and norms too, so that one which is forgotten shows.
"""

import argparse
import dataclasses
import json
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import tokenizers
import torch
import transformers
from sentence_transformers import CrossEncoder
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

MAX_F32_ERROR = 2e-5
torch.set_num_threads(1)

VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] a b c d e f g h i j k l m n o p q r s t u v w x y z
##s ##ing ##ed ##er ##e ##t ##o ##n ##a ##r the cat dog sat on mat run rain in is was not fast we
they house river . , ! ? ' - this example about weather travel animals""".split()

FIRST = ["The cat sat on the mat.", "we", "", "  the   dog", "Dogs run fast!", "Is it raining?",
         "They sat in the house, not on the river.", "caf\u00e9 \u732b \u72d7",
         "The rain was fast, the river was fast, the dog was not fast, they ran on and on.",
         "--pair", "TESTED - tester's test", "in the rain we sat in the house and on the mat"]
SECOND = ["A dog was on a mat.", "", "we", "a river is not a house", "-5",
          "The rain was fast, the river was fast, the dog was not fast, we sat and sat.", "?",
          "the cat", "not in the house, not on the mat, not in the rain, not on the river", "is it?",
          "they run", "in a house in the rain the dog sat on the mat"]
ZERO_SHOT_LABELS = ["weather", "travel", "cat, dog", "animals"]
ZERO_SHOT_TEXTS = [0, 4, 5, 6]


@dataclasses.dataclass
class Golden:
    name: str
    family: str
    why: str
    labels: list  # names, or their number
    heads: int = 3
    head_dim: int = 8
    d_ff: int = 40
    layers: int = 2
    max_len: int = 40
    std: float = 0.3
    config: dict = dataclasses.field(default_factory=dict)  # more fields of config.json
    # "6.2": saved by sentence-transformers; "2.0", "4.0": fields as of old; "plain": none
    cross_encoder: str = ""
    activation: str = ""  # of a cross-encoder: "Sigmoid", "Identity"
    prompt: str = ""


MODELS = [
    Golden("bert_nli", "bert", "three labels, entailment the last; softmax; zero-shot",
           ["contradiction", "neutral", "entailment"], max_len=64,
           config={"problem_type": "single_label_classification"}),
    Golden("bert_nli_entailment_first", "bert",
           "entailment is label 0, so the last is contradiction; odd widths; no problem_type",
           ["ENTAILMENT", "NEUTRAL", "CONTRADICTION"], heads=5, head_dim=7, d_ff=53, layers=1,
           max_len=64, config={"hidden_act": "relu"}),
    Golden("bert_multi_label", "bert", "five labels, each with a sigmoid of its own; hostile names",
           ["a", "--json", "caf\u00e9 \"quoted\"", "", "a"], heads=2, head_dim=5, d_ff=17, max_len=24,
           config={"problem_type": "multi_label_classification", "type_vocab_size": 3}),
    Golden("bert_regression", "bert", "one label, raw", 1, heads=1, head_dim=33, layers=1, max_len=24,
           config={"problem_type": "regression", "hidden_act": "gelu_new"}),
    Golden("bert_seventeen_labels", "bert", "more labels than a vector has numbers; LABEL_i", 17,
           heads=4, head_dim=4, layers=1, max_len=16),
    Golden("bert_two_by_default", "bert", "config.json does not say how many labels: two", 2,
           heads=2, head_dim=16, layers=1, max_len=24),
    Golden("bert_cross_encoder", "bert", "folder of sentence-transformers 6.2; sigmoid; cut at 22", 1,
           heads=3, head_dim=6, max_len=22, cross_encoder="6.2", activation="Sigmoid"),
    Golden("bert_cross_encoder_4", "bert", "config.json as of sentence-transformers 4: identity", 1,
           heads=2, head_dim=12, max_len=30, cross_encoder="4.0", activation="Identity"),
    Golden("bert_cross_encoder_2", "bert", "config.json as of sentence-transformers 2: identity", 3,
           heads=2, head_dim=9, layers=1, max_len=18, cross_encoder="2.0", activation="Identity"),
    Golden("bert_cross_encoder_prompt", "bert", "6.2, identity, a prompt by default", 1, heads=2,
           head_dim=8, layers=1, max_len=20, cross_encoder="6.2", activation="Identity",
           prompt="the dog "),
    Golden("distilbert_nli", "distilbert", "two labels, one of them entailment",
           ["entailment", "not_entailment"], heads=3, head_dim=7, max_len=64),
    Golden("distilbert_multi_label", "distilbert", "four labels, sigmoid", ["a", "b", "c", "d"],
           heads=2, head_dim=8, d_ff=33, layers=1, max_len=20,
           config={"problem_type": "multi_label_classification", "activation": "relu"}),
    Golden("distilbert_cross_encoder", "distilbert", "6.2, sigmoid", 1, heads=4, head_dim=5,
           max_len=24, cross_encoder="6.2", activation="Sigmoid"),
    Golden("roberta_nli", "roberta", "three labels, byte-level BPE", ["contradiction", "neutral",
           "entailment"], heads=2, head_dim=11, max_len=90, config={"type_vocab_size": 1}),
    Golden("roberta_cross_encoder", "roberta", "config.json as of sentence-transformers 2: identity",
           1, heads=3, head_dim=8, layers=1, max_len=40, cross_encoder="2.0", activation="Identity",
           config={"type_vocab_size": 1}),
    Golden("roberta_seven_labels", "roberta", "seven labels, cut at 18", 7, heads=1, head_dim=20,
           layers=1, max_len=18, config={"type_vocab_size": 1, "hidden_act": "gelu_new"}),
    Golden("xlm_roberta_cross_encoder", "xlm-roberta", "as of a reranker: Unigram, sigmoid by default",
           1, heads=3, head_dim=8, max_len=40, cross_encoder="plain",
           config={"type_vocab_size": 1}),
    Golden("xlm_roberta_three_labels", "xlm-roberta", "three labels",
           ["negative", "neutral", "positive"], heads=2, head_dim=9, layers=1, max_len=30,
           config={"type_vocab_size": 1}),
    Golden("xlm_roberta_nli", "xlm-roberta", "entailment in the middle", ["no", "Entailment", "?"],
           heads=2, head_dim=12, layers=1, max_len=90, config={"type_vocab_size": 1}),
    Golden("camembert_two_labels", "camembert", "two labels", 2, heads=5, head_dim=3, max_len=40,
           config={"type_vocab_size": 1}),
    Golden("camembert_regression", "camembert", "raw", 1, heads=2, head_dim=8, layers=1, max_len=24,
           config={"type_vocab_size": 1, "problem_type": "regression"}),
    Golden("camembert_cross_encoder", "camembert", "6.2, identity", 1, heads=2, head_dim=10, layers=1,
           max_len=30, cross_encoder="6.2", activation="Identity", config={"type_vocab_size": 1}),
    Golden("electra_cross_encoder", "electra", "6.2, sigmoid", 1, heads=2, head_dim=9, max_len=22,
           cross_encoder="6.2", activation="Sigmoid", config={"embedding_size": 18}),
    Golden("electra_four_labels", "electra", "tables narrower than the layers", 4, heads=3,
           head_dim=6, layers=1, max_len=30, config={"embedding_size": 11}),
    Golden("electra_multi_label", "electra", "three labels, sigmoid", 3, heads=1, head_dim=32,
           layers=1, max_len=20, config={"embedding_size": 32,
                                         "problem_type": "multi_label_classification"}),
    Golden("mpnet_two_labels", "mpnet", "two labels", 2, heads=3, head_dim=8, max_len=40),
    Golden("mpnet_cross_encoder", "mpnet", "6.2, sigmoid", 1, heads=2, head_dim=7, layers=1,
           max_len=24, cross_encoder="6.2", activation="Sigmoid"),
    Golden("mpnet_nli", "mpnet", "three labels", ["entailment", "neutral", "contradiction"], heads=2,
           head_dim=10, layers=1, max_len=64),
    Golden("nomic_bert_two_labels", "nomic_bert", "two labels", 2, heads=3, head_dim=8, max_len=40),
    Golden("gte_cross_encoder", "gte", "as of a reranker: Unigram, sigmoid by default", 1, heads=2,
           head_dim=8, layers=1, max_len=30, cross_encoder="plain"),
    Golden("jina3_three_labels", "jina_embeddings_v3", "three labels",
           ["negative", "neutral", "positive"], heads=2, head_dim=10, layers=1, max_len=30),
    Golden("modernbert_nli", "modernbert", "three labels; the first token, which a window bounds in "
           "the last layer", ["entailment", "neutral", "contradiction"], heads=2, head_dim=10,
           layers=3, max_len=64, config={"local_attention": 6}),
    Golden("modernbert_mean", "modernbert", "two labels, by the mean of all tokens; biases everywhere; "
           "ReLU", 2, heads=3, head_dim=6, layers=2, max_len=30, config={
               "local_attention": 9, "classifier_pooling": "mean", "classifier_bias": True,
               "norm_bias": True, "classifier_activation": "relu"}),
    Golden("modernbert_cross_encoder", "modernbert", "6.2, sigmoid", 1, heads=2, head_dim=8, layers=1,
           max_len=24, cross_encoder="6.2", activation="Sigmoid"),
]


def randomise(model, std, rng):
    for name, parameter in sorted(model.named_parameters()):
        shape = tuple(parameter.shape)
        values = rng.standard_normal(shape)
        if "LayerNorm.weight" in name or name.endswith("norm.weight"):
            values = rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1, 1, 1], shape)
        elif name.endswith("bias"):
            values *= 0.2
        elif "embeddings" in name:
            values *= 0.5
        else:
            values *= std
        parameter.data = torch.from_numpy(values).float()


def config_of(golden, vocab_size):
    d_model = golden.heads * golden.head_dim
    names = golden.labels if isinstance(golden.labels, list) else []
    common = {"vocab_size": vocab_size}
    if names:
        common["id2label"] = dict(enumerate(names))
        common["label2id"] = {name: i for i, name in enumerate(names)}
    else:
        common["num_labels"] = golden.labels
    if golden.family == "distilbert":
        return transformers.DistilBertConfig(
            dim=d_model, n_layers=golden.layers, n_heads=golden.heads, hidden_dim=golden.d_ff,
            max_position_embeddings=golden.max_len + 3, **common, **golden.config)
    if golden.family == "modernbert":
        common |= {"pad_token_id": 0, "cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3,
                   "eos_token_id": 3}
    return AutoConfig.for_model(
        golden.family, hidden_size=d_model, num_hidden_layers=golden.layers,
        num_attention_heads=golden.heads, intermediate_size=golden.d_ff,
        # RoBERTa's and MPNet's positions begin behind that of the padding, 1.
        max_position_embeddings=golden.max_len + 5, **common, **golden.config)


def trained_tokenizer(golden):
    """Byte-level BPE, or Unigram with the special tokens of XLM-RoBERTa or CamemBERT."""
    texts = FIRST + SECOND
    if golden.family == "roberta":
        trained = tokenizers.ByteLevelBPETokenizer(add_prefix_space=False)
        trained.train_from_iterator(texts, vocab_size=300, min_frequency=1, show_progress=False,
                                    special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
        state = json.loads(trained.to_str())["model"]
        return transformers.RobertaTokenizer(
            vocab=state["vocab"], merges=[tuple(merge) for merge in state["merges"]],
            model_max_length=golden.max_len)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    if golden.family == "camembert":
        special = ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"]
    words = sorted({"\u2581" + word.strip(".,!?").lower() for text in texts for word in text.split()} |
                   set("\u2581abcdefghijklmnopqrstuvwxyz.,!?'-") | {"ing", "ed", "er"})
    pieces = [(piece, 0.0) for piece in special] + [(word, -2.0 - i % 7) for i, word in
                                                    enumerate(words)]
    if golden.family == "camembert":
        return transformers.CamembertTokenizer(vocab=pieces, model_max_length=golden.max_len)
    return transformers.XLMRobertaTokenizer(vocab=pieces, model_max_length=golden.max_len)


def save_tokenizer(golden, folder):
    """Returns how many tokens it has."""
    if golden.family in ("roberta", "xlm-roberta", "camembert", "gte", "jina_embeddings_v3"):
        tokenizer = trained_tokenizer(golden)
        tokenizer.save_pretrained(folder)
        return len(tokenizer)
    with tempfile.TemporaryDirectory() as scratch:
        if golden.family == "mpnet":
            words = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"] + VOCABULARY[5:]
            tokenizer = transformers.MPNetTokenizer(
                vocab={word: i for i, word in enumerate(words)}, do_lower_case=True,
                model_max_length=golden.max_len)
            tokenizer.save_pretrained(folder)
            return len(tokenizer)
        path = pathlib.Path(scratch) / "vocab.txt"
        path.write_text("".join(token + "\n" for token in VOCABULARY))
        inputs = {}
        if golden.family == "modernbert":  # which has no types of segments
            inputs = {"model_input_names": ["input_ids", "attention_mask"]}
        transformers.BertTokenizer(vocab=str(path), do_lower_case=True,
                                   model_max_length=golden.max_len, **inputs).save_pretrained(folder)
    return len(VOCABULARY)


def save(golden, folder, rng):
    vocab_size = save_tokenizer(golden, folder)
    model = AutoModelForSequenceClassification.from_config(config_of(golden, vocab_size))
    randomise(model, golden.std, rng)
    model.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    name = {"Sigmoid": "torch.nn.modules.activation.Sigmoid",
            "Identity": "torch.nn.modules.linear.Identity", "": ""}[golden.activation]
    if golden.cross_encoder == "4.0":
        config["sentence_transformers"] = {"activation_fn": name, "version": "4.0.1"}
    if golden.cross_encoder == "2.0":
        config["sbert_ce_default_activation_function"] = name
    if golden.name == "bert_two_by_default":
        for key in ("id2label", "label2id", "num_labels"):
            config.pop(key, None)
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    if golden.cross_encoder == "6.2":
        prompts = {"prompts": {"query": golden.prompt}, "default_prompt_name": "query"}
        encoder = CrossEncoder(str(folder), activation_fn=getattr(torch.nn, golden.activation)(),
                               **(prompts if golden.prompt else {}))
        shutil.rmtree(folder)
        encoder.save_pretrained(str(folder))
        (folder / "README.md").unlink()
        tokenizer_config = folder / "tokenizer_config.json"
        settings = json.loads(tokenizer_config.read_text())
        for key in ("is_local", "local_files_only"):
            settings.pop(key, None)
        tokenizer_config.write_text(json.dumps(settings, indent=2) + "\n")


def load(folder, dtype, attention):
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    model.set_attn_implementation(attention)
    return model.to(dtype).eval()


def tokenize(tokenizer, text, second):
    """As a batch of one: where a call for one pair has an empty second text, there is no pair."""
    pair = ([text],) if second is None else ([text], [second])
    return tokenizer(*pair, truncation=True, return_tensors="pt")


def logits(model, tokenizer, first, second):
    rows = []
    with torch.inference_mode():
        for i, text in enumerate(first):
            rows.append(model(**tokenize(tokenizer, text, second and second[i])).logits[0])
    return torch.stack(rows).double().numpy()


def scores_of(golden, folder, model, tokenizer, first=FIRST):
    result = {}
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer)
    result["scores"] = [apply(classify, tokenize(tokenizer, text, None)) for text in first]
    result["pair_scores"] = [apply(classify, tokenize(tokenizer, *pair))
                             for pair in zip(first, SECOND)]
    if golden.cross_encoder:
        encoder = CrossEncoder(str(folder), model_kwargs={"dtype": torch.float32})
        predicted = encoder.predict(list(zip(first, SECOND)), batch_size=5)
        result["pair_scores"] = np.asarray(predicted, np.float64).reshape(len(first), -1).tolist()
        if encoder.num_labels == 1:
            result["order"] = [row["corpus_id"] for row in encoder.rank(first[0], SECOND)]
        result.pop("scores")  # the pipeline does not obey a CrossEncoder's settings
    if any(label.lower().startswith("entail") for label in model.config.label2id):
        zero_shot = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)
        answers = []
        for template in ("This example is {}.", "about {}"):
            for multi_label in (False, True):
                for labels in (ZERO_SHOT_LABELS, ZERO_SHOT_LABELS[:1]):
                    rows = []
                    for i in ZERO_SHOT_TEXTS:
                        said = zero_shot(first[i], labels, hypothesis_template=template,
                                         multi_label=multi_label)
                        by_label = dict(zip(said["labels"], said["scores"]))
                        rows.append([by_label[label] for label in labels])
                    answers.append({"texts": ZERO_SHOT_TEXTS, "labels": labels, "template": template,
                                    "multi_label": multi_label, "scores": rows})
        result["zero_shot"] = answers
    return result


def apply(classify, model_inputs):
    """The pipeline's scores of one input, in the order of the labels."""
    with torch.inference_mode():
        outputs = classify.forward(model_inputs)
    return [row["score"] for row in classify.postprocess(outputs, top_k=None, _legacy=True)]


def make(golden, seed, folder):
    folder.mkdir(parents=True)
    save(golden, folder, np.random.default_rng(seed))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    first = [golden.prompt + text for text in FIRST]
    truth = load(folder, torch.float64, "eager")
    own = {"logits": logits(truth, tokenizer, first, None),
           "pair_logits": logits(truth, tokenizer, first, SECOND)}
    error = 0.0
    for attention in ("eager", "sdpa"):
        model = load(folder, torch.float32, attention)
        for name, second in (("logits", None), ("pair_logits", SECOND)):
            error = max(error, np.abs(logits(model, tokenizer, first, second) - own[name]).max())
    if error > MAX_F32_ERROR:
        sys.exit(f"{golden.name}: float32 is off by {error}")
    for name, values in own.items():
        np.save(folder / f"{name}.npy", values.astype(np.float32))
    scores = scores_of(golden, folder, load(folder, torch.float32, "sdpa"), tokenizer)
    for name, lines in (("first", FIRST), ("second", SECOND)):
        (folder / f"{name}.txt").write_text("".join(line + "\n" for line in lines))
    (folder / "scores.json").write_text(json.dumps(scores) + "\n")
    manifest = {"why": golden.why, "logits_float32_from_float64": float(error)}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    spread = own["pair_logits"].std(axis=0).max()
    print(f"{golden.name}: float32 off by {error:.1e}, logits spread by {spread:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    for seed, golden in enumerate(MODELS):
        if options.names and golden.name not in options.names:
            continue
        folder = options.out / golden.name
        if folder.exists():
            shutil.rmtree(folder)
        make(golden, 1000 + seed, folder)


if __name__ == "__main__":
    main()
