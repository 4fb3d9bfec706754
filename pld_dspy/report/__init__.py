"""What a person looks at. Nothing here is called by a compile: whoever wants a report draws it."""

from pld_dspy.report.page import compile_page, write_page

__all__ = ["compile_page", "write_page"]
