"""Compare what production sees with what its model was trained on."""

from prefect import flow

from tasks import watching


@flow(name="watch-production", flow_run_name="{model}", persist_result=False)
def watch_production(model: str = "", window_days: float = 7, max_frames: int = 500) -> list[str]:
    """Judge drift from the frames that serving kept: a page, the evidence and the event lakegate.drift. Advisory.

    Args:
        model: Name of a folder in models/, for example blood-cells; empty: all that have a release in production.
        window_days: Frames of so many days before now.
        max_frames: At most so many frames, evenly drawn from the window.
    """
    sentences = []
    for name in watching.find_models(model):
        report = watching.compare_frames(name, window_days, max_frames)
        watching.announce(report)
        sentences.append(watching.show_report(report))
    return sentences
