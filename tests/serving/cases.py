"""A functional case for the detector of ``spots``: a picture with two bright cells, and where they are."""

import cv2

from lakegate.serving.functional_cases import FunctionalCase, ReadyCase
from tests.serving.spots import picture

PICTURE = cv2.imencode(".png", picture((1, 2, 0), (3, 5, 2))[..., ::-1])[1].tobytes()
CELL_PX = 32
CONTENT = {
    "name": "picture",
    "sample": "spots@v1/1",
    "expect": {
        "objects": [
            {"label": "red", "bbox": [2 * CELL_PX, CELL_PX, CELL_PX, CELL_PX]},
            {"label": "blue", "bbox": [5 * CELL_PX, 3 * CELL_PX, CELL_PX, CELL_PX]},
        ],
        "counts": {"red": {"min": 1, "max": 1}, "green": {"max": 0}},
    },
    "why": "painted there",
}
CASES = [ReadyCase(FunctionalCase.model_validate(CONTENT), PICTURE)]
