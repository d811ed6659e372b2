"""``python -m tests.prepare``: fetch or build what the tests start, once, before the first test; no test talks to the internet.

Two test processes that built lakeFS at the same time would take twice as long and run into the time limit of a test.
"""

from infra.lakefs_binary import find_or_build
from infra.triton_environment import find_or_install
from lakegate.errors import SetupProblem
from lakegate.settings import Settings
from tests.engines import bindings


def main() -> None:
    """Say what is there; what cannot be had is said, and the tests that need it fail or skip with the reason."""
    try:
        print(f"lakeFS: {find_or_build(Settings.load(), print).origin}", flush=True)
        print(f"Triton: {find_or_install(print).folder.name}", flush=True)
    except SetupProblem as problem:
        print(problem, flush=True)
    for major in bindings.MAJORS:
        print(bindings.fetch(major), flush=True)


if __name__ == "__main__":
    main()
