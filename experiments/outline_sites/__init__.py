"""Find sites in a georeferenced scene with the networks of a run of study 4B, or with trained weights.

    python -m experiments.outline_sites --run runs/sites --scene scene.tif --out runs/found
    python -m experiments.outline_sites --weights mounds --scene scene.tif --out runs/found

You need networks and a scene. The networks are those of a finished run of study 4B, or trained weights: mounds, which
come with segjax, or a folder that python -m experiments.pretrain mounds made. The scene is a GeoTIFF of any size with
as many bands as the pictures that the networks learnt from. Its pixels may differ from theirs by 10 % in size on the
ground. The networks look at the scene in overlapping windows of the size that they were trained on, and their
probabilities are averaged.

Files. The command writes a new folder, all at once or not at all. Open found.html first: it shows the sites, and how
the networks did on held-out pictures. mask.tif and sites.gpkg are in the coordinate system of the scene. QGIS shows
sites.gpkg as outlines, each with its score and its area in hectares. sites.geojson has the same outlines in WGS84, and
sites.csv lists where they lie. A site has the same number in all of them (fid in QGIS), and number 1 is the surest. The
files are valid, and empty, where no site is found.

What counts as a site. A run with --level validation or gated chose for each network how many pixels of a piece must
exceed which probability, so that few of its validation pictures without a site were marked. The means of these numbers
hold here too. With --level gated, windows stay empty to which the classifier gives a low probability of a site.
--threshold replaces all of this by a plain probability.

The smallest site. Pieces smaller than --smallest-hectares are left out. The default is half of the smallest site that
is outlined in the pictures of the run, and never less than the --minimum-area of the run.

Networks that failed are refused. Their Dice on held-out pictures must be higher than the Dice of two masks that need
no network: a disc of the usual size in the middle of every picture, and every pixel. --force applies such networks all
the same. Other networks are applied with a warning: those that mark something in more than half of the held-out
pictures without a site, and those that miss the site in more than half of the pictures with one.
"""
