"""The page of a run that is opened first: faces, scores, and every figure and table with its caption, in one file."""
