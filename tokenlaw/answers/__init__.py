"""What is printed rather than written."""
