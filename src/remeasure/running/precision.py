"""More processes where an interval is still too wide: the next unused seeds, looked at only at 8, 12, 18 and 27."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice, zip_longest

from ..declared.registry import Registry
from ..records.record import Record
from ..records.store import Store
from .blocks import LOOKS, Maker, Planned, is_finished, later_seeds

Enough = Callable[[Sequence[Record]], bool]
"""Whether the records of a case are as precise as the case wants them."""


def further(found: Registry, store: Store, enough: Enough) -> Callable[[Sequence[Planned]], list[Planned]]:
    """For `runner.run`: which blocks shall follow those that have ended; none once all cases are precise enough.

    A case is left as it is where a block of it failed or did not run: what is missing there is no precision.
    """

    def more(planned: Sequence[Planned]) -> list[Planned]:
        def name(item: Planned) -> str:
            return f"{item.block.system}/{item.block.case}"

        cases = groupby(sorted(planned, key=name), key=name)
        added = [list(_of_case(found, store, enough, list(items))) for _, items in cases]
        # In turn, so that a drift of the machine is not one case's alone.
        return [item for turn in zip_longest(*added) for item in turn if item]

    return more


def _of_case(found: Registry, store: Store, enough: Enough, items: Sequence[Planned]) -> Iterator[Planned]:
    block = items[0].block
    case = found.case(f"{block.system}/{block.case}")
    at = case.profiles[block.profile]
    have = len(items)
    if not at.precision or not set(at.seeds) <= {item.block.seed for item in items}:
        return
    records = [store.usable(item.block.key) for item in items]
    whole = [record for record in records if record and is_finished(record)]
    if len(whole) < have or (have in LOOKS and enough(whole)):
        return
    until = next((look for look in LOOKS if look > have), have)
    maker = Maker(found, store, block.profile, block.overrides, block.data_dir)
    used = have - len(at.seeds)
    yield from maker.items(case, islice(later_seeds(at.seeds), used, used + until - have))
