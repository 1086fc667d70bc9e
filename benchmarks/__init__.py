"""Times each stage of a conversion beside other libraries that do the same work: `python -m benchmarks --help`.

A row is a `Row` (see `rows.py`); a module of rows has a function that yields them from the corpus, and is listed in
`__main__.py`. Before the clock starts every row passes its gate: peers must give the same result, checks must find
seeded faults. A row that fails its gate has no figure.
"""
