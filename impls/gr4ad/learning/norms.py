"""Objectives at equal force: the weight of each follows from the norm of its gradient at the start.

At equal β the objectives' gradients differ several times over: a comparison at equal weight compares step sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from remeasure.errors import UserError


def gradient_norm(loss: Tensor, parameters: Iterable[Tensor], *, keep_graph: bool = False) -> float:
    """Euclidean norm of the scalar loss's gradient over all parameters; nothing is added to their `grad`.

    `keep_graph` lets the loss be differentiated once more.
    """
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, learned, retain_graph=keep_graph, allow_unused=True)
    norms = [gradient.double().norm() for gradient in gradients if gradient is not None]
    return float(torch.stack(norms).norm()) if norms else 0.0


def weight_for(wanted: float, measured: float) -> float:
    """What to multiply a loss by, so that the norm of its gradient at the start is the wanted one.

    Raises UserError where no weight does that.
    """
    if not wanted > 0:
        raise UserError(f"the wanted gradient norm is {wanted}; give a number above 0.")
    if not 0 < measured < math.inf:
        raise UserError(
            f"the objective's gradient norm at the start is {measured}; give lists whose rewards differ and finite "
            "log-probabilities."
        )
    return wanted / measured
