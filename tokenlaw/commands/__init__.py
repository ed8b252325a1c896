"""The command line: `app` is the door, each command stands with its kind; nothing below imports from here."""
