"""PDFs: uploaded, read page by page in a limited child, kept by generations."""
