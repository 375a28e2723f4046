"""Data APIs of other shapes than the ads API's, for pulls to be tried against.

GitHub-like issues, HubSpot-like contacts, a Notion-like database, a Google-Analytics-like report,
and plain shapes under /shapes. Each needs an access token of the simulator's authorization server
with its own scope; what a complete pull has to bring is asked of `catalogue.DataApis`.
"""
