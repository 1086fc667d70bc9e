"""FHIRPath as Python functions: expression trees of a pack become source that runs on parsed JSON.

Two compilers share one set of semantics. `general` covers the whole language over typed items; `direct` covers what
most invariants are made of and reads the JSON without building anything. Tests hold the two against each other.
Nothing here parses expressions: trees come ready in the pack.
"""
