"""Writers of CVAT files for tests, after CVAT's description of its XML 1.1 and what CVAT 2 itself writes; no code of ours."""

from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from .exports import write_image


def element(tag: str, inner: str = "", **given: object) -> str:
    words = "".join(f" {name}={quoteattr(str(value))}" for name, value in given.items())
    return f"<{tag}{words}>{inner}</{tag}>"


def attribute(name: str, value: str) -> str:
    return element("attribute", escape(value), name=name)


def box(label: str, corners: tuple[float, float, float, float], inner: str = "", **given: object) -> str:
    xtl, ytl, xbr, ybr = corners
    words = {"label": label, **given} if label else given
    return element("box", inner, xtl=xtl, ytl=ytl, xbr=xbr, ybr=ybr, **words)


def shape(tag: str, label: str, points: str, inner: str = "", **given: object) -> str:
    words = {"label": label, **given} if label else given
    return element(tag, inner, points=points, **words)


def image(number: int, name: str, inner: str = "", size_px: tuple[int, int] = (64, 48), **given: object) -> str:
    return element("image", inner, id=number, name=name, width=size_px[0], height=size_px[1], **given)


def labels(names: Iterable[str], joints: Iterable[str] = (), skeleton: str = "person") -> str:
    plain = "".join(element("label", element("name", escape(name)) + element("attributes")) for name in names)
    points = "".join(
        element("label", element("name", name) + element("type", "points") + element("parent", skeleton)) for name in joints
    )
    return element("labels", plain + points)


def task(name: str = "north", kind: str = "task", labelled: str = "", **given: object) -> str:
    words = {"id": 7, "name": name, **given}
    if kind == "job":
        words.pop("name")
    return element(kind, "".join(element(key, escape(str(value))) for key, value in words.items()) + labelled)


def video_task(n_frames: int, name: str = "drive", labelled: str = "", **given: object) -> str:
    size = element("original_size", element("width", "64") + element("height", "48"))
    words = {"size": n_frames, "mode": "interpolation", **given}
    return task(name, labelled=labelled + size, **words)


def cvat_xml(meta: str, *parts: str) -> str:
    inner = element("version", "1.1") + element("meta", meta) + "".join(parts)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{element("annotations", inner)}\n'


def write_cvat(folder: Path, content: str, images: Iterable[str], file: str = "annotations.xml", below: str = "images") -> Path:
    for name in images:
        write_image(folder / below / name, (64, 48))
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(content, encoding="utf-8")
    return folder


def frame_names(n_frames: int, first: int = 0) -> list[str]:
    return [f"frame_{number:06d}.png" for number in range(first, first + n_frames)]
