"""Fuzzing of every door: configurations, words of the command line, files of layers, heads, tokens and densities.

    python -m tests.fuzz --examples 20000 --seed 0

Each input goes through the command line's own `run`.  It is either taken, and then at most two tiny steps are run and
must leave a whole file with finite numbers, or refused with exit code 2 and one line that names a key, an option or a
file, and then nothing is left behind.  Anything else is a loss.
"""
