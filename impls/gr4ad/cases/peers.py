"""What a request costs in other people's decoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remeasure.contracts import Arm, At, case

from ..peers.questions import Generation
from .speed import CPU, NO_DATA, profiles


@case(
    dataset="adsim",
    request=NO_DATA,
    simulated=True,
    arms=(
        Arm("transformers.generate, 512", "strawman", Generation("generate")),
        Arm("transformers.generate, X once, 512", "ablation", Generation("generate, X once")),
        Arm("engine, 512", "reference", Generation()),
        Arm("transformers.generate, 128", "strawman", Generation("generate", width=128)),
        Arm("transformers.generate, X once, 128", "ablation", Generation("generate, X once", width=128)),
        Arm("engine, 128", "ablation", Generation(width=128)),
    ),
    metrics=(CPU,),
    profiles={
        **profiles({"d": 32, "layers": 2, "heads": 4, "codes": (16, 8, 8), "width": 8, "places": 8}, 6),
        "smoke": At(
            seeds=(0,), rounds=2, evidence="scaled", arms=("transformers.generate, 128", "engine, 128")
        ),
    },
    tags=("partial",),
)
def generating(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
    """What does beam search cost in transformers and in the engine, with the weights of one T5?"""
    from ..runs.generate import generating

    return generating(arm.config, seed)
