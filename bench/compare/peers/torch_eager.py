"""PyTorch as it comes: inference mode, scaled_dot_product_attention."""

from peers import Peer


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


class TorchEager(Peer):
    def __init__(self, setup):
        super().__init__(setup)
        import torch
        torch.set_num_threads(setup.threads)
        self.torch = torch

    def settings(self):
        return "inference_mode, scaled_dot_product_attention"

    def load(self):
        from transformers import AutoModel
        self.model = AutoModel.from_pretrained(
            self.setup.folder, attn_implementation="sdpa", dtype=self.torch.float32,
            add_pooling_layer=False).eval()

    def run(self, module, *arguments, **named):
        with self.torch.inference_mode():
            return module(*arguments, **named)

    def fixed(self, ids):
        ids = self.torch.from_numpy(ids)
        model = self.ready(self.model)
        return lambda: self.run(model, input_ids=ids).last_hidden_state.numpy()

    def forward(self, ids, mask):
        from_numpy = self.torch.from_numpy
        return self.run(self.model_of_any_shape(), input_ids=from_numpy(ids),
                        attention_mask=from_numpy(mask)).last_hidden_state.numpy()

    def ready(self, module):
        """As it is to run on one shape."""
        return module

    def model_of_any_shape(self):
        return self.model

    def layer(self, case, tensors, x):
        module, x = self.ready(layer_module(self.torch, case, tensors)), self.torch.from_numpy(x)
        return lambda: self.run(module, x).numpy()

    def attention(self, q, k, v, causal):
        q, k, v = map(self.torch.from_numpy, (q, k, v))
        attend = self.torch.nn.functional.scaled_dot_product_attention
        return lambda: self.run(attend, q, k, v, is_causal=causal).numpy()

    def gemm(self, weight, bias, x):
        module = self.ready(linear_module(self.torch, weight, bias))
        x = self.torch.from_numpy(x)
        return lambda: self.run(module, x).numpy()


PEER = TorchEager
