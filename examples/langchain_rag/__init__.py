"""Questions about a folder of documents, with LangChain."""
