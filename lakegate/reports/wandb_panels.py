"""Panels of a W&B report: live curves and tables of the runs that a filter chooses, as parts of W&B's view spec, version 5."""

from collections.abc import Mapping, Sequence
from typing import Any

from lakegate.canonical import sha256_bytes

GRID_COLUMNS, CURVE_WIDTH, CURVE_HEIGHT, TABLE_HEIGHT = 24, 8, 6, 10
ALL_BUT = 1  # of the selections of a run set: every run that the filters let through, but for those in the tree


def curve_panels(names: Sequence[str], x_axis: str) -> list[dict[str, Any]]:
    """Return a line plot per metric, three beside each other; ``x_axis`` is a logged metric, too."""
    per_row = GRID_COLUMNS // CURVE_WIDTH
    return [
        _panel(
            "Run History Line Plot",
            {"chartTitle": name, "xAxis": x_axis, "xAxisTitle": x_axis, "metrics": [name], "smoothingWeight": 0},
            {
                "x": CURVE_WIDTH * (index % per_row),
                "y": CURVE_HEIGHT * (index // per_row),
                "w": CURVE_WIDTH,
                "h": CURVE_HEIGHT,
            },
        )
        for index, name in enumerate(names)
    ]


def table_panels(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return a panel per table that the runs logged, below each other; pictures in the tables show."""
    return [
        _panel(
            "Weave",
            {"panel2Config": {"exp": _summary_of_runs(name)}},
            {"x": 0, "y": TABLE_HEIGHT * index, "w": GRID_COLUMNS, "h": TABLE_HEIGHT},
        )
        for index, name in enumerate(names)
    ]


def panel_grid(name: str, chosen: Mapping[str, Sequence[str]], panels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the block with ``panels`` about one run set.

    Args:
        name: of the run set, as a reader sees it.
        chosen: attributes of a run (``group``, ``jobType``, ``name`` for W&B's id) and the values that each may have;
            runs of the report's own project that have them all are in the set.
    """
    tests = [
        {"key": {"section": "run", "name": key}, "op": "IN", "value": list(values), "disabled": False}
        for key, values in chosen.items()
    ]
    run_set = {
        "id": _id(name, repr(tests)),
        "name": name,
        "enabled": True,
        "search": {"query": ""},
        "filters": {"op": "OR", "filters": [{"op": "AND", "filters": tests}]},
        "grouping": [],
        "sort": {"keys": [{"key": {"section": "run", "name": "createdAt"}, "ascending": True}]},
        "selections": {"root": ALL_BUT, "bounds": [], "tree": []},
        "expandedRowAddresses": [],
        "runFeed": {"version": 2, "columnVisible": {"run:name": False}, "pageSize": 10, "onlyShowSelected": False},
    }
    metadata = {
        "openViz": True,
        "openRunSet": 0,
        "name": "unused-name",
        "runSets": [run_set],
        "hideRunSets": False,
        "panels": {"views": {"0": {"name": "Panels", "defaults": [], "config": []}}, "tabs": ["0"]},
        "panelBankConfig": {
            "state": 0,
            "settings": {"autoOrganizePrefix": 2, "showEmptySections": False, "sortAlphabetically": False},
            "sections": [_section("Hidden Panels", "flow", [])],
        },
        "panelBankSectionConfig": _section("Report Panels", "grid", panels),
        "customRunColors": {},
    }
    return {"type": "panel-grid", "children": [{"text": ""}], "metadata": metadata}


def _panel(view_type: str, config: dict[str, Any], layout: dict[str, int]) -> dict[str, Any]:
    return {"__id__": _id(view_type, repr((config, layout))), "viewType": view_type, "config": config, "layout": layout}


def _id(*words: str) -> str:
    """Return an id that is the same for the same words, so that the same report is the same spec."""
    return sha256_bytes("\n".join(words).encode())[:12]


def _section(name: str, kind: str, panels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    flow = {"snapToColumns": True, "columnsPerPage": 3, "rowsPerPage": 2, "gutterWidth": 16, "boxWidth": 460, "boxHeight": 300}
    local = {
        "xAxis": "_step",
        "xAxisActive": False,
        "smoothingWeight": 0,
        "smoothingType": "exponential",
        "smoothingActive": False,
        "ignoreOutliers": False,
        "useRunsTableGroupingInPanels": True,
    }
    section = {"name": name, "isOpen": kind == "grid", "type": kind, "panels": list(panels), "sorted": 0}
    return {**section, "flowConfig": flow, "localPanelSettings": local}


def _summary_of_runs(key: str) -> dict[str, Any]:
    """Return the query ``runs.summary["<key>"]`` as W&B's Weave panels keep it: nodes, each with the type of its answer."""
    table = {"type": "file", "extension": "json", "wbObjectType": {"type": "table", "columnTypes": {}}}
    runs = {"nodeType": "var", "varName": "runs", "type": _of_project("run")}
    summaries = {
        "nodeType": "output",
        "type": _of_project(_of_run({"type": "typedDict", "propertyTypes": {key: table}})),
        "fromOp": {"name": "run-summary", "inputs": {"run": runs}},
    }
    return {
        "nodeType": "output",
        "type": _of_project(_of_run({"type": "union", "members": [table, "none"]})),
        "fromOp": {"name": "pick", "inputs": {"obj": summaries, "key": {"nodeType": "const", "type": "string", "val": key}}},
        "__userInput": True,
    }


def _of_project(item: Any) -> dict[str, Any]:
    owner = {"type": "typedDict", "propertyTypes": {"entityName": "string", "projectName": "string"}}
    asked = {"type": "typedDict", "propertyTypes": {"project": "project", "filter": "string", "order": "string"}}
    tag = {"type": "tagged", "tag": owner, "value": asked}
    return {"type": "tagged", "tag": tag, "value": {"type": "list", "objectType": item, "maxLength": 50}}


def _of_run(value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tagged", "tag": {"type": "typedDict", "propertyTypes": {"run": "run"}}, "value": value}
