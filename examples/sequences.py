"""Answers to prompts that come at any time, and all begin with the same instructions, which are computed once."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import headlane

model = headlane.LanguageModel(sys.argv[1])
instructions, prompts = sys.argv[2], sys.argv[3:]
with model.sequences(max_sequences=8, max_tokens=2000) as sequences:
    kept = sequences.add(instructions, max_new_tokens=0, keep=True)
    sequences.run()

    def ask(prompt: str) -> str:  # in any thread, at any time
        ended = threading.Event()
        answer = sequences.add(
            instructions + prompt, max_new_tokens=6, on_token=lambda token: ended.set() if token.finish_reason else None
        )
        ended.wait()
        said = f"{prompt}: {answer.text!r}, {answer.n_shared} of {answer.n_prompt} tokens had been computed before"
        answer.remove()
        return said

    with ThreadPoolExecutor(7) as clients:
        answers = [clients.submit(ask, prompt) for prompt in prompts]
        while not all(answer.done() for answer in answers):  # one thread takes all steps
            if sequences.step() == 0:
                time.sleep(0.001)
    for answer in answers:
        print(answer.result())
