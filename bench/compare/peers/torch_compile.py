"""torch.compile with frozen weights: inductor's C++, prepacked products."""

import os

from peers import NotOffered
from peers.torch_eager import TorchEager


class TorchCompile(TorchEager):
    cold_start = False
    lacks = {"int8": "torch.compile does not compile dynamically quantised modules"}

    def __init__(self, setup):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(setup.export("inductor"))
        super().__init__(setup)
        import torch._inductor.config
        torch._inductor.config.freezing = True
        self.any_shape = None

    def settings(self):
        return (f"torch.compile, freezing, {self.precision}, each padded shape on its own, "
                "dynamic shapes for texts")

    def run(self, module, *arguments, **named):
        with self.torch.no_grad():  # freezing asks for it
            return module(*arguments, **named)

    def ready(self, module):
        self.torch._dynamo.reset()  # the case before is not run again
        self.any_shape = None
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        return self.torch.compile(module, dynamic=False)

    def of_any_shape(self, module):
        """The same module each time, until ready()."""
        if self.any_shape is None:
            self.torch._dynamo.reset()
            self.any_shape = self.torch.compile(module, dynamic=True)
        return self.any_shape

    def generate(self, sources, beams):
        raise NotOffered("generate() is compared as it comes, not compiled")

    def attention(self, q, k, v, causal):
        raise NotOffered("calls the same kernel as eager")


PEER = TorchCompile
