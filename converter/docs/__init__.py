"""Pages about message types, made from the mapping files: nothing on them is written twice, so nothing can go stale."""
