"""`python -m sibling` is the command `sibling`."""

from sibling.cli import main

main()
