"""Headlane's language models, through its C API: sequences that go on by as many tokens as asked."""

import ctypes

import numpy as np

import headlane_library as hl


class Sequences:
    """prompts: ids [n] each, int32, all of them of one length."""

    def __init__(self, peer, prompts, n_new, model=None):
        """model: None: the peer's."""
        self.library, self.prompts, self.n_new = peer.library, prompts, n_new
        self.length = len(prompts[0])
        options = hl.make(hl.SequencesOptions, max_sequences=len(prompts),
                          max_tokens=len(prompts) * (self.length + n_new),
                          n_threads=peer.setup.threads)
        self.handle = self.library.handle("sequences_create", model or peer.model,
                                          ctypes.byref(options))
        # Each token but -1 is no end.
        self.options = hl.make(hl.SequenceOptions, max_new_tokens=n_new, min_new_tokens=n_new)
        self.numbers = []

    def __del__(self):
        if hasattr(self, "handle"):
            self.library.library.headlane_sequences_destroy(self.handle)

    def add(self, ids, keep):
        self.options.keep = keep
        number = ctypes.c_int64()
        self.library.sequences_add(self.handle, ctypes.c_void_p(ids.ctypes.data),
                                   ctypes.c_int64(len(ids)), ctypes.byref(self.options),
                                   ctypes.byref(number))
        return number

    def run(self):
        left = ctypes.c_int64(1)
        while left.value:
            self.library.sequences_step(self.handle, ctypes.byref(left))

    def new_ids(self, number):
        ids, n = np.empty(self.n_new, dtype=np.int32), ctypes.c_int64()
        self.library.sequences_get_ids(self.handle, number, ctypes.c_void_p(ids.ctypes.data),
                                       ctypes.c_int64(self.n_new), ctypes.byref(n))
        return ids

    def decode(self):
        """The first call computes the prompts; each one after it takes the sequences back there."""
        if not self.numbers:
            self.numbers = [self.add(ids, keep=1) for ids in self.prompts]
        else:
            for number in self.numbers:
                self.library.sequences_rewind(self.handle, number, ctypes.c_int64(self.length))
        self.run()
        return np.array([self.new_ids(number) for number in self.numbers])

    def keep(self, ids):
        """A sequence that others begin as, in the cache."""
        self.add(ids, keep=1)
        self.run()

    def prompt(self):
        """Nothing is shared with the call before, whose sequence has left the cache."""
        number = self.add(self.prompts[0], keep=0)
        self.run()
        ids = self.new_ids(number)
        self.library.sequences_remove(self.handle, number)
        return ids[None]
