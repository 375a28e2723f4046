"""Declared pulls: what ``[jobs.X.request]`` says, as values and pure functions.

A pull is a walk of three nested loops, and each place in it is written down as a checkpoint:

    for each part           ``each``: the parent things, such as ad accounts; else one part
      for each window       ``window``: pieces of time, oldest first; else one piece
        for each page       ``pagination``
          send, read the records, commit them together with the place of the next page

Nothing here sends, waits, reads a clock or touches a file: `connector.jobs.pull` does, in the child
process of the run, which reads the same table with the same reader. So every rule of paging,
windows and cursors can be held against a model.

    spec        the values; those of errors and limits are in rules
    reading     a table of the configuration → `spec.Pull`, with every problem in it
    paths       where in an answer something is: dotted names, or JSONPath (RFC 9535)
    templates   ``{placeholders}`` in URLs, parameters, headers and bodies
    messages    a request as it is sent, an answer as it came
    pagination  the kinds of paging: what to ask for next; link_header is RFC 8288
    moments     dates and times as an API writes them, with rfc3339 and days
    windows     pieces of time that neither overlap nor leave gaps
    cursors     where a run goes on from
    answers     what an answer means: which action its error asks for
    limits      what an API's headers say of its rate limits
"""
