"""Array operations that must be fast and correct under `vmap`; import them from their own modules."""
