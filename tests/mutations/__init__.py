"""Guards that are taken out one by one, to see that a test notices; see ``make mutations``.

A mutation is a piece of the code and what stands in its place: less safe by one guard. Each is
tried on a copy of the tree; a test must go red. The table of what was found is docs/mutations.md.
"""
