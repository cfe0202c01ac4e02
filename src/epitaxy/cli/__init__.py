"""Layer 10: the command line, one thin file per command."""
