"""Slices: named subsets of samples, declared as a predicate such as ``objects >= 15 and "night" in tags``."""

import ast
import operator
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any, get_args

from lakegate.errors import BadDeclaration, nearest
from lakegate.samples import Sample, Split

FIELDS = {
    "objects": "number of annotations",
    "width": "pixels",
    "height": "pixels",
    "split": "train, val or test",
    "group": "camera, clip or scene",
    "name": "sample id",
    "tags": "list of words; use: \"night\" in tags",
    "labels": "labels that occur; use: \"WBC\" in labels",
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}

Predicate = Callable[[Sample], bool]


def parse_predicate(text: str) -> Predicate:
    """Compile a predicate; nothing but comparisons of fields, ``count("label")``, ``and``, ``or``, ``not`` is allowed.

    Raises:
        BadDeclaration: the text is not such a predicate; names the field nearest to an unknown one.

    >>> parse_predicate('objects >= 1')(Sample("a", 10, 10))
    False
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise BadDeclaration(f"'{text}' is not a predicate: {error.msg}; write for example: objects >= 15") from error
    _check(tree, text)
    return lambda sample: bool(_evaluate(tree, sample))


def _check(node: ast.expr, text: str) -> None:
    if isinstance(node, ast.BoolOp):
        children: list[ast.expr] = node.values
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        children = [node.operand]
    elif isinstance(node, ast.Compare) and all(type(item) in _COMPARISONS for item in node.ops):
        children = [node.left, *node.comparators]
    elif isinstance(node, ast.Name):
        if node.id not in FIELDS:
            raise BadDeclaration(f"'{text}': no field is called '{node.id}'{nearest(node.id, FIELDS)}")
        return
    elif (isinstance(node, ast.Constant) and isinstance(node.value, str | int | float)) or _is_count(node):
        return
    else:
        raise BadDeclaration(
            f"'{text}': only comparisons of {', '.join(FIELDS)} and count(\"label\"), joined by and, or, not, are allowed"
        )
    for child in children:
        _check(child, text)
    if isinstance(node, ast.Compare):
        for comparison, (left, right) in zip(node.ops, pairwise(children), strict=True):
            _check_comparison(comparison, left, right, text)


def _check_comparison(comparison: ast.cmpop, left: ast.expr, right: ast.expr, text: str) -> None:
    """Refuse what would fail on a sample, or never be true: another type, a split that does not exist."""
    kinds = _kind(left), _kind(right)
    is_in = isinstance(comparison, ast.In | ast.NotIn)
    if kinds not in ((("text", "list"), ("text", "text")) if is_in else (("text", "text"), ("number", "number"))):
        raise BadDeclaration(
            f"'{text}': a {kinds[0]} ({ast.unparse(left)}) cannot be compared so with a {kinds[1]} ({ast.unparse(right)}); "
            'write numbers without quotes, words in quotes, and for tags and labels: "night" in tags'
        )
    for name, word in ((left, right), (right, left)):
        if isinstance(name, ast.Name) and name.id == "split" and isinstance(word, ast.Constant) and not is_in:
            splits = get_args(Split)
            if word.value not in splits:
                raise BadDeclaration(f"'{text}': no split is called {word.value!r}{nearest(str(word.value), splits)}")


def _kind(node: ast.expr) -> str:
    value = _evaluate(node, Sample("", 1, 1))
    if isinstance(value, bool):
        return "condition"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "list"


def labels_named(text: str) -> set[str]:
    """Return the labels that a predicate names, in ``count("…")`` and in ``"…" in labels``.

    >>> sorted(labels_named('count("RBC") > 3 and "WBC" in labels'))
    ['RBC', 'WBC']
    """
    labels = set()
    for node in ast.walk(ast.parse(text.strip(), mode="eval")):
        if isinstance(node, ast.Call) and isinstance(node.args[0], ast.Constant):
            labels.add(str(node.args[0].value))
        if isinstance(node, ast.Compare):
            for left, right in pairwise([node.left, *node.comparators]):
                if isinstance(right, ast.Name) and right.id == "labels" and isinstance(left, ast.Constant):
                    labels.add(str(left.value))
    return labels


def _is_count(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "count"
        and len(node.args) == 1
        and not node.keywords
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    )


def _evaluate(node: ast.expr, sample: Sample) -> Any:
    if isinstance(node, ast.BoolOp):
        values = (_evaluate(item, sample) for item in node.values)
        return all(values) if isinstance(node.op, ast.And) else any(values)
    if isinstance(node, ast.UnaryOp):
        return not _evaluate(node.operand, sample)
    if isinstance(node, ast.Compare):
        left = _evaluate(node.left, sample)
        for comparison, right_node in zip(node.ops, node.comparators, strict=True):
            right = _evaluate(right_node, sample)
            if not _COMPARISONS[type(comparison)](left, right):
                return False
            left = right
        return True
    if isinstance(node, ast.Name):
        return _field(node.id, sample)
    if isinstance(node, ast.Call) and isinstance(node.args[0], ast.Constant):
        return Counter(item.label for item in sample.annotations)[str(node.args[0].value)]
    return node.value if isinstance(node, ast.Constant) else None


def _field(name: str, sample: Sample) -> Any:
    values: dict[str, Any] = {
        "objects": len(sample.annotations),
        "width": sample.width_px,
        "height": sample.height_px,
        "split": sample.split,
        "group": sample.group,
        "name": sample.id,
        "tags": sample.tags,
        "labels": {item.label for item in sample.annotations},
    }
    return values[name]
