"""Results of an older version or of older code, kept under the present one without being made again."""
