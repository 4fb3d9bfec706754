"""The student: what a program may declare, how it is scored, and how rules are put into it."""
