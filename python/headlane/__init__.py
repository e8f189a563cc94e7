"""Headlane: transformer models on CPUs. Text to vectors without torch, by sentence-transformers' signatures:

    import headlane
    model = headlane.Embedder("all-MiniLM-L6-v2")
    vectors = model.encode(["A cat is sleeping.", "The kitten naps."])
    model.similarity(vectors, vectors)
"""

from __future__ import annotations

from headlane._attention import attention
from headlane._cancel import Cancel
from headlane._continuations import Continuation
from headlane._files import convert, pack
from headlane._layer import MultiheadAttention
from headlane._library import (
    BadFile,
    Cancelled,
    Error,
    FileUnreadable,
    InternalError,
    InvalidArgument,
    OutOfMemory,
    TooLarge,
    Unsupported,
    version,
)
from headlane._perplexity import Perplexity
from headlane._streams import Stream
from headlane.classifier import Classifier, CrossEncoder
from headlane.constraint import Constraint
from headlane.embedder import Embedder
from headlane.language_model import LanguageModel
from headlane.sequences import Sequence, Sequences, Token
from headlane.tokenizer import Tokenizer
from headlane.translator import Answer, Translator

__version__ = version()

__all__ = [
    "Answer",
    "BadFile",
    "Cancel",
    "Cancelled",
    "Classifier",
    "Constraint",
    "Continuation",
    "CrossEncoder",
    "Embedder",
    "Error",
    "FileUnreadable",
    "InternalError",
    "InvalidArgument",
    "LanguageModel",
    "MultiheadAttention",
    "OutOfMemory",
    "Perplexity",
    "Sequence",
    "Sequences",
    "Stream",
    "Token",
    "Tokenizer",
    "TooLarge",
    "Translator",
    "Unsupported",
    "__version__",
    "attention",
    "convert",
    "pack",
]
