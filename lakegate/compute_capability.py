"""CUDA compute capabilities: what a declaration demands, and which work pools fit."""

import re

ANY = "any"
CPU_POOL = "cpu"
Capability = tuple[int, int]
Demand = str | tuple[str, ...]

EXACT = re.compile(r"(\d{1,2})\.(\d)")
POOL = re.compile(r"gpu-cc(\d{1,2})(\d)")
VALID_FORMS = 'expected "any", "8.6", ">=8.0" or a list like ["7.5", "8.6"]'


def check_demand(demand: object) -> Demand:
    """Return what a declaration gives, or raise ``ValueError`` that says which forms there are.

    >>> check_demand(">=8.0")
    '>=8.0'
    >>> check_demand("sm_86")
    Traceback (most recent call last):
    ValueError: 'sm_86' is no compute capability; expected "any", "8.6", ">=8.0" or a list like ["7.5", "8.6"]
    """
    if isinstance(demand, str):
        if demand != ANY:
            parse(demand.removeprefix(">="))
        return demand
    if not isinstance(demand, list | tuple) or not demand:
        raise ValueError(f"{demand!r} is no compute capability; {VALID_FORMS}")
    for item in demand:
        parse(item if isinstance(item, str) else f"{item} without quotes")
    return tuple(demand)


def parse(text: str) -> Capability:
    """Return (major, minor) of ``"8.6"``; raises ``ValueError`` for anything else."""
    match = EXACT.fullmatch(text)
    if not match:
        raise ValueError(f"'{text}' is no compute capability; {VALID_FORMS}")
    return int(match[1]), int(match[2])


def capability_of(pool: str) -> Capability | None:
    """Return the capability that the name of a work pool promises; None where it promises no GPU.

    >>> capability_of("gpu-cc86"), capability_of("gpu-cc120"), capability_of("cpu")
    ((8, 6), (12, 0), None)
    """
    match = POOL.fullmatch(pool)
    return (int(match[1]), int(match[2])) if match else None


def pool_of(capability: str) -> str:
    """Return the work pool of ``"8.6"``.

    >>> pool_of("8.6")
    'gpu-cc86'
    """
    major, minor = parse(capability)
    return f"gpu-cc{major}{minor}"


def fits(demand: Demand, pool: str) -> bool:
    """Tell whether a run with this demand may run in ``pool``; ``"any"`` means the CPU too.

    >>> [fits(">=8.0", pool) for pool in ("cpu", "control", "gpu-cc75", "gpu-cc86")]
    [False, False, False, True]
    """
    capability = capability_of(pool)
    if demand == ANY:
        return capability is not None or pool == CPU_POOL
    if capability is None:
        return False
    if isinstance(demand, str) and demand.startswith(">="):
        return capability >= parse(demand.removeprefix(">="))
    return capability in [parse(item) for item in ((demand,) if isinstance(demand, str) else demand)]


def demand_words(demand: Demand) -> str:
    """Return the demand as a person would write it."""
    return demand if isinstance(demand, str) else ", ".join(demand)
