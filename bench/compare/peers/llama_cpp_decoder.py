"""llama.cpp's own C functions, through llama-cpp-python: a language model in a GGUF file."""

import ctypes

import numpy as np

MOST_AT_ONCE = 512  # tokens of a batch


class Decoder:
    """Sequences that go on by the likeliest token of each."""

    log = None  # a function that llama.cpp calls as long as the process lives
    SETTINGS = ("built with GGML_NATIVE, weights repacked where it can, batches of "
                f"{MOST_AT_ONCE} tokens, its own choice of flash attention, argmax by numpy")

    def __init__(self, path, threads):
        import llama_cpp
        self.lib, self.threads = llama_cpp, threads
        if Decoder.log is None:
            Decoder.log = llama_cpp.llama_log_callback(lambda *_: None)
            llama_cpp.llama_log_set(Decoder.log, ctypes.c_void_p())
        llama_cpp.llama_backend_init()
        options = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), options)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.context = None

    def start(self, prompts, n_new):
        """A context for these, ids [n] each, all of one length."""
        lib = self.lib
        if self.context:
            lib.llama_free(self.context)
        options = lib.llama_context_default_params()
        options.n_ctx = len(prompts) * (-(-(len(prompts[0]) + n_new) // 256) * 256)
        options.n_batch = options.n_ubatch = MOST_AT_ONCE
        options.n_seq_max = len(prompts)
        options.n_threads = options.n_threads_batch = self.threads
        options.swa_full = False
        self.context = lib.llama_init_from_model(self.model, options)
        self.memory = lib.llama_get_memory(self.context)
        self.batch = lib.llama_batch_init(MOST_AT_ONCE, 0, 1)

    def compute(self, tokens, positions, sequences, wanted):
        """A batch; the likeliest token behind each row that is wanted."""
        batch = self.batch
        batch.n_tokens = len(tokens)
        for i, row in enumerate(zip(tokens, positions, sequences, wanted)):
            batch.token[i], batch.pos[i], batch.seq_id[i][0], batch.logits[i] = row
            batch.n_seq_id[i] = 1
        if self.lib.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        return [self.likeliest(i) for i, is_wanted in enumerate(wanted) if is_wanted]

    def likeliest(self, i):
        """By numpy, which is quicker than llama.cpp's sampler: that lists all candidates first."""
        logits = self.lib.llama_get_logits_ith(self.context, i)
        return int(np.ctypeslib.as_array(logits, (self.n_vocab,)).argmax())

    def feed(self, sequence, ids, last_wanted, begin=0):
        """The ids from `begin` on."""
        found = []
        for begin in range(begin, len(ids), MOST_AT_ONCE):
            part = [int(i) for i in ids[begin:begin + MOST_AT_ONCE]]
            wanted = [last_wanted and begin + i + 1 == len(ids) for i in range(len(part))]
            found = self.compute(part, range(begin, begin + len(part)), [sequence] * len(part),
                                 wanted)
        return found

    def decode(self, prompts, n_new):
        """A call; the prompts are computed now, except for the last token of each."""
        self.start(prompts, n_new)
        length, sequences = len(prompts[0]), list(range(len(prompts)))
        for i, ids in enumerate(prompts):
            self.feed(i, ids[:-1], last_wanted=False)

        def call():
            tokens, found = [int(ids[-1]) for ids in prompts], []
            for i in sequences:
                self.lib.llama_memory_seq_rm(self.memory, i, length - 1, -1)
            for step in range(n_new):
                tokens = self.compute(tokens, [length - 1 + step] * len(tokens), sequences,
                                      [True] * len(tokens))
                found.append(tokens)
            return np.array(found, dtype=np.int32).T
        return call

    def prompt(self, ids):
        self.start([ids], 1)

        def call():
            self.lib.llama_memory_clear(self.memory, False)
            return np.array([self.feed(0, ids, last_wanted=True)], dtype=np.int32)
        return call

    def shared(self, ids, n_shared):
        """The first n_shared tokens stay in the cache; what comes behind them is computed."""
        self.start([ids], 1)
        self.feed(0, ids[:n_shared], last_wanted=False)

        def call():
            self.lib.llama_memory_seq_rm(self.memory, 0, n_shared, -1)
            return np.array([self.feed(0, ids, last_wanted=True, begin=n_shared)], dtype=np.int32)
        return call

    def close(self):
        self.lib.llama_free(self.context)
        self.lib.llama_model_free(self.model)
