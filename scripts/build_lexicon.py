"""Build the word knowledge of the learned equivalence: WordNet relations and small static word vectors.

WordNet 3.0 (Debian package ``wordnet-base``) is cut down to the links that say whether one word may stand for
another. The vectors are the encoder's own embeddings of its
single tokens, reduced by principal components and stored in eight bits.

    python scripts/build_lexicon.py --wordnet /usr/share/wordnet --encoder FOLDER
"""

from __future__ import annotations

import argparse
import re
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

WEIGHTS = Path(__file__).parents[1] / "shared/confroute/uncertainty/weights"
PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
PARENT_LINKS = {"@", "@i", "&", "\\"}  # hypernym, instance hypernym, similar to, pertains to
SENSES = 10
PARENTS = 3
DIMENSIONS = 64

Synset = tuple[str, int]  # (part of speech, offset)


class Synsets:
    """WordNet's synsets: lexicographer file, parents and antonyms of each."""

    def __init__(self, folder: Path) -> None:
        self.parents: dict[Synset, list[Synset]] = {}
        self.antonyms: list[tuple[Synset, Synset]] = []
        self.related: list[tuple[Synset, Synset]] = []
        self.similar: list[tuple[Synset, Synset]] = []
        for part, name in PARTS.items():
            for line in (folder / f"data.{name}").read_text("utf-8").splitlines():
                if not line.startswith(" "):
                    self._read(part, line.split("|")[0].split())

    def _read(self, part: str, fields: list[str]) -> None:
        key = (part, int(fields[0]))
        words = int(fields[3], 16)
        pointers = fields[4 + 2 * words :]
        parents = self.parents.setdefault(key, [])
        for i in range(int(pointers[0])):
            symbol, offset, target_part, _ = pointers[1 + 4 * i : 5 + 4 * i]
            target = ("a" if target_part == "s" else target_part, int(offset))
            # a head adjective lists its satellites by the same sign
            upward = symbol in PARENT_LINKS and (symbol != "&" or fields[2] == "s")
            if upward and len(parents) < PARENTS:
                parents.append(target)
            elif symbol == "!":
                self.antonyms.append((key, target))
            elif symbol == "^" and part == "a":
                self.similar.append((key, target))
            elif symbol == "+":
                self.related.append((key, target))


def read_senses(folder: Path) -> dict[str, list[Synset]]:
    """Return the commonest senses of every lemma, commonest first."""
    counts = read_counts(folder)
    senses: dict[str, list[tuple[int, int, Synset]]] = {}
    for part, name in PARTS.items():
        for line in (folder / f"index.{name}").read_text("utf-8").splitlines():
            if line.startswith(" "):
                continue
            fields = line.split()
            lemma = fields[0]
            offsets = fields[-int(fields[2]) :]
            for rank, offset in enumerate(offsets[:SENSES]):
                count = counts.get((lemma, part, rank + 1), 0)
                senses.setdefault(lemma, []).append(
                    (-count, rank + (0 if part == "n" else 2), (part, int(offset)))
                )
    return {lemma: [s for _, _, s in sorted(found)][:SENSES] for lemma, found in senses.items()}


def read_counts(folder: Path) -> dict[tuple[str, str, int], int]:
    """Return how often each sense occurs in WordNet's tagged texts."""
    letters = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}
    counts = {}
    for line in (folder / "cntlist.rev").read_text("utf-8").splitlines():
        sense, number, count = line.split()
        lemma, rest = sense.split("%")
        counts[lemma, letters[rest[0]], int(number)] = int(count)
    return counts


def read_exceptions(folder: Path, known: set[str]) -> dict[str, str]:
    """Return irregular forms of known words: ``women`` to ``woman``."""
    forms: dict[str, str] = {}
    for name in PARTS.values():
        for line in (folder / f"{name}.exc").read_text("utf-8").splitlines():
            form, lemma = line.split()[:2]
            if form in known and "_" not in form and form != lemma:
                forms.setdefault(form, lemma)
    return forms


def code(text: str) -> int:
    """Return the 32-bit code under which a word or phrase is stored."""
    return zlib.crc32(text.encode())


def build_relations(folder: Path, known: set[str]) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of the relation graph."""
    synsets = Synsets(folder)
    senses = read_senses(folder)
    wanted: list[Synset] = []
    seen = {synset for found in senses.values() for synset in found}
    queue = list(seen)
    while queue:
        synset = queue.pop()
        wanted.append(synset)
        for parent in synsets.parents[synset]:
            if parent not in seen:
                seen.add(parent)
                queue.append(parent)
    number = {synset: i for i, synset in enumerate(sorted(wanted))}
    parents = [[number[parent] for parent in synsets.parents[synset]] for synset in sorted(wanted)]
    by_code: dict[int, list[int]] = {}
    for lemma, found in senses.items():
        by_code.setdefault(code(lemma), [number[synset] for synset in found])
    lemmas = sorted(by_code)
    pairs = [
        sorted({number[a] * len(number) + number[b] for a, b in links if a in number and b in number})
        for links in (synsets.antonyms, synsets.related, synsets.similar)
    ]
    forms = read_exceptions(folder, known)
    print(f"{len(lemmas)} lemmas of WordNet, {len(number)} synsets, {len(pairs[0])} antonyms")
    return {
        "lemma_codes": np.array(lemmas, dtype=np.uint32),
        "lemma_sense_counts": np.array([len(by_code[c]) for c in lemmas], dtype=np.uint8),
        "lemma_senses": np.array([synset for c in lemmas for synset in by_code[c]], dtype=np.uint32),
        "synset_parent_counts": np.array([len(found) for found in parents], dtype=np.uint8),
        "synset_parents": np.array([parent for found in parents for parent in found], dtype=np.uint32),
        "antonyms": np.array(pairs[0], dtype=np.int64),
        "related": np.array(pairs[1], dtype=np.int64),
        "similar": np.array(pairs[2], dtype=np.int64),
        "irregular_forms": np.frombuffer(
            "\n".join(f"{form} {lemma}" for form, lemma in sorted(forms.items())).encode(), dtype=np.uint8
        ),
    }


def build_vectors(folder: Path) -> tuple[list[str], dict[str, NDArray[np.generic]]]:
    """Return the encoder's tokens and their reduced vectors."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(2)
    encoder = SentenceTransformer(str(folder), device="cpu")
    vocabulary = sorted(encoder.tokenizer.get_vocab().items(), key=lambda item: item[1])
    tokens = [t for t, _ in vocabulary if not re.match(r"\[|##[^a-z0-9]|[^\x00-\u024f]", t)]
    vectors = encoder.encode(
        [t.removeprefix("##") for t in tokens], batch_size=512, convert_to_numpy=True, show_progress_bar=False
    ).astype(np.float64)
    vectors -= vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(vectors, full_matrices=False)
    reduced = vectors @ axes[:DIMENSIONS].T
    reduced /= np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), 1e-9)
    quantised = np.round(reduced * 127).astype(np.int8)
    print(f"{len(tokens)} tokens in {DIMENSIONS} dimensions")
    return tokens, {
        "vectors": quantised,
        "vocabulary": np.frombuffer("\n".join(tokens).encode(), dtype=np.uint8),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="WordNet 3.0 dict folder"
    )
    parser.add_argument(
        "--encoder", type=Path, required=True, help="folder of a sentence-transformers encoder"
    )
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder to write lexicon.safetensors to")
    arguments = parser.parse_args()
    tokens, tensors = build_vectors(arguments.encoder)
    known = {t for t in tokens if not t.startswith("##")}
    tensors |= build_relations(arguments.wordnet, known)
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, arguments.out / "lexicon.safetensors")


if __name__ == "__main__":
    main()
