"""One web page for both apps: ask, and see who answers and why."""
