"""Mapping files under continuous integration: their examples run, covered, mutated, and two versions of them compared.

Nothing here is on the path of a message: it drives the engine from outside, as its users do.
"""
