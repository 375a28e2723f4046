"""Walks a declared pull (`connector.pulls`) in the child process of a run.

    pull         the three loops: parts, windows, pages
    place        where a run is: what its checkpoint says
    parts        the parent things of ``each``
    span         where time begins and ends for a part, and its windows
    report       reports that the API makes in its own time
    asking       a request until it is answered: what its errors ask for is done here
    sending      one request, with the account's credential
    waiting      pauses, within the run's deadline
    limits       what is told of rate limits, to the other runs too

The place of the next page is committed together with the records of the page before it is asked
for. So a run that is killed anywhere goes on, on any host, at exactly that page: at most one page
is asked for twice, and nothing is twice in the destination.
"""
