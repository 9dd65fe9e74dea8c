"""A page about one operator: what is measured, drawn and said in it."""
