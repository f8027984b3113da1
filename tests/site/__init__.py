"""Parts of the documentation that are made by programs."""
