"""``python -m lakegate_cli``: the same as the console script ``lakegate``."""

from lakegate_cli.main import run

if __name__ == "__main__":
    run()
