"""The database: rows with ciphertext columns. What is secret goes through the vault on its way."""
