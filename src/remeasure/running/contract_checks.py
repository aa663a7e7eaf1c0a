"""What every case and data set must keep to; shipped with the tool and run over everything discovered.

A guard reads the result: a record whose case did not pass is an invalid run.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import pickle
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ..contracts import Case
from ..data.sources import open_data, simulator
from ..declared.cards import DataCard
from ..declared.overrides import at_profile, field_names
from ..declared.registry import Registry
from ..errors import UserError
from ..records.packages import packages
from ..records.provenance import fingerprint, plain, sha_of, versions
from ..records.record import TWIN_SUFFIX
from .measure import Measured, measure

PASSED = "passed"
PROFILE = "tiny"
NEEDED_ROLES = ("strawman", "optimized", "reference")
PARTIAL = "partial"
"""The tag of a case that does without one of these roles, such as a table of ablations; everybody sees it."""


def check_case(registry: Registry, case: Case) -> list[str]:
    """Everything wrong with a case, a sentence each; its `tiny` profile is run on the simulator."""
    problems = check_declaration(registry, case)
    return problems or [f"case {case.id}: {problem}" for problem in _measured_wrong(registry, case)]


def check_declaration(registry: Registry, case: Case) -> list[str]:
    """The part of `check_case` that runs nothing."""
    return [f"case {case.id}: {problem}" for problem in _declared_wrong(registry, case)]


def check_dataset(card: DataCard) -> list[str]:
    """What a data set's loader lacks of the two names every case relies on."""
    shown = f"data set {card.name}: "
    try:
        loader = importlib.import_module(f"{card.package}.loader")
    except ImportError as error:
        return [f"{shown}its loader cannot be imported ({error})"]
    problems = []
    if not _frozen(getattr(loader, "Request", None)):
        problems.append(f"{shown}its loader has no Request that is a frozen dataclass")
    if not callable(getattr(loader, "load", None)):
        problems.append(f"{shown}its loader has no load(request, root)")
    return problems


def run_contract(registry: Registry, case: Case, cache_dir: Path) -> str:
    """`passed`, or the first sentence of what is wrong; remembered for this code and these packages."""
    case = registry.case(case.id)
    system, card = registry.system(case.system), registry.dataset(case.dataset)
    code, needed = fingerprint(system, card), versions(packages(system, card))
    checks = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    file = cache_dir / "contracts" / f"{sha_of([case.id, code, checks, needed])}.json"
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(file.read_bytes(), type=str)
    result = next(iter(check_case(registry, case)), PASSED)
    # A cache that cannot be written costs a second check and nothing else.
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as temporary:
            temporary.write(msgspec.json.encode(result))
        os.replace(temporary.name, file)
    return result


def _declared_wrong(registry: Registry, case: Case) -> Iterator[str]:
    if not case.question:
        yield "asks no question (the docstring of its function)"
    if case.dataset not in registry.datasets:
        yield f"names the data set {case.dataset}, which does not exist"
    if not case.metrics:
        yield "has no metric"
    for what, names in (("arm", [a.name for a in case.arms]), ("metric", [m.name for m in case.metrics])):
        for name, count in Counter(names).items():
            if count > 1:
                yield f"{what} {name} stands twice"
            if not name.strip() or name.endswith(TWIN_SUFFIX):
                yield f"{what} {name!r} may not be called so"
    for role in NEEDED_ROLES:
        if all(arm.role != role for arm in case.arms) and PARTIAL not in case.tags:
            yield f"has no {role} arm; add one, or the tag {PARTIAL} if the question needs none"
    for wrong in _config_wrong(case.request):
        yield f"its request {wrong}"
    for arm in case.arms:
        for wrong in _config_wrong(arm.config):
            yield f"the config of arm {arm.name} {wrong}"
        if arm.role == "optimized" and arm.tuning is None:
            yield f"arm {arm.name} is optimized but says not how it was tuned"
        if arm.series and (arm.x is None or not case.axis):
            yield f"arm {arm.name} is a point of a curve without an x or an axis"
    yield from _profiles_wrong(registry, case)


def _profiles_wrong(registry: Registry, case: Case) -> Iterator[str]:
    if PROFILE not in case.profiles:
        yield f"declares no {PROFILE} profile"
    siblings = (case, *registry.system(case.system).cases.values())
    settable = {field for sibling in siblings for field in field_names(sibling)}
    for name, at in case.profiles.items():
        if strange := sorted(set(at.set) - settable):
            yield f"profile {name} sets {strange[0]}, a field that no case of {case.system} has"
        simulated = next((metric.name for metric in case.metrics if metric.kind == "virtual-time"), "")
        if simulated and at.evidence == "measured":
            yield f"profile {name} says measured of {simulated}, which a simulator computes; say modelled"
        if at.rounds < 1 or not at.seeds or len(set(at.seeds)) < len(at.seeds):
            yield f"profile {name} needs at least one round and seeds that differ"
        try:
            at_profile(case, name, {})
        except UserError as error:
            yield f"profile {name}: {error}"


def _config_wrong(config: Any) -> Iterator[str]:
    """A config goes into keys, records and other processes."""
    if not _frozen(type(config)):
        yield "is no frozen dataclass"
        return
    try:
        msgspec.json.encode(plain(config))
    except (TypeError, ValueError) as error:
        yield f"cannot be written as JSON ({error})"
    try:
        pickle.loads(pickle.dumps(config))
    except Exception as error:
        yield f"cannot be pickled ({error})"


def _frozen(kind: Any) -> bool:
    """Declared frozen itself: a plain subclass of a frozen dataclass has fields nobody sees."""
    declared = vars(kind).get("__dataclass_params__") if isinstance(kind, type) else None
    return declared is not None and bool(declared.frozen)


def _measured_wrong(registry: Registry, case: Case) -> Iterator[str]:
    try:
        first, second = _tiny(registry, case), _tiny(registry, case)
    except UserError as error:
        yield f"its {PROFILE} profile is refused: {error}"
        return
    except Exception as error:
        yield f"its {PROFILE} profile fails: {type(error).__name__}: {' '.join(str(error).split())}"
        return
    # What is missing or not finite was refused above.
    for metric in case.metrics:
        samples = first.samples[metric.name]
        if len({len(values) for values in samples.values()}) > 1:
            yield f"arms give different numbers of {metric.name}"
        if metric.repeats and samples != second.samples[metric.name]:
            yield f"{metric.name} is not the same for the same seed"


def _tiny(registry: Registry, case: Case) -> Measured:
    """The tiny profile's first block, its data simulated anew."""
    at, tiny = case.profiles[PROFILE], at_profile(case, PROFILE, {})
    data, _ = open_data(tiny, simulator(registry.dataset(case.dataset)))
    return measure(tiny, data, at.seeds[0], at.rounds)
