"""python -m magan_core = magan."""

from magan_core.cli import main

if __name__ == "__main__":
    main()
