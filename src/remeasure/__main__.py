"""`python -m remeasure` is the same as `remeasure`."""

from .cli import main

if __name__ == "__main__":
    main()
