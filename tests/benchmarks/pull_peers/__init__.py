"""Programs that pull as other clients do; each is run by an interpreter that has that client."""
