"""Fields of heads by series."""
