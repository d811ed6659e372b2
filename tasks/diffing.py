"""How two versions of a dataset are compared, and how that is shown on a run."""

from lakegate.catalog import load_dataset
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.data_diff import ShownDiff, show_diff
from tasks.artifacts import artifact_key, show_link, show_text
from tasks.running import settings_for, step


@step
def compare_versions(dataset: str, old: str, new: str) -> ShownDiff:
    """Compare the two and write the page."""
    settings = settings_for("")
    load_dataset(settings, dataset)
    return show_diff(LakeClient(settings), settings, dataset, old, new)


def show_difference(shown: ShownDiff) -> str:
    """Leave the numbers and a link to the page on the run; return the page's address."""
    key = artifact_key("diff", shown.dataset)
    show_link(key, shown.page.url, f"What changed: {shown.dataset}@{shown.old} → {shown.new}")
    show_text(f"{key}-summary", shown.markdown)
    return shown.page.url
