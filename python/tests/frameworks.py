"""The adapters with the real frameworks, one of them a run: python/test --frameworks makes an environment for each.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

import headlane

TEXTS = ["The cat sat on the mat.", "dogs run", "we ran on and on in the rain"]
OPTIONS: dict[str, Any] = {"prompts": {"query": "the dog: ", "document": "we ran "}}


@pytest.fixture(scope="module")
def path(bert: Path) -> str:
    return str(headlane.Embedder(bert).path)


@pytest.fixture(scope="module")
def documents(path: str) -> Any:
    return headlane.Embedder(path, **OPTIONS).encode_document(TEXTS)


@pytest.fixture(scope="module")
def query(path: str) -> Any:
    return headlane.Embedder(path, **OPTIONS).encode_query(TEXTS[1])


def test_sentence_transformers(path: str, bert: Path, sentences: list[str], tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator

    from headlane.st import Encoder

    ours, theirs = SentenceTransformer(modules=[Encoder(path)]), SentenceTransformer(str(bert), device="cpu")
    texts = sentences[:200]
    vectors, expected = ours.encode(texts), theirs.encode(texts)
    np.testing.assert_array_equal(vectors, headlane.Embedder(path).encode(texts))
    assert np.abs(vectors - expected).max() < 2e-6
    assert np.abs(ours.encode(TEXTS, prompt="the dog: ") - theirs.encode(TEXTS, prompt="the dog: ")).max() < 2e-6
    assert ours.encode("dogs run").shape == (51,) and ours.get_embedding_dimension() == 51
    assert ours.max_seq_length == theirs.max_seq_length
    alike = ours.similarity(vectors, vectors).numpy() - theirs.similarity(expected, expected).numpy()
    assert np.abs(alike).max() < 5e-6
    # Embedder by itself, beside sentence-transformers.
    model = headlane.Embedder(bert)
    for options in (
        {"truncate_dim": 16},
        {"truncate_dim": 16, "normalize_embeddings": True},
        {"precision": "ubinary"},
        {"precision": "binary"},
    ):
        assert np.abs(model.encode(texts, **options).astype(float) - theirs.encode(texts, **options)).max() < 5e-6
    for precision in ("int8", "uint8"):
        got, wanted = (m.encode(texts, precision=precision) for m in (model, theirs))
        assert got.dtype == wanted.dtype and (got != wanted).mean() < 1e-3  # a number on the edge of two steps
    for name in ("cosine", "dot", "euclidean", "manhattan"):
        theirs.similarity_fn_name = name
        model = headlane.Embedder(bert, similarity_fn_name=name)  # type: ignore[arg-type]
        # torch's euclidean distance is the root of a difference of products: off by the root of some eps near 0.
        bound = np.sqrt(8 * np.finfo(np.float32).eps) if name == "euclidean" else 2e-5
        wanted = theirs.similarity(expected, expected).numpy()
        assert np.abs(model.similarity(expected, expected) - wanted).max() < bound
    empty = theirs.encode([])
    assert model.encode([]).shape == empty.shape and model.encode([]).dtype == empty.dtype
    evaluator = EmbeddingSimilarityEvaluator(texts[:100], texts[100:], list(np.linspace(0, 1, 100)))
    theirs.similarity_fn_name = None
    for key, value in evaluator(theirs).items():
        assert abs(evaluator(ours)[key] - value) < 1e-3
    ours.save(str(tmp_path / "saved"))
    again = SentenceTransformer(str(tmp_path / "saved"), trust_remote_code=True, device="cpu")
    np.testing.assert_array_equal(again.encode(texts), vectors)


def test_langchain(path: str, documents: Any, query: Any) -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.documents import Document
    from langchain_core.vectorstores import InMemoryVectorStore

    from headlane.langchain import HeadlaneEmbeddings

    model = HeadlaneEmbeddings(path, **OPTIONS)
    assert model.embed_documents(TEXTS) == documents.tolist() == asyncio.run(model.aembed_documents(TEXTS))
    assert model.embed_query(TEXTS[1]) == query.tolist() == asyncio.run(model.aembed_query(TEXTS[1]))
    assert model.embed_documents([]) == []
    store = InMemoryVectorStore(HeadlaneEmbeddings(path))
    store.add_documents([Document(text) for text in TEXTS])
    assert store.similarity_search(TEXTS[2], k=1)[0].page_content == TEXTS[2]
    with pytest.raises(TypeError, match="Embedder already"):
        HeadlaneEmbeddings(headlane.Embedder(path), n_threads=1)


def test_langchain_reranker() -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.documents import Document

    from headlane.langchain import HeadlaneReranker

    folder = ROOT / "tests/golden/classify/bert_cross_encoder"
    texts = (folder / "second.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    query = (folder / "first.txt").read_text(encoding="utf-8").split("\n")[0]
    order = json.loads((folder / "scores.json").read_text())["order"][:5]
    given = [Document(text, metadata={"n": i}) for i, text in enumerate(texts)]
    reranker = HeadlaneReranker(model=str(folder), top_n=5)
    found = reranker.compress_documents(given, query)
    assert [document.metadata["n"] for document in found] == order
    assert found == asyncio.run(reranker.acompress_documents(given, query))
    scores = [document.metadata["relevance_score"] for document in found]
    assert scores == sorted(scores, reverse=True) and "relevance_score" not in given[0].metadata


try:
    from langchain_tests.integration_tests import EmbeddingsIntegrationTests
    from langchain_tests.unit_tests import EmbeddingsUnitTests

    from headlane.langchain import HeadlaneEmbeddings
except ImportError:
    pass
else:

    class Standard:
        """LangChain's own tests of embeddings."""

        @pytest.fixture(autouse=True)
        def keep(self, path: str) -> None:
            type(self).model_path = path  # type: ignore[attr-defined]

        @property
        def embeddings_class(self) -> type[HeadlaneEmbeddings]:
            return HeadlaneEmbeddings

        @property
        def embedding_model_params(self) -> dict[str, Any]:
            return {"model": self.model_path}  # type: ignore[attr-defined]

    class Test_langchain_unit(Standard, EmbeddingsUnitTests):  # type: ignore[misc]
        pass

    class Test_langchain_integration(Standard, EmbeddingsIntegrationTests):  # type: ignore[misc]
        pass


def test_llama_index(path: str, documents: Any, query: Any) -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core import Document, VectorStoreIndex

    from headlane.llama_index import HeadlaneEmbedding

    model = HeadlaneEmbedding(path, **OPTIONS)
    assert model.get_text_embedding_batch(TEXTS) == documents.tolist()
    assert model.get_text_embedding(TEXTS[0]) == documents[0].tolist()
    assert model.get_query_embedding(TEXTS[1]) == query.tolist()
    assert asyncio.run(model.aget_text_embedding_batch(TEXTS)) == documents.tolist()
    assert asyncio.run(model.aget_query_embedding(TEXTS[1])) == query.tolist()
    index = VectorStoreIndex.from_documents(
        [Document(text=text) for text in TEXTS], embed_model=HeadlaneEmbedding(path)
    )
    assert index.as_retriever(similarity_top_k=1).retrieve(TEXTS[2])[0].get_content() == TEXTS[2]


def test_haystack(path: str, documents: Any, query: Any) -> None:
    pytest.importorskip("haystack")
    from haystack import Document, Pipeline
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    from headlane.haystack import HeadlaneDocumentEmbedder, HeadlaneTextEmbedder

    given = [Document(content=text, meta={"n": i}) for i, text in enumerate(TEXTS)]
    found = HeadlaneDocumentEmbedder(path, OPTIONS).run(documents=given)["documents"]
    assert [document.embedding for document in found] == documents.tolist()
    assert [document.content for document in found] == TEXTS and given[0].embedding is None
    assert HeadlaneTextEmbedder(path, OPTIONS).run(text=TEXTS[1])["embedding"] == query.tolist()
    titled = HeadlaneDocumentEmbedder(path, meta_fields=["n"], separator=" ").run(documents=given[:1])["documents"]
    assert titled[0].embedding == headlane.Embedder(path).encode("0 " + TEXTS[0]).tolist()
    for wrong in ({"documents": "a"}, {"documents": ["a"]}):
        with pytest.raises(TypeError, match="documents"):
            HeadlaneDocumentEmbedder(path).run(**wrong)  # type: ignore[arg-type]
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(HeadlaneDocumentEmbedder(path).run(documents=given)["documents"])
    pipeline = Pipeline()
    pipeline.add_component("embedder", HeadlaneTextEmbedder(path))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    assert pipeline.run({"embedder": {"text": TEXTS[2]}})["retriever"]["documents"][0].content == TEXTS[2]
    again = HeadlaneTextEmbedder.from_dict(HeadlaneTextEmbedder(path, OPTIONS).to_dict())
    assert again.run(text=TEXTS[1])["embedding"] == query.tolist()


def test_chroma(path: str, documents: Any, query: Any, tmp_path: Path) -> None:
    chromadb = pytest.importorskip("chromadb")
    from headlane.chroma import HeadlaneEmbeddingFunction

    function = HeadlaneEmbeddingFunction(path, **OPTIONS)
    np.testing.assert_array_equal(np.array(function(TEXTS)), documents)
    np.testing.assert_array_equal(np.array(function.embed_query([TEXTS[1]]))[0], query)
    client = chromadb.PersistentClient(str(tmp_path / "db"), chromadb.Settings(anonymized_telemetry=False))
    collection = client.create_collection("texts", embedding_function=HeadlaneEmbeddingFunction(path))
    collection.add(documents=TEXTS, ids=["0", "1", "2"])
    # Chroma makes the function again from what it saved of it.
    again = client.get_collection("texts")
    assert again.query(query_texts=[TEXTS[2]], n_results=1)["ids"] == [["2"]]
    assert HeadlaneEmbeddingFunction.build_from_config(function.get_config()).get_config() == function.get_config()
