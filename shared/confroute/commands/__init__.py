"""One module a command; each is light to import and loads the heavy parts when it runs."""
