"""Outlines of sites on a georeferenced scene, by the networks of a run of study 4B.

    python -m experiments.outline_sites --run runs/sites --scene scene.tif --out runs/found

The scene is a GeoTIFF of any size. The networks look at overlapping windows of the size that they were trained on. The
scene must have as many bands as the run's pictures, and pixels within 10 % of theirs in size on the ground, where both
are known.

Files: found.html shows what was found, and how the networks did on held-out pictures. mask.tif is in the scene's own
coordinate system and has a nodata value where the scene has no data. sites.gpkg has outlines along the pixels' edges in
the same system, with score and hectares, and a style by which QGIS shows them as outlines. sites.geojson has the same
outlines in WGS84, sites.csv their places. A site has one number everywhere, the surest site has number 1. All files are
valid and empty where no site was found. All appear together, or none does.

Small pieces are left out: those below --smallest-hectares. The default is half of the smallest site that was outlined
in the pictures of the run, but no less than the run's own --minimum-area in pixels.

Networks that failed are refused. On pictures that they did not learn from, their Dice must be higher than that of a
disc of the usual size in the middle of every picture, and than that of marking every pixel. --force applies them
nevertheless. Networks that mark something in most pictures without a site, or miss most sites, are applied with a
warning.
"""
