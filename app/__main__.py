"""`python -m app` is the same as `headway`."""

from app.cli import main

main()
