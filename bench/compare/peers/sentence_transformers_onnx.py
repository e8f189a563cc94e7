"""sentence-transformers with backend="onnx", on a model that it exports from the same folder."""

from peers.sentence_transformers import WithBackend


class Peer(WithBackend):
    backend = "onnx"


PEER = Peer
