"""``python -m epitaxy`` is the same program as ``epitaxy``."""

from epitaxy.cli.main import main

main()
