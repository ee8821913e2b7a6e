"""``confroute demo``: the whole idea on one screen."""
