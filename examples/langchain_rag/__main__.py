"""``python -m examples.langchain_rag``: the page, over LangChain."""

from examples.apps import page_command

main = page_command("langchain")

if __name__ == "__main__":
    main()
