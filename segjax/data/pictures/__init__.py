"""Picture and label files as arrays: decoded, compared with what their tags promise, stacks by planes."""
