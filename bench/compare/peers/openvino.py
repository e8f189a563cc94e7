"""OpenVINO: converted from PyTorch; a compiled model for each padded shape, one for any shape."""

from peers import Peer
from peers.onnxruntime import INPUTS

HIDDEN, LOGITS = 0, 1  # outputs of torch_eager.outputs_module


class OpenVino(Peer):
    lacks = {"int8": "its int8 needs calibration by NNCF"}

    def settings(self):
        return (f"LATENCY hint, {self.setup.threads} threads, 1 stream, {self.precision}, "
                "each padded shape on its own, dynamic shapes for texts")

    def export(self):
        import openvino as ov
        import torch
        from peers.torch_eager import load_model, outputs_module
        model = outputs_module(load_model(self.setup.folder))
        ids = torch.ones(2, 16, dtype=torch.int64)
        with torch.no_grad():
            converted = ov.convert_model(model, example_input=dict(zip(INPUTS, (ids, ids))))
        ov.save_model(converted, self.setup.export("model.xml"), compress_to_fp16=False)

    def load(self):
        import openvino as ov
        self.core = ov.Core()
        self.any_shape, self.last_output = None, None

    def compile(self, shape, output=HIDDEN):
        """Of a classifier one output, and what it needs."""
        model = self.core.read_model(self.setup.export("model.xml"))
        model.reshape({name: shape for name in INPUTS})
        for unwanted in [other.node for i, other in enumerate(model.outputs) if i != output]:
            model.remove_result(unwanted)
        return self.request(model)

    def request(self, model):
        import openvino as ov
        compiled = ov.Core().compile_model(model, "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1",
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": str(self.setup.threads)})
        return compiled.create_infer_request()

    def fixed(self, ids):
        self.any_shape = None
        request, mask = self.compile(list(ids.shape)), ids * 0 + 1
        return lambda: self.infer(request, ids, mask)

    def forward(self, ids, mask):
        return self.infer(self.of_any_shape(HIDDEN), ids, mask)

    def logits(self, ids, mask):
        return self.infer(self.of_any_shape(LOGITS), ids, mask)

    def of_any_shape(self, output):
        """The last one is kept."""
        if self.any_shape is None or self.last_output != output:
            self.any_shape, self.last_output = self.compile([-1, -1], output), output
        return self.any_shape

    @staticmethod
    def infer(request, ids, mask):
        return request.infer(dict(zip(INPUTS, (ids, mask))), share_inputs=True,
                             share_outputs=True)[0]

    def layer(self, case, tensors, x):
        import torch
        from peers.torch_eager import layer_module
        torch.backends.mha.set_fastpath_enabled(False)  # one op, which has no form here
        return self.converted(layer_module(torch, case, tensors), torch.from_numpy(x))

    def attention(self, q, k, v, causal):
        import torch

        class Attention(torch.nn.Module):
            def forward(self, q, k, v):
                return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.converted(Attention(), *map(torch.from_numpy, (q, k, v)))

    def gemm(self, weight, bias, x):
        import torch
        from peers.torch_eager import linear_module
        return self.converted(linear_module(torch, weight, bias), torch.from_numpy(x))

    def converted(self, module, *inputs):
        import openvino as ov
        import torch
        with torch.no_grad():
            request = self.request(ov.convert_model(module, example_input=inputs,
                                                    input=[tuple(x.shape) for x in inputs]))
        arrays = dict(enumerate(x.numpy() for x in inputs))
        return lambda: request.infer(arrays, share_inputs=True, share_outputs=True)[0]


PEER = OpenVino
