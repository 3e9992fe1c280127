"""`python -m mmlfast` is the command."""

from mmlfast.cli import main

main()
