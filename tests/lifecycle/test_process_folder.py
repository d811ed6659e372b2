"""Folders of one process: removed when closed, when the process ends, and by the next process after a kill."""

import signal
import subprocess
import sys
from pathlib import Path

from lakegate.lifecycle.process_folder import UNPACKED, ProcessFolder

MAKE_ONE = """
import sys, time
from pathlib import Path
from lakegate.lifecycle.process_folder import ProcessFolder
folder = ProcessFolder(Path(sys.argv[1]))
(folder.path / "file").write_text("x")
print(folder.path, flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
"""


def left_in(home: Path) -> list[str]:
    return sorted(path.name for path in (home / UNPACKED).iterdir() if not path.name.startswith("."))


def start(home: Path, then: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", MAKE_ONE, str(home), then], stdout=subprocess.PIPE, text=True)


def test_a_closed_folder_is_gone_and_closing_twice_is_fine(tmp_path):
    folder = ProcessFolder(tmp_path)
    (folder.path / "file").write_text("x")
    folder.close()
    folder.close()
    assert left_in(tmp_path) == []


def test_a_process_that_ends_removes_its_folder(tmp_path):
    process = start(tmp_path, "end")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert left_in(tmp_path) == []


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_a_live_one_uses_stays(tmp_path):
    killed, live = start(tmp_path, "wait"), start(tmp_path, "wait")
    paths = [Path(process.stdout.readline().strip()) for process in (killed, live) if process.stdout]
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    try:
        assert paths[0].is_dir()
        folder = ProcessFolder(tmp_path)
        assert not paths[0].exists()
        assert (paths[1] / "file").read_text() == "x"
        folder.close()
    finally:
        live.kill()
        live.communicate(timeout=60)
