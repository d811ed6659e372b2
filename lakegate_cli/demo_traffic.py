"""What clients do in production, played by the demo: the held-out images of a version are sent to the production server."""

from lakegate.client import Client
from lakegate.lake.client import LakeClient
from lakegate.lake.local import open_version
from lakegate.lake.versions import pin
from lakegate.settings import Settings

NO_SERVER = "not served: this stack has no Triton"


def ask_production(settings: Settings, model: str, tag: str) -> str:
    """Send each test image of ``<model>@<tag>`` once, as the file that it is; say which release answered, and how.

    In the demo the dataset has the model's name. The server keeps a share of the frames for `lakegate model watch`.

    Raises:
        ServingError, ServiceUnavailable: the model is not served, or nobody answers.
    """
    if not settings.triton_production_http:
        return NO_SERVER
    client = LakeClient(settings)
    version = open_version(client, settings, pin(client, f"{model}@{tag}"))
    server = Client.of_stage("production", "http", settings)
    answers = [server.ask(model, version.images[sample.id].path) for sample in version.samples_in(split="test")]
    numbers = ", ".join(str(number) for number in sorted({answer.release for answer in answers}))
    n_objects = sum(len(answer.objects) for answer in answers)
    where = settings.triton_production_http
    return (
        f"release {numbers} found {n_objects} objects in {len(answers)} held-out images, sent to {where}; "
        "they are like the training images, so no drift has to be found in them"
    )
