"""Where the records of a job go: `destination` is the contract, each other module one kind of it.

They run in the child process of a run, blocking as they please; each imports its library itself.
"""
