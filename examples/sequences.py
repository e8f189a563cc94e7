"""Answers to prompts that come at any time, and all begin with the same instructions, which are computed once."""

import sys
import threading
import time

import headlane

model = headlane.LanguageModel(sys.argv[1])
instructions, prompts = sys.argv[2], sys.argv[3:]
with model.sequences(max_sequences=8, max_tokens=2000) as sequences:
    kept = sequences.add(instructions, max_new_tokens=0, keep=True)
    sequences.run()

    def ask(prompt: str) -> None:  # in any thread, at any time
        ended = threading.Event()
        answer = sequences.add(
            instructions + prompt, max_new_tokens=6, on_token=lambda token: ended.set() if token.finish_reason else None
        )
        ended.wait()
        print(f"{prompt}: {answer.text!r}, {answer.n_shared} of {answer.n_prompt} tokens had been computed before")
        answer.remove()

    clients = [threading.Thread(target=ask, args=[prompt]) for prompt in prompts]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):  # one thread takes all steps
        if sequences.step() == 0:
            time.sleep(0.001)
