"""What a language model adds to a prompt, piece by piece while it comes."""

import sys

import headlane

model = headlane.LanguageModel(sys.argv[1])  # a .headlane or GGUF file, a folder, or a name of the hub
answer = model.stream(sys.argv[2], max_new_tokens=40)
for piece in answer:
    print(piece, end="", flush=True)
print(f"\n{len(answer.continuation.ids)} tokens, {answer.continuation.finish_reason}")
