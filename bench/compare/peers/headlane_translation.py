"""Headlane's generation, through its C API: ragged sources, answers of as many tokens as asked."""

import ctypes

import numpy as np

import headlane_library as hl
from translation import N_STEPS


class Translation:
    """A generator for these sources, [n] int32 each, and the calls that use it. model: a handle."""

    def __init__(self, library, model, sources, beams, threads):
        self.library, self.n_seqs = library, len(sources)
        self.ids = np.concatenate(sources)
        self.offsets = np.cumsum([0, *map(len, sources)]).astype(np.int64)
        self.batch = hl.make(hl.Batch, n_seqs=len(sources), offsets=self.offsets.ctypes.data,
                             ids=self.ids.ctypes.data)
        options = hl.make(hl.GeneratorOptions, max_sources=len(sources),
                          max_source_tokens=len(self.ids), max_source_len=max(map(len, sources)),
                          max_beams=beams, max_new_tokens=N_STEPS, n_threads=threads)
        self.generator = library.handle("generator_create", model, ctypes.byref(options))
        self.options = hl.make(hl.GenerateOptions, n_beams=beams, min_new_tokens=N_STEPS,
                               max_new_tokens=N_STEPS)
        self.answer = hl.make(hl.Answer)

    def __del__(self):
        if hasattr(self, "generator"):
            self.library.library.headlane_generator_destroy(self.generator)

    def generate(self):
        """The best answer of each source, [sources, N_STEPS]."""
        self.library.generator_generate(self.generator, ctypes.byref(self.batch), ctypes.byref(self.options))
        answers = np.empty((self.n_seqs, N_STEPS), dtype=np.int32)
        for i in range(self.n_seqs):
            self.library.generator_get_answer(self.generator, ctypes.c_int64(i), ctypes.c_int64(0),
                                              ctypes.byref(self.answer))
            answers[i] = self.answer.ids[:self.answer.n_ids]
        return answers

    def encode(self, hidden):
        """Into hidden [tokens, d_model]."""
        outputs = hl.make(hl.Outputs, hidden=hidden.ctypes.data)
        self.library.generator_encode(self.generator, ctypes.byref(self.batch),
                                      ctypes.byref(outputs))
        return hidden
