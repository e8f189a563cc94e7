"""The batch size of engines that take texts in batches."""

import time


class Tuned:
    """An embedder with `peer`, `embed(texts)`, `batch_size`, and the BATCH_SIZES to choose from."""

    def tune(self, texts):
        """Sets the batch size that is fastest on every fifth text."""
        some, seconds = texts[::5] or texts, {}
        for size in self.BATCH_SIZES:
            self.batch_size = size
            self.embed(some[:size])
            start = time.perf_counter()
            self.embed(some)
            seconds[size] = time.perf_counter() - start
        self.batch_size = min(seconds, key=seconds.get)
        self.peer.notes["batch_size"] = self.batch_size
