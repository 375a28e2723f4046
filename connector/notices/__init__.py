"""What people must be told, once for each cause, and the channels by which they are told.

`causes` says what is open now, `plan` what there is to tell of it, `wording` in which words; the
channels send. All but the channels is pure; the records are the store's.
"""
