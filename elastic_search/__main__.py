"""The command ``elastic-search``, also as ``python -m elastic_search``."""

import gc


def main() -> None:
    """Start the command line."""
    # A start makes thousands of objects that stay: looking for garbage among them finds none and takes milliseconds.
    gc.disable()
    from elastic_search.cli.main import cli

    cli(prog_name="elastic-search")


if __name__ == "__main__":
    main()
