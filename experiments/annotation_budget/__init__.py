"""Study 5: what should the next hour of an annotator be spent on?

    python -m experiments.annotation_budget --scale demo --out runs/budget
    python -m experiments.annotation_budget --data "folder:my_pictures?tile=128" --scale reduced --out runs/mine

Every kind of annotation gets the same seconds, the same training steps and the same test pictures. The
training pictures are a pool: a purchase takes pictures from it by lot until the budget is used.
"""
