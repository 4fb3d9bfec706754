"""The command `pld`."""
