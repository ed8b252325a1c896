"""Many runs of a configuration on many processes."""
