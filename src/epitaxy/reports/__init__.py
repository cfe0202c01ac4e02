"""Layer 2: figures and HTML reports, made from the files of a run alone; needs no torch."""
