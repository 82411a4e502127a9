"""How this process reads PDFs: never by itself, always through limited children."""

from app.core.processes import ChildPool, Limits

PDF_LIMITS = Limits(
    memory_bytes=512 * 1024 * 1024,  # ordinary documents need 40 MiB, the 5,000-page one 35
    cpu_seconds=120,
    seconds_per_frame=30,  # a frame is a batch, and a batch is sent after its first slow page
    seconds_in_all=600,
    frame_bytes=16 * 1024 * 1024,  # a batch has at most two million characters
)
RECYCLE_AFTER = 200  # documents; a start costs 0.1 s


def pdf_children(size: int) -> ChildPool:
    """Return a pool that answers requests of `app.documents.pdf.read_pages`, `size` at a time."""
    return ChildPool(
        "app.documents.pdf:read_pages", PDF_LIMITS, size=size, recycle_after=RECYCLE_AFTER
    )
