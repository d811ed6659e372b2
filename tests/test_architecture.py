"""The rules of docs/design.md that a program can check: rooms, sizes, names, imports, and what never goes into the tree."""

import ast
import hashlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import samples_folder

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "lakegate": {"lakegate"},
    "tasks": {"tasks", "lakegate"},
    "flows": {"flows", "tasks", "lakegate"},
    "infra": {"infra", "lakegate"},
    "lakegate_cli": {"lakegate_cli", "flows", "tasks", "infra", "lakegate"},
}
ROOMS = {*MAY_IMPORT, "tests"}
MADE_HERE = (".venv", ".lakegate", ".mypy_cache", ".ruff_cache", ".pytest_cache", "dist")
HEAVY = {"torch", "wandb", "evidently", "great_expectations", "datumaro", "tensorrt", "sklearn", "onnxruntime"}
TORCH_AT_THE_TOP = ("lakegate/training/", "lakegate/engines/")
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_FLOW_LINES = 300, 60, 44
MAX_IMPORT_CPU_S = 0.5
IMPORT_LIGHTLY = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""
MEASURE_IMPORT = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import lakegate.catalog, lakegate.settings
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
"""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree_files() -> tuple[str, ...]:
    """Return the files that a commit of everything here would hold, relative to the checkout, without what is made here."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return tuple(sorted(name for name in set(listed) if room_of(name) not in MADE_HERE and (ROOT / name).is_file()))


def sources(*rooms: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield name and syntax tree of each Python file in these rooms."""
    for name in tree_files():
        if name.endswith(".py") and room_of(name) in rooms:
            yield name, parsed(name)


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def room_of(name: str) -> str:
    return name.split("/")[0]


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def imported(node: ast.AST) -> list[str]:
    """Return the top-level modules that a statement imports from elsewhere."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module.split(".")[0]]
    return []


def run_at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when the module is imported: not those in functions or under ``TYPE_CHECKING``."""
    for node in body:
        if isinstance(node, Function) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            continue
        yield node
        for inner in ("body", "orelse", "finalbody"):
            yield from run_at_import(getattr(node, inner, []))
        for handler in getattr(node, "handlers", []):
            yield from run_at_import(handler.body)


def python(program: str, *words: str) -> str:
    """Run a program in a fresh interpreter that sees neither this folder nor the user's own packages."""
    command = [sys.executable, "-I", "-c", program, *words]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_imports_point_down_only():
    wrong = [
        f"{name}:{node.lineno} imports {module}"
        for room, allowed in MAY_IMPORT.items()
        for name, tree in sources(room)
        for node in ast.walk(tree)
        for module in imported(node)
        if module in ROOMS - allowed
    ]
    assert wrong == []


def test_the_domain_never_imports_prefect():
    assert [name for name, tree in sources("lakegate") for node in ast.walk(tree) if "prefect" in imported(node)] == []


@pytest.mark.parametrize("folder", ["datasets", "models"])
def test_declarations_hold_no_python(folder):
    assert [str(path) for path in (ROOT / folder).rglob("*.py*")] == []


def test_files_and_functions_are_short():
    long = []
    for name, tree in sources(*ROOMS):
        n_lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
        if n_lines > MAX_FILE_LINES:
            long.append(f"{name}: {n_lines} lines")
        limit = MAX_FLOW_LINES if room_of(name) == "flows" else MAX_FUNCTION_LINES
        for node in functions(tree):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > limit:
                long.append(f"{name}:{node.lineno} {node.name}: {length} lines")
    assert long == []


def test_nothing_that_is_made_here_is_tracked():
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *MADE_HERE]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(listed) == 0, f"{len(listed)} files are not ignored by git, the first is {listed[0]}"


def flow_stems() -> list[str]:
    return [Path(name).stem for name, _ in sources("flows") if not name.endswith("__init__.py")]


def test_flow_files_are_named_by_verb_and_noun():
    assert [stem for stem in flow_stems() if not re.fullmatch(r"(roll_back|[a-z]+)_[a-z]+", stem)] == []


def test_no_installed_module_has_the_name_of_a_flow_file():
    program = "import sys; from importlib.util import find_spec; print(*[name for name in sys.argv[1:] if find_spec(name)])"
    assert python(program, *flow_stems()) == ""


def test_flows_hold_no_classes():
    assert [name for name, tree in sources("flows") for node in ast.walk(tree) if isinstance(node, ast.ClassDef)] == []


def test_no_module_has_a_name_that_says_nothing():
    empty = re.compile(r"(.*_)?(utils?|helpers?|managers?|misc|common)")
    assert [name for name, _ in sources(*ROOMS) if empty.fullmatch(Path(name).stem)] == []


def test_errors_are_caught_by_meaning():
    everything = re.compile(r"\b(Base)?Exception\b")
    wrong = [
        f"{name}:{node.lineno}"
        for name, tree in sources(*ROOMS)
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and (node.type is None or everything.search(ast.unparse(node.type)))
    ]
    assert wrong == []


def test_nothing_is_left_unfinished():
    mark = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\bNotImplementedError\b")
    marked = {name for name, _ in sources(*MAY_IMPORT) if mark.search((ROOT / name).read_text(encoding="utf-8"))}
    assert marked == set()


def test_heavy_libraries_are_imported_where_they_are_used():
    wrong = []
    for name, tree in sources(*MAY_IMPORT):
        allowed = {"torch"} if name.startswith(TORCH_AT_THE_TOP) else set()
        wrong += [
            f"{name}:{node.lineno} imports {module}"
            for node in run_at_import(tree.body)
            for module in imported(node)
            if module in HEAVY - allowed
        ]
    assert wrong == []


def test_the_words_of_lakegate_are_imported_in_half_a_second():
    assert min(float(python(MEASURE_IMPORT, str(ROOT))) for _ in range(3)) < MAX_IMPORT_CPU_S


@pytest.mark.parametrize("package", ["lakegate.lake", "lakegate.registry", "lakegate_cli"])
def test_reading_data_and_registry_loads_no_heavy_library(package):
    assert HEAVY.intersection(python(IMPORT_LIGHTLY, str(ROOT), package).split()) == set()


def is_short_property(node: Function) -> bool:
    """True for a property of one statement, which its name explains."""
    return len(node.body) == 1 and any(ast.unparse(item).endswith("property") for item in node.decorator_list)


def public_parts(body: list[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_parts(node.body)


def test_every_public_part_of_the_domain_has_a_docstring():
    silent = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in sources("lakegate")
        for node in public_parts(tree.body)
        if not ast.get_docstring(node) and not (isinstance(node, Function) and is_short_property(node))
    ]
    assert silent == []


def locked() -> dict[str, tuple[str, str]]:
    """Return version and the rest of the entry for each package of the lock file."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    entries = (line.partition("==") for line in text.splitlines() if line and not line.lstrip().startswith("#"))
    return {name.split("[")[0]: (rest.split()[0], rest) for name, _, rest in entries}


def test_the_lock_names_versions_and_digests_and_no_addresses():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert re.findall(r".*://.*|^-.*|.* @ .*", text, flags=re.MULTILINE) == []
    assert [name for name, (version, _) in locked().items() if not version[:1].isdigit()] == []
    assert [name for name, (_, rest) in locked().items() if "--hash=sha256:" not in rest] == []


def test_the_lock_covers_what_the_project_declares():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.match(r"[\w.-]+", item)[0].lower().replace("_", "-") for item in wanted}
    assert names - locked().keys() == set()


def test_versions_that_others_break_with_are_held_back():
    assert re.fullmatch(r"0\.139\.\d+", locked()["fastapi"][0])
    assert int(locked()["pandas"][0].split(".")[0]) < 3


def test_no_file_names_a_registrys_host_or_a_path_of_one_machine():
    hosts = [("pypi", "org"), ("pythonhosted", "org"), ("golang", "org/(cached|lookup|@v)"), ("npmjs", "org")]
    hosts += [("maven", "apache"), ("crates", "io")]
    words = [rf"{first}\.{second}" for first, second in hosts]
    words += [rf"(?<![\w.])/{folder}/" for folder in ("work", "farm", "root")]
    forbidden = re.compile("|".join(words))
    found = {name: forbidden.search((ROOT / name).read_text(encoding="utf-8", errors="replace")) for name in tree_files()}
    assert {name: match[0] for name, match in found.items() if match} == {}


def binary_files() -> list[Path]:
    return [ROOT / name for name in tree_files() if b"\0" in (ROOT / name).read_bytes()]


def test_the_only_binary_files_are_pictures_of_the_documentation():
    allowed = ROOT / "docs"
    assert [str(path) for path in binary_files() if allowed not in path.parents or path.suffix not in (".png", ".webp")] == []


def test_no_sample_image_is_in_the_tree():
    folder = samples_folder()
    if not folder.is_dir():
        pytest.skip(f"the sample images are absent: {folder} does not exist (set LAKEGATE_SAMPLES)")
    ours = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in binary_files()}
    sizes = {path.stat().st_size for path in ours.values()}
    theirs = (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size in sizes)
    assert [str(path) for path in theirs if hashlib.sha256(path.read_bytes()).hexdigest() in ours] == []
