"""A folder of one's own pictures: which files belong together, what is in them, what is wrong with them."""
