"""Find and read declarations; every mistake is named with the nearest valid word."""

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from lakegate.declarations import DatasetDeclaration, ModelDeclaration, Strict, model_task, shared_task
from lakegate.errors import BadDeclaration, BadInput, UnknownLabel, UnknownName, nearest
from lakegate.gate_rules import BUILT_IN_CELLS, LABEL_CELL, metrics_of_task
from lakegate.settings import Settings

NAME = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
VERSION_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
RESERVED = frozenset({"models", "results"})
Declaration = TypeVar("Declaration", bound=Strict)


def check_name(name: str, what: str) -> str:
    """Return ``name``, or raise ``BadDeclaration``: lakeFS allows 3 to 63 small letters, digits and dashes."""
    if not NAME.fullmatch(name):
        raise BadDeclaration(
            f"'{name}' is no name of a {what}: 3 to 63 small letters, digits and dashes, as in 'blood-cells'"
        )
    if name in RESERVED:
        raise BadDeclaration(f"'{name}' is reserved; choose another name for the {what}")
    return name


def check_version_name(name: str) -> str:
    """Return ``name``, or raise ``BadInput``: up to 30 small letters, digits and dashes."""
    if not VERSION_NAME.fullmatch(name):
        raise BadInput(f"'{name}' is no name of a version: up to 30 small letters, digits and dashes, as in 'v1'")
    return name


def dataset_names(settings: Settings) -> list[str]:
    """Return the names of all declared datasets."""
    return sorted(path.parent.name for path in settings.datasets_dir.glob("*/dataset.toml"))


def model_names(settings: Settings) -> list[str]:
    """Return the names of all declared models."""
    return sorted(path.parent.name for path in settings.models_dir.glob("*/model.toml"))


def load_dataset(settings: Settings, name: str) -> DatasetDeclaration:
    """Read ``datasets/<name>/dataset.toml``.

    Raises:
        UnknownName: there is no such dataset; names the nearest one.
        BadDeclaration: the file breaks the dialect.
    """
    path = settings.datasets_dir / check_name(name, "dataset") / "dataset.toml"
    if not path.is_file():
        known = dataset_names(settings)
        raise UnknownName(
            f"no dataset '{name}': {path} does not exist{nearest(name, known)}; make it with `lakegate data init {name}`"
        )
    return parse_dataset(name, read_text(path), str(path))


def parse_dataset(name: str, text: str, where: str = "dataset.toml") -> DatasetDeclaration:
    """Parse the text of a ``dataset.toml``; ``where`` names it in errors."""
    return _parse(DatasetDeclaration, name, text, where)


def load_model(settings: Settings, name: str) -> ModelDeclaration:
    """Read ``models/<name>/model.toml`` and check labels, slices and cells against the datasets that it names."""
    path = settings.models_dir / check_name(name, "model") / "model.toml"
    if not path.is_file():
        known = model_names(settings)
        raise UnknownName(
            f"no model '{name}': {path} does not exist{nearest(name, known)}; make it with `lakegate model init {name}`"
        )
    model = parse_model(name, read_text(path), str(path))
    check_against_datasets(model, settings, str(path))
    return model


def parse_model(name: str, text: str, where: str = "model.toml") -> ModelDeclaration:
    """Parse the text of a ``model.toml``; ``where`` names it in errors."""
    return _parse(ModelDeclaration, name, text, where)


def split_reference(reference: str) -> tuple[str, str]:
    """Split ``name:slice`` of ``[data]``; the slice is empty where none is named."""
    name, _, slice_name = reference.partition(":")
    return name, slice_name


def check_against_datasets(model: ModelDeclaration, settings: Settings, where: str) -> None:
    """Raise where label maps or tasks do not fit, or a slice, cell or label of the gate is unknown to the datasets."""
    labels: tuple[str, ...] = ()
    datasets: dict[str, DatasetDeclaration] = {}
    slices: set[str] = set()
    for reference in (*model.data.train, *model.data.evaluate):
        name, slice_name = split_reference(reference)
        dataset = load_dataset(settings, name)
        if slice_name and slice_name not in dataset.slices:
            raise UnknownName(f"{where}: '{reference}': no such slice{nearest(slice_name, dataset.slices)}")
        labels = labels or dataset.labels
        if dataset.labels != labels:
            raise BadDeclaration(
                f"{where}: datasets of one model must declare the same labels in the same order; "
                f"expected {list(labels)}, '{name}' has {list(dataset.labels)}"
            )
        slices |= set(dataset.slices)
        datasets[name] = dataset
    _check_task(model, datasets, where)
    evaluated = {split_reference(reference)[0] for reference in model.data.evaluate}
    cells = {*BUILT_IN_CELLS, *slices, *evaluated, *(f"{LABEL_CELL}{label}" for label in labels)}
    task = model_task(model, load_dataset(settings, split_reference(model.data.train[0])[0]))
    known = {*metrics_of_task(task), *model.metrics}
    for rule in model.rules:
        if rule.metric not in known:
            raise BadDeclaration(
                f"{where}: [gate] '{rule.key}': {rule.metric} is no metric of {task} models; "
                f"expected one of {', '.join(sorted(known))}"
            )
        if rule.cell not in cells:
            raise BadDeclaration(f"{where}: [gate] '{rule.key}': no cell is called '{rule.cell}'{nearest(rule.cell, cells)}")
        if rule.label and rule.label not in labels:
            raise UnknownLabel(
                f"{where}: [gate] '{rule.key}': label '{rule.label}' is not declared{nearest(rule.label, labels)}"
            )


def _check_task(model: ModelDeclaration, datasets: dict[str, DatasetDeclaration], where: str) -> None:
    try:
        shared_task(model, datasets)
    except BadDeclaration as error:
        raise BadDeclaration(f"{where}: {error}") from error


def read_text(path: Path) -> str:
    """Read a declaration; raises ``BadDeclaration`` where it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadDeclaration(f"{path}: not UTF-8 text ({error}); save the file as UTF-8") from error


def _parse(kind: type[Declaration], name: str, text: str, where: str) -> Declaration:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadDeclaration(f"{where}: not TOML: {error}") from error
    if "name" in content:
        raise BadDeclaration(f"{where}: 'name' is the folder's name; leave it out")
    try:
        return kind.model_validate({**content, "name": name})
    except ValidationError as error:
        problems = "; ".join(describe_problem(kind, item) for item in error.errors(include_url=False))
        raise BadDeclaration(f"{where}: {problems}") from error


def describe_problem(kind: type[BaseModel], problem: Any) -> str:
    """Say in words what one of pydantic's errors means for a declaration, with the nearest valid word."""
    location = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        keys = _keys_at(kind, location[:-1])
        table = ".".join(location[:-1])
        return f"unknown key '{location[-1]}'{f' in [{table}]' if table else ''}{nearest(location[-1], keys)}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"'{'.'.join(location)}' is missing"
    if problem["type"] in ("value_error", "assertion_error"):
        return f"'{'.'.join(location)}': {message}" if location else message
    if location[0] == "gate" and isinstance(problem["input"], dict):
        return f"[gate] {location[1]}: write the whole key in quotes, as in \"map50.all.min\" = 0.7"
    if problem["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
        return f"'{'.'.join(location)}' = {problem['input']!r} is not allowed{nearest(str(problem['input']), allowed)}"
    return f"'{'.'.join(location)}' = {problem['input']!r}: {message}"


def _keys_at(kind: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        for field_name, field in kind.model_fields.items():
            if part in (field_name, field.alias):
                candidates = [field.annotation, *get_args(field.annotation)]
                tables = [item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)]
                if tables:
                    kind = tables[0]
                break
    return [field.alias or name for name, field in kind.model_fields.items() if name != "name"]


def declaration_path(settings: Settings, dataset: str) -> Path:
    """Return where the dataset's declaration lies in the checkout."""
    return settings.datasets_dir / dataset / "dataset.toml"
