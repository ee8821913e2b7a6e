"""A fitted head in a folder: weights as safetensors, all else as JSON. No pickle.

``router.json`` (schema, head, encoder, pair, threshold, checksum), ``weights.safetensors`` (the head's
arrays) and ``README.md`` (the model card).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from confroute.errors import ConfigurationError

FORMAT: Literal["confroute-router"] = "confroute-router"
SCHEMA: Literal[1] = 1

_CONFIG = "router.json"
_WEIGHTS = "weights.safetensors"
_CARD = "README.md"

ENCODER_CHECK = "The quick brown fox jumps over the lazy dog."
"""A text whose embedding is kept with the weights, so that another encoder under the same name is noticed."""

CHECK_ARRAY = "encoder_check"
"""Name of that embedding, shape [d]."""


class Pair(BaseModel):
    """The two models that a router was trained on, by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    edge: str
    cloud: str


class RouterFile(BaseModel):
    """What ``router.json`` holds.

    Attributes:
        head: The head's name, one of `confroute.heads.HEADS`.
        params: Its constructor's arguments.
        encoder: Name of the encoder.
        dimension: Number of dimensions of the embeddings.
        threshold: The cloud answers where ``score >= threshold``.
        pair: The models it was trained on; None where unknown.
        trained_on: Digests of the questions that it was trained on, on which nothing is promised; empty where
            unknown.
        weights_sha256: SHA-256 of ``weights.safetensors``.
        written_by: Version of confroute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["confroute-router"] = FORMAT
    schema_version: Literal[1] = SCHEMA
    head: str
    params: dict[str, Any]
    encoder: str
    dimension: int = Field(ge=1)
    threshold: float = Field(ge=0, allow_inf_nan=False)
    pair: Pair | None = None
    trained_on: tuple[str, ...] = ()
    weights_sha256: str = ""
    written_by: str


def question_digest(question: str) -> str:
    """Return a question's digest, 16 hexadecimal digits."""
    return hashlib.blake2b(question.encode("utf-8", "replace"), digest_size=8).hexdigest()


def write_folder(
    folder: str | Path, config: RouterFile, arrays: dict[str, NDArray[np.float32]], card: str
) -> None:
    """Write a router's folder whole: into a folder beside it, which then takes its name.

    Args:
        folder: Where; an earlier router there is replaced.
        config: What goes into ``router.json``; its checksum is filled in.
        arrays: The head's arrays and the encoder's embedding of `ENCODER_CHECK`.
        card: The model card, Markdown.

    Raises:
        ConfigurationError: If the name is taken by something that is not a router.
    """
    from safetensors.numpy import save

    target = Path(folder)
    if target.exists() and not (target / _CONFIG).is_file() and (target.is_file() or any(target.iterdir())):
        raise ConfigurationError(
            f"{target} is there and is not a saved router: give another folder, or remove it first"
        )
    weights = save({key: np.ascontiguousarray(value) for key, value in arrays.items()})
    told = config.model_copy(update={"weights_sha256": hashlib.sha256(weights).hexdigest()})
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _write(part / _WEIGHTS, weights)
        _write(part / _CONFIG, (json.dumps(told.model_dump(mode="json"), indent=2) + "\n").encode())
        _write(part / _CARD, card.encode())
        part.chmod(0o755)
        if target.exists():
            earlier = part.with_name(part.name + ".old")
            target.rename(earlier)
            part.rename(target)
            shutil.rmtree(earlier)
        else:
            part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def read_folder(folder: str | Path) -> tuple[RouterFile, dict[str, NDArray[np.float32]], str]:
    """Read a router's folder and check all of it.

    Args:
        folder: What `write_folder` wrote.

    Returns:
        The configuration, the arrays and the card.

    Raises:
        ConfigurationError: If the folder is absent, foreign, newer or corrupt; the message says which.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(folder)
    config = _read_config(path)
    try:
        weights = (path / _WEIGHTS).read_bytes()
        card = (path / _CARD).read_text(encoding="utf-8") if (path / _CARD).exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise _corrupt(path, f"{_WEIGHTS} or {_CARD} cannot be read: {error}") from error
    if hashlib.sha256(weights).hexdigest() != config.weights_sha256:
        raise _corrupt(path, f"{_WEIGHTS} does not have the checksum that {_CONFIG} gives")
    try:
        return config, load(weights), card
    except (SafetensorError, KeyError, ValueError) as error:
        raise _corrupt(path, f"{_WEIGHTS} is not a safetensors file: {error}") from error


def _read_config(path: Path) -> RouterFile:
    if not (path / _CONFIG).is_file():
        raise ConfigurationError(
            f"{path} is not a saved router: there is no {_CONFIG} in it. Expected a folder that "
            "TrainedRouter.save or 'confroute train --out' wrote"
        )
    try:
        raw = json.loads((path / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _corrupt(path, f"{_CONFIG} is not JSON: {error}") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise ConfigurationError(
            f'{path} is not a saved router: its {_CONFIG} does not say "format": "{FORMAT}", so another '
            "program wrote it"
        )
    schema = raw.get("schema_version")
    if isinstance(schema, int) and schema > SCHEMA:
        raise ConfigurationError(
            f"{path} was written by a newer confroute ({raw.get('written_by', 'unknown')}): its schema is "
            f"{schema}, this version reads {SCHEMA}. Upgrade with: pip install --upgrade confroute"
        )
    try:
        return RouterFile.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _corrupt(path, f"{_CONFIG}, field {where!r}: {first['msg']}") from error


def _corrupt(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(f"the router in {path} is damaged: {what}. Copy it or train it again")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
