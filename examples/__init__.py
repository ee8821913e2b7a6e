"""Apps to run and to copy from."""
