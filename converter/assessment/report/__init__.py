"""The report of an assessment: a page that tells what it would cost to move, in Danish or English, and CSV."""
