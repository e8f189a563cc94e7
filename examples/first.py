"""The vectors of two sentences, and how alike they are."""

import sys

import headlane

model = headlane.Embedder(sys.argv[1])  # a .headlane file, a folder, or a name of the hub
vectors = model.encode(["A cat is sleeping.", "The kitten naps."])
print(vectors.shape, vectors.dtype)
print(model.similarity(vectors, vectors).round(2))
