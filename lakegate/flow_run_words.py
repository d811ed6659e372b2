"""Words about flow runs that tasks write and the command line reads without importing Prefect."""

LEFT_TO = "release-left-to:"
"""Begins the tag of a flow run that left its release to another one; the other one's id follows."""

HOW_TO_SERVE = "start one with `lakegate up`, or with `lakegate worker` on a machine that fits"
