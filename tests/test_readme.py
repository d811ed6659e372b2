"""The README's commands, run as a person would run them: in a shell, in a checkout, on a stack of their own."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.conftest import Person, link_code
from tests.squares import write_squares

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
NOT_RUN = "make test"  # it would run itself
N_SQUARES = 70
TIMEOUT_S = 1000
KEEP_ENVIRONMENT = 'make() { command make -o .venv/.ready "$@"; }\n'  # the one that this test runs in
# Grace's phone: it shows a code where she is asked for one.
PHONE = """
import sys
from lakegate.registry.one_time_codes import next_code
from lakegate.settings import Settings
print(next_code(Settings.load(), sys.argv[1]))
"""
TYPE_CODES = f"""
lakegate() {{
  if [ "$2" = approve ]; then LAKEGATE_CODE=$(python -c '{PHONE}' grace) command lakegate "$@"; else command lakegate "$@"; fi
}}
"""


def block_with(words: str) -> str:
    """Return the only block of shell commands that holds ``words``."""
    (found,) = [block for block in BLOCKS if words in block]
    return found


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody with a fresh checkout, no sample images, and an export of 70 small images."""
    someone = Person(tmp_path_factory.mktemp("readme"))
    for name in ("datasets", "models"):
        shutil.copytree(ROOT / name, someone.checkout / name)
    link_code(someone.checkout, "Makefile", "requirements.lock", "pyproject.toml")
    roles = someone.checkout / "deployments" / "roles.toml"
    roles.write_text(roles.read_text().replace("members = []", 'members = ["grace"]'))  # as the README says
    (someone.checkout / ".venv").symlink_to(Path(sys.prefix))
    write_squares(someone.folder / "export", range(N_SQUARES))
    try:
        yield someone
    finally:
        someone.types("down")


def in_shell(person: Person, commands: str) -> str:
    """Run commands in bash, which stops at the first that fails; return what they printed."""
    image = person.folder / "export" / "JPEGImages" / "square-1.jpg"
    paths = {"PATH/TO/EXPORT": person.folder / "export", "PATH/TO/IMAGE.jpg": image, "PATH/TO/FRAMES": image.parent}
    replaced = commands.replace(" SAMPLE ", " square-1 ")
    for words, path in paths.items():
        replaced = replaced.replace(words, str(path))
    done = subprocess.run(
        ["bash", "-e", "-c", KEEP_ENVIRONMENT + TYPE_CODES + replaced],
        cwd=person.checkout,
        env=person.environment(LAKEGATE_SAMPLES=str(person.folder / "absent")),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_every_make_target_that_the_readme_names_exists():
    names = set(re.findall(r"\bmake ([a-z]+)\b", README))
    assert {"demo", "test", "up", "down", "status", "clean"} <= names
    for name in sorted(names):
        known = subprocess.run(["make", "-n", name], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert known.returncode == 0, known.stderr


def test_every_lakegate_command_that_the_readme_names_exists():
    from typer.main import get_command

    from lakegate_cli.main import app

    for words in sorted(set(re.findall(r"\blakegate ((?:data|model) [a-z-]+|[a-z]+)(?=[ `\n])", README))):
        command = get_command(app)
        for word in words.split():
            assert word in command.commands, f"`lakegate {words}` of the README is no command"
            command = command.commands[word]


def test_every_file_that_the_readme_names_exists():
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    (tree,) = re.findall(r"^```text\n(lakegate_cli/.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    listed = [word for line in tree.splitlines() for word in re.split(r"[,·]\s*|\s{2,}", line.strip())[:1]]
    assert [name for name in (*linked, *listed) if not (ROOT / name).exists()] == []


def test_the_blocks_of_the_readme_are_those_that_are_run_here():
    run = [block_with(words) for words in (NOT_RUN, "make demo", "doctor", "data init", "data diff", "make down")]
    assert sorted(run) == sorted(BLOCKS)


@pytest.mark.services
def test_make_demo_releases_a_model_rolls_back_and_reuses_everything_the_second_time(newcomer: Person) -> None:
    printed = in_shell(newcomer, block_with("make demo"))
    demo = json.loads((newcomer.home / "demo.json").read_text())
    assert demo["verdict"] == "pass" and "verdict: pass" in printed
    assert [stage["name"] for stage in demo["stages"] if "train" in stage["name"]] == ["train on v1", "train on v2"]
    assert [stage["outcome"].partition(",")[0] for stage in demo["stages"] if stage["name"].startswith("start release")] == [
        f"started by the event of the tag {version}" for version in ("v1", "v2")
    ]
    assert all(stage["seconds"] >= 0 for stage in demo["stages"])
    assert demo["candidate"]["map50"] >= 0.8 and demo["candidate"]["map"] > 0
    assert demo["production"] == "release 2"
    assert 0 < demo["images_inferred"]["baseline"] < demo["images_inferred"]["candidate"]
    outcomes = {stage["name"]: stage["outcome"] for stage in demo["stages"]}
    assert outcomes["ask production for predictions"].startswith("release 2 found ")
    assert outcomes["watch production"].startswith("NO DRIFT")  # frames that the real Triton kept
    assert demo["total_seconds"] >= sum(stage["seconds"] for stage in demo["stages"]) - 1

    again = newcomer.gets("demo", LAKEGATE_SAMPLES=str(newcomer.folder / "absent"))
    assert (again["verdict"], again["candidate"], again["production"]) == ("pass", demo["candidate"], "release 2")
    assert not [stage for stage in again["stages"] if "train" in stage["name"]]
    found = {stage["name"]: stage["outcome"] for stage in again["stages"]}
    assert all(found[name].startswith("found") for name in ("publish v1", "release 1", "publish v2", "release 2"))
    assert again["total_seconds"] < demo["total_seconds"] / 2


@pytest.mark.services
def test_ones_own_export_becomes_a_released_model_by_the_commands_of_the_readme(newcomer: Person) -> None:
    assert "missing" not in in_shell(newcomer, block_with("doctor"))
    printed = in_shell(newcomer, block_with("data init"))
    assert f"my-data@v1 is published: {N_SQUARES} samples" in printed
    assert "release 1 of my-model is in production" in printed
    assert newcomer.gets("model", "status", "my-model")["production"] == 1
    twice = newcomer.types("data", "init", "my-data", "--source", str(newcomer.folder / "export"))
    assert twice.code == 2 and "exists already" in twice.err
    _use_the_data_commands(newcomer)
    assert "stopped: " in in_shell(newcomer, block_with("make down"))
    assert newcomer.types("status").code == 1


def _use_the_data_commands(newcomer: Person) -> None:
    """Run them on a second export, packed; its version starts no release here."""
    declared = newcomer.checkout / "models" / "my-model" / "model.toml"
    assert "[schedule]" not in declared.read_text()
    declared.write_text(f"{declared.read_text()}\n[schedule]\non_new_version = false\n")
    assert newcomer.types("up").code == 0
    more = write_squares(newcomer.folder / "more", range(N_SQUARES + 2))
    shutil.make_archive(str(newcomer.folder / "export"), "zip", more)
    printed = in_shell(newcomer, "source .venv/bin/activate\n" + block_with("data diff"))
    assert f"my-data@v2 is published: {N_SQUARES + 2} samples" in printed and "samples: 2 added, 0 removed" in printed
    assert len(list((newcomer.checkout / "my-copy" / "images").iterdir())) == N_SQUARES + 2
    assert len(list((newcomer.checkout / "for-cvat" / "images").iterdir())) == N_SQUARES
    assert "[quality]" in printed


def test_the_picture_of_the_readme_is_small_and_not_a_sample_image():
    picture = ROOT / "docs" / "images" / "matrix.png"
    assert f"]({picture.relative_to(ROOT).as_posix()})" in README
    assert picture.stat().st_size <= 400_000
    assert picture.stat().st_size > 10_000
