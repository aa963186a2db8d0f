"""``python -m elastic_search`` is the command ``elastic-search``."""

from elastic_search.cli.main import cli

if __name__ == "__main__":
    cli(prog_name="elastic-search")
