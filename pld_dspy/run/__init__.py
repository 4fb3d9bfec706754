"""One run: its folder, its calls, what they cost and what it may take."""
