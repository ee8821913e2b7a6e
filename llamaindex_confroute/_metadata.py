"""What two models are together: their metadata, merged with care, and their callbacks."""

from __future__ import annotations

import logging

from llama_index.core.base.llms.types import LLMMetadata, MessageRole
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import LLM

from llamaindex_confroute._sides import name_of

logger = logging.getLogger(__name__)


def merged(edge: LLM, cloud: LLM) -> LLMMetadata:
    """Return what holds for both models: prompts are packed before it is known which one answers.

    Some models ask their server for their metadata; where one of two cannot be reached, the other's holds.
    """
    told = [found for found in (_told(edge), _told(cloud)) if not isinstance(found, Exception)]
    if not told:
        return edge.metadata  # raises what it raised before
    outputs = [found.num_output for found in told if found.num_output > 0]  # -1 is LlamaIndex's "not set"
    roles = {found.system_role for found in told}
    return LLMMetadata(
        context_window=min(found.context_window for found in told),
        num_output=min(outputs, default=-1),
        is_chat_model=all(found.is_chat_model for found in told),
        is_function_calling_model=all(found.is_function_calling_model for found in told),
        model_name=f"confroute:{name_of(edge)},{name_of(cloud)}",
        system_role=roles.pop() if len(roles) == 1 else MessageRole.USER,
    )


def _told(model: LLM) -> LLMMetadata | Exception:
    try:
        return model.metadata
    except Exception as error:
        logger.warning(
            "%s does not tell its metadata, so the other model's holds.", name_of(model), exc_info=error
        )
        return error


def with_handlers(own: CallbackManager, given: CallbackManager) -> CallbackManager:
    """Return the manager that a model reports to: the given one, with the model's own handlers kept."""
    if not given.handlers:
        return own
    kept = [handler for handler in own.handlers if handler not in given.handlers]
    if not kept:
        return given
    both = CallbackManager()
    both.set_handlers([*given.handlers, *kept])
    return both
