"""Beam search as transformers does it, `generate(num_beams=B)`, with levels as a logits processor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache, LogitsProcessor, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from ..decoder.context import Encoded
from ..engine.beam import Beams
from .t5 import begins


class Levels(LogitsProcessor):
    """Position t may only hold codes of level t, and probabilities are those among them."""

    def __init__(self, codes: tuple[int, ...]) -> None:
        self._begins = begins(codes)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Tokens so far int64 [R·B, t], scores float32 [R·B, V] of all tokens → [R·B, V], −inf outside the level."""
        begin, end = self._begins[input_ids.shape[1] - 1 : input_ids.shape[1] + 1]
        masked = torch.full_like(scores, -torch.inf)
        masked[:, begin:end] = scores[:, begin:end].log_softmax(-1)
        return masked


@torch.inference_mode()
def generated(
    model: T5ForConditionalGeneration,
    encoded: Encoded,
    codes: tuple[int, ...],
    width: int,
    once: bool = False,
) -> Beams:
    """The best `width` ids of each request. The encoder does not run: X is its output.

    Left alone, every layer computes keys and values from a copy of X for every beam; with `once` it is handed copies of
    those computed once. Either way the library moves all of them whenever beams change places.
    """
    x: Any = encoded.x  # the library names another class
    given: dict[str, Any] = {} if bool(encoded.there.all()) else {"attention_mask": encoded.there.long()}
    if once:
        given["past_key_values"] = _filled(model, x, width)
    library: Any = model
    found = library.generate(  # the length penalty 0 leaves sums of log-probabilities
        encoder_outputs=BaseModelOutput(last_hidden_state=x),
        logits_processor=[Levels(codes)],
        num_beams=width,
        num_return_sequences=width,
        max_new_tokens=len(codes),
        do_sample=False,
        length_penalty=0.0,
        return_dict_in_generate=True,
        output_scores=True,
        **given,
    )
    tokens = found.sequences[:, 1:] - torch.tensor(begins(codes)[:-1])
    return Beams(tokens.view(-1, width, len(codes)), found.sequences_scores.view(-1, width), None)


def _filled(model: Any, x: Tensor, width: int) -> EncoderDecoderCache:
    """A cache in which every beam of R requests has its copy of the keys and values of X [R, S, d]."""
    cache = EncoderDecoderCache(DynamicCache(config=model.config), DynamicCache(config=model.config))
    for place, block in enumerate(model.decoder.block):
        cross = block.layer[1].EncDecAttention
        k, v = (
            part(x).view(*x.shape[:2], model.config.num_heads, -1).transpose(1, 2)
            for part in (cross.k, cross.v)
        )
        cache.cross_attention_cache.update(
            k.repeat_interleave(width, 0), v.repeat_interleave(width, 0), place
        )
        cache.is_updated[place] = True
    return cache
