"""``python -m examples.llamaindex_rag``: the page, over LlamaIndex."""

from examples.apps import page_command

main = page_command("llamaindex")

if __name__ == "__main__":
    main()
