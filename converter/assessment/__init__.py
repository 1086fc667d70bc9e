"""The migration assessment: what is sent, what of it can move, what stands in the way; from one's own messages."""
