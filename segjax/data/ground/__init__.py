"""Where pictures lie on the ground: georeferences, scenes, outlines, tiles."""
