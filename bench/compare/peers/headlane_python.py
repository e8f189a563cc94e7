"""The package headlane of the wheel (tools/wheel), by Embedder.encode."""

from peers import Peer


class Embedder:
    def __init__(self, model):
        self.model = model

    def tune(self, texts):
        """Nothing to choose."""

    def lengths(self, texts):
        return [len(self.model.tokenizer.encode(text)) for text in texts]

    def embed(self, texts):
        """[texts, d_model]; of one text as a program asks for it."""
        return self.model.encode(texts[0])[None] if len(texts) == 1 else self.model.encode(texts)


class HeadlanePython(Peer):
    cold_start = False  # Python's own start is what it would say

    def settings(self):
        return f"Embedder.encode, {self.precision}"

    def load(self):
        import headlane
        # The peers' vectors of this model are those of its folder, too.
        self.model = headlane.Embedder(self.setup.folder, precision=self.precision,
                                       n_threads=self.setup.threads, isa=self.setup.isa or None,
                                       cache_folder=self.setup.exports)

    def embedder(self):
        return Embedder(self.model)


PEER = HeadlanePython
