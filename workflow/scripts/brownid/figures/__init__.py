"""The project's figures and tables: plain arrays in, one PNG file out, the same bytes every time."""
