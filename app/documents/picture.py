"""How much of a PDF page is covered by images. Runs in the same child as `app.documents.pdf`."""

from collections.abc import Iterator

import pypdfium2
from pypdfium2 import raw

MAX_OBJECTS = 20_000  # looked at on one page; a scan has a handful
MAX_DEPTH = 8  # of form XObjects inside one another

_CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))  # an image is the unit square under its matrix

Matrix = tuple[float, float, float, float, float, float]
Box = tuple[float, float, float, float]  # left, bottom, right, top, in points
_IDENTITY: Matrix = (1, 0, 0, 1, 0, 0)


def image_share(page: pypdfium2.PdfPage) -> float:
    """Return the images' share of the page's area, from 0 to 1.

    Images in form XObjects count. How the page is turned does not matter: objects and page box are
    both measured before turning. Overlaps count twice, and what hangs over the page's edge not.
    """
    box: Box = page.get_bbox()
    left, bottom, right, top = box
    page_area = (right - left) * (top - bottom)
    if page_area <= 0:
        return 0.0
    return min(1.0, sum(_area(matrix, box) for matrix in _images(page)) / page_area)


def _images(page: pypdfium2.PdfPage) -> Iterator[Matrix]:
    """Yield the matrix of each image, from the unit square to the page."""
    objects_left = MAX_OBJECTS
    waiting = [
        (raw.FPDFPage_GetObject(page, index), _IDENTITY, 0)
        for index in range(min(objects_left, raw.FPDFPage_CountObjects(page)))
    ]
    while waiting and objects_left:
        item, outer, depth = waiting.pop()
        objects_left -= 1
        kind = raw.FPDFPageObj_GetType(item)
        if kind == raw.FPDF_PAGEOBJ_IMAGE:
            yield _times(_matrix(item), outer)
        elif kind == raw.FPDF_PAGEOBJ_FORM and depth < MAX_DEPTH:
            inner = _times(_matrix(item), outer)
            count = min(objects_left, raw.FPDFFormObj_CountObjects(item))
            waiting += [
                (raw.FPDFFormObj_GetObject(item, index), inner, depth + 1) for index in range(count)
            ]


def _matrix(item: object) -> Matrix:
    found = raw.FS_MATRIX()
    if not raw.FPDFPageObj_GetMatrix(item, found):
        return _IDENTITY
    return found.a, found.b, found.c, found.d, found.e, found.f


def _times(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    p, q, r, s, t, u = then
    return (a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s,
            e * p + f * r + t, e * q + f * s + u)  # fmt: skip


def _area(matrix: Matrix, box: Box) -> float:
    """Return the area of the image's bounding box inside the page's."""
    a, b, c, d, e, f = matrix
    across = [a * x + c * y + e for x, y in _CORNERS]
    up = [b * x + d * y + f for x, y in _CORNERS]
    left, bottom, right, top = box
    width = min(max(across), right) - max(min(across), left)
    height = min(max(up), top) - max(min(up), bottom)
    return max(0.0, width) * max(0.0, height)
