"""sentence-transformers with backend="openvino", on a model that it exports from the same folder."""

from peers.sentence_transformers import WithBackend


class Peer(WithBackend):
    backend = "openvino"


PEER = Peer
