"""ONNX Runtime: a graph exported from PyTorch, with the fusions of its transformer optimiser; int8
is its dynamic quantisation of that graph."""

import json

from peers import Peer, is_classifier

OPSET, IR_VERSION = 17, 8
INPUTS = ("input_ids", "attention_mask")


def export_onnx(folder, path):
    """With plain attention and the TorchScript exporter: the form whose layers the optimiser
    recognises; of the newer exporter's graph it fuses no attention."""
    import torch
    from peers.torch_eager import load_model, outputs_module
    model = load_model(folder, "eager")
    outputs = ["hidden", *["logits"] * is_classifier(model.config.to_dict())]
    ids = torch.ones(2, 16, dtype=torch.int64)
    axes = {name: {0: "batch", 1: "seq"} for name in (*INPUTS, "hidden")}
    with torch.no_grad():
        torch.onnx.export(outputs_module(model), (ids, torch.ones_like(ids)), str(path),
                          dynamo=False, input_names=list(INPUTS), output_names=outputs,
                          dynamic_axes={**axes, "logits": {0: "batch"}}, opset_version=OPSET)


def plain_layer(torch, n_heads, tensors):
    """The layer of these tensors in the plain ops whose pattern the optimiser knows."""
    tensors = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    prefix = "self_attn." if "linear1.weight" in tensors else ""
    weights = tensors[prefix + "in_proj_weight"].chunk(3)
    biases = tensors[prefix + "in_proj_bias"].chunk(3)

    def linear(weight, bias):
        module = torch.nn.Linear(weight.shape[1], len(bias))
        module.load_state_dict({"weight": weight, "bias": bias})
        return module

    def norm(name):
        module = torch.nn.LayerNorm(len(biases[0]))
        module.load_state_dict({kind: tensors[f"{name}.{kind}"] for kind in ("weight", "bias")})
        return module

    def named(name):
        return linear(tensors[name + ".weight"], tensors[name + ".bias"])

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k, self.v = map(linear, weights, biases)
            self.out = named(prefix + "out_proj")
            if prefix:
                self.up, self.down = named("linear1"), named("linear2")
                self.norm1, self.norm2 = norm("norm1"), norm("norm2")

        def attend(self, x):
            n_seqs, seq, d_model = x.shape

            def heads(module):
                return module(x).view(n_seqs, seq, n_heads, d_model // n_heads).transpose(1, 2)
            scores = torch.matmul(heads(self.q), heads(self.k).transpose(-1, -2))
            seen = torch.softmax(scores / (d_model // n_heads) ** 0.5, dim=-1)
            context = torch.matmul(seen, heads(self.v)).transpose(1, 2).contiguous()
            return self.out(context.view(n_seqs, seq, d_model))

        def forward(self, x):
            if not prefix:
                return self.attend(x)
            x = self.norm1(x + self.attend(x))
            return self.norm2(x + self.down(torch.relu(self.up(x))))
    return Layer().eval()


def quantise(model, path):
    """Writes the int8 form of a graph, which is a file or a ModelProto."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic
    # The types of what fused ops make are not inferred: all is float.
    quantize_dynamic(model, str(path), per_channel=True, weight_type=QuantType.QInt8,
                     extra_options={"DefaultTensorType": TensorProto.FLOAT})


class OnnxRuntime(Peer):
    translates = True
    lacks = {"bf16": "its CPU kernels have no bfloat16"}

    def settings(self):
        fused = json.loads(self.setup.export("fused.json").read_text(encoding="utf-8"))
        by = "BERT optimiser: " + ", ".join(f"{n} {name}" for name, n in fused.items())
        int8 = "quantize_dynamic, a scale each output, " * (self.precision == "int8")
        return (f"{by if fused else 'no BERT optimiser'}; {int8}{self.precision}, "
                "all graph optimisations, spinning threads")

    def export(self):
        from onnxruntime.transformers import optimizer
        plain, best = self.setup.export("plain.onnx"), self.setup.export("model.onnx")
        export_onnx(self.setup.folder, plain)
        n_heads, d_model = self.sizes()
        fused = {}
        try:
            model = optimizer.optimize_model(
                str(plain), model_type="bert", num_heads=n_heads, hidden_size=d_model, opt_level=0,
                use_gpu=False)
            model.save_model_to_file(str(best))
            fused = {name: n for name, n in model.get_fused_operator_statistics().items() if n}
        except Exception:  # whatever its reason, the plain graph runs, and settings() says so
            plain.replace(best)
        plain.unlink(missing_ok=True)
        if self.precision == "int8":
            quantise(str(best), best)
        self.setup.export("fused.json").write_text(json.dumps(fused), encoding="utf-8")

    def sizes(self):
        """n_heads, d_model of the encoder"""
        config = self.config()
        if self.is_encoder_decoder():
            return config["encoder_attention_heads"], config["d_model"]
        return config["num_attention_heads"], config["hidden_size"]

    def session(self, model):
        """Of a file's path or of a model's bytes."""
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.setup.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def load(self):
        self.model = self.session(str(self.setup.export("model.onnx")))

    def fixed(self, ids):
        mask = ids * 0 + 1
        return lambda: self.forward(ids, mask)

    def forward(self, ids, mask):
        return self.model.run(["hidden"], dict(zip(INPUTS, (ids, mask))))[0]

    def logits(self, ids, mask):
        return self.model.run(["logits"], dict(zip(INPUTS, (ids, mask))))[0]

    def layer(self, case, tensors, x):
        import torch
        from onnxruntime.transformers import optimizer
        path, size = str(self.setup.export("layer.onnx")), case.sizes
        with torch.no_grad():
            torch.onnx.export(plain_layer(torch, size["n_heads"], tensors), (torch.from_numpy(x),),
                              path, dynamo=False, input_names=["x"], opset_version=OPSET)
        model = optimizer.optimize_model(path, model_type="bert", num_heads=size["n_heads"],
                                         hidden_size=size["d_model"], opt_level=0, use_gpu=False)
        fused = {name: n for name, n in model.get_fused_operator_statistics().items() if n}
        self.notes["fused"] = fused
        model.save_model_to_file(path)
        if self.precision == "int8":
            quantise(path, path)
        session = self.session(path)
        return lambda: session.run(None, {"x": x})[0]

    def attention(self, q, k, v, causal):
        """Its own op, on [batch, seq, heads * head_dim] as the op wants it."""
        from onnx import TensorProto, helper
        n_seqs, n_heads, seq, head_dim = q.shape
        shape = [n_seqs, seq, n_heads * head_dim]
        node = helper.make_node("MultiHeadAttention", ["q", "k", "v"], ["o"], num_heads=n_heads,
                                unidirectional=int(causal), domain="com.microsoft")
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "qkvo"]
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(helper.make_graph([node], "attention", values[:3], values[3:]),
                                  opset_imports=opsets, ir_version=IR_VERSION)
        session = self.session(model.SerializeToString())
        rows = {name: x.transpose(0, 2, 1, 3).reshape(shape).copy()
                for name, x in zip("qkv", (q, k, v))}
        heads = n_seqs, seq, n_heads, head_dim
        return lambda: session.run(None, rows)[0].reshape(heads).transpose(0, 2, 1, 3)

    def gemm(self, weight, bias, x):
        from onnx import TensorProto, helper, numpy_helper
        graph = helper.make_graph(
            [helper.make_node("Gemm", ["x", "weight", "bias"], ["y"], transB=1)], "gemm",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [len(x), len(bias)])],
            [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                                  ir_version=IR_VERSION)
        if self.precision == "int8":
            path = str(self.setup.export("gemm.onnx"))
            quantise(model, path)
            session = self.session(path)
        else:
            session = self.session(model.SerializeToString())
        return lambda: session.run(None, {"x": x})[0]


PEER = OnnxRuntime
