"""Questions about a folder of documents, with LlamaIndex."""
