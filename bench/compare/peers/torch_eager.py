"""PyTorch as it comes: inference mode, scaled_dot_product_attention. bfloat16 is a cast of the
module; int8 is dynamic quantisation: weights once, activations at each product."""

from peers import NotOffered, Peer, is_classifier, padded
from translation import N_STEPS


def layer_module(torch, case, tensors):
    """nn.TransformerEncoderLayer, or nn.MultiheadAttention attending to its own rows."""
    size = case.sizes
    tensors = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    if case.kind == "encoder-layer":
        module = torch.nn.TransformerEncoderLayer(size["d_model"], size["n_heads"], size["d_ff"],
                                                  batch_first=True).eval()
        module.load_state_dict(tensors)
        return module

    class SelfAttention(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.MultiheadAttention(size["d_model"], size["n_heads"],
                                                     batch_first=True)
            self.inner.load_state_dict(tensors)

        def forward(self, x):
            return self.inner(x, x, x, need_weights=False)[0]
    return SelfAttention().eval()


def linear_module(torch, weight, bias):
    module = torch.nn.Linear(weight.shape[1], len(bias))
    module.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    return module.eval()


def at_precision(module, precision):
    """The module with its weights, and what is computed of them, in that precision. int8 is of
    nn.Linear alone."""
    import torch
    if precision == "bf16":
        return module.to(torch.bfloat16)
    if precision == "int8":
        # A scale for each output, as the other engines have. Only what a module holds is exchanged.
        choice = {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
        holder = torch.nn.Sequential(module).eval()
        return torch.ao.quantization.quantize_dynamic(holder, choice, inplace=True)[0]
    return module


def load_model(folder, attention="sdpa"):
    """In float32. Of a model with an encoder and a decoder what translates, whose get_encoder() is
    like other models; of a classifier all of it, whose base_model is. Some models, such as MPNet,
    have no attention but transformers' own."""
    import torch
    from transformers import (MODEL_MAPPING, AutoConfig, AutoModel, AutoModelForSeq2SeqLM,
                              AutoModelForSequenceClassification)
    config = AutoConfig.from_pretrained(folder)
    if attention == "sdpa" and not MODEL_MAPPING[type(config)]._supports_sdpa:
        attention = "eager"
    if config.is_encoder_decoder:
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation=attention,
                                                      dtype=torch.float32)
    elif is_classifier(config.to_dict()):
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, attn_implementation=attention, dtype=torch.float32)
    else:
        model = AutoModel.from_pretrained(folder, attn_implementation=attention,
                                          dtype=torch.float32, add_pooling_layer=False)
    return model.eval()


def outputs_module(model):
    """Of what load_model() returned: ids and mask to hidden states, and of a classifier to its
    logits, too."""
    import torch
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    if not is_classifier(model.config.to_dict()):
        def run(ids, mask):
            return model(input_ids=ids, attention_mask=mask).last_hidden_state
    else:
        def run(ids, mask):
            found = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
            return found.hidden_states[-1], found.logits

    class Outputs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return run(input_ids, attention_mask)
    return Outputs().eval()


class TorchEager(Peer):
    translates = True

    def __init__(self, setup):
        super().__init__(setup)
        import torch
        torch.set_num_threads(setup.threads)
        self.torch = torch

    def settings(self):
        int8 = ", quantize_dynamic of Linear, a scale each output"
        return (f"inference_mode, scaled_dot_product_attention, {self.precision}"
                f"{int8 * (self.precision == 'int8')}")

    def load(self):
        self.model = at_precision(load_model(self.setup.folder, "sdpa"), self.precision)
        if self.is_encoder_decoder():
            self.translator, self.model = self.model, self.model.get_encoder()
        if self.is_classifier():
            self.classifier, self.model = self.model, self.model.base_model

    def run(self, module, *arguments, **named):
        with self.torch.inference_mode():
            return module(*arguments, **named)

    def fixed(self, ids):
        ids = self.torch.from_numpy(ids)
        model = self.ready(self.model)
        return lambda: self.run(model, input_ids=ids).last_hidden_state.float().numpy()

    def forward(self, ids, mask):
        from_numpy = self.torch.from_numpy
        return self.run(self.of_any_shape(self.model), input_ids=from_numpy(ids),
                        attention_mask=from_numpy(mask)).last_hidden_state.float().numpy()

    def logits(self, ids, mask):
        from_numpy = self.torch.from_numpy
        return self.run(self.of_any_shape(self.classifier), input_ids=from_numpy(ids),
                        attention_mask=from_numpy(mask)).logits.float().numpy()

    def encode_sources(self, sources):
        ids, mask = self.padded(sources)
        model = self.ready(self.model)
        return lambda: self.run(model, input_ids=ids,
                                attention_mask=mask).last_hidden_state.float().numpy()

    def generate(self, sources, beams):
        ids, mask = self.padded(sources)
        return lambda: self.run(self.translator.generate, input_ids=ids, attention_mask=mask,
                                num_beams=beams, do_sample=False, min_new_tokens=N_STEPS,
                                max_new_tokens=N_STEPS)[:, 1:].numpy()

    def padded(self, sources):
        return map(self.torch.from_numpy, padded(sources, self.config()["pad_token_id"]))

    def ready(self, module):
        """As it is to run on one shape."""
        return module

    def of_any_shape(self, module):
        return module

    def operand(self, array):
        """Activations: of int8 the engine quantises them itself."""
        tensor = self.torch.from_numpy(array)
        return tensor.to(self.torch.bfloat16) if self.precision == "bf16" else tensor

    def of_operand(self, module, x):
        module, x = self.ready(at_precision(module, self.precision)), self.operand(x)
        return lambda: self.run(module, x).float().numpy()

    def layer(self, case, tensors, x):
        if self.precision == "int8":
            raise NotOffered("quantises Linear alone, which nn.MultiheadAttention is not made of")
        return self.of_operand(layer_module(self.torch, case, tensors), x)

    def attention(self, q, k, v, causal):
        q, k, v = map(self.operand, (q, k, v))
        attend = self.torch.nn.functional.scaled_dot_product_attention
        return lambda: self.run(attend, q, k, v, is_causal=causal)

    def as_floats(self, result):
        return result.float().numpy() if isinstance(result, self.torch.Tensor) else result

    def gemm(self, weight, bias, x):
        return self.of_operand(linear_module(self.torch, weight, bias), x)


PEER = TorchEager
