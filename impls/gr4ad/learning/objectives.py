"""The preference objectives by name. Each is a frozen dataclass that gives float [B], one loss for each of B lists."""

from __future__ import annotations

from dataclasses import fields

from .grpo import GRPO
from .lists import check_known
from .preferences import DPO, RSPO, SDPO

Objective = DPO | SDPO | RSPO | GRPO
OBJECTIVES: dict[str, type[Objective]] = {"dpo": DPO, "s-dpo": SDPO, "rspo": RSPO, "grpo": GRPO}


def objective(name: str, **settings: object) -> Objective:
    """The objective of that name; raises UserError, listing what is known, for an unknown name or field."""
    check_known("objective", name, OBJECTIVES)
    kind = OBJECTIVES[name]
    for field in settings:
        check_known(f"field of {name}", field, [known.name for known in fields(kind)])
    return kind(**settings)  # type: ignore[arg-type]
