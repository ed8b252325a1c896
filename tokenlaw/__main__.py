"""`python -m tokenlaw` is the command `tokenlaw`."""

from tokenlaw.commands.app import main

if __name__ == "__main__":  # worker processes import this module, under another name
    main()
