"""Many messages, restartable: planned into chunks, converted by worker processes, written once, accounted for."""
