"""Command line of the search for sites in a scene."""

import tyro
from rich.console import Console

import experiments.outline_sites
from experiments.harness.page import announce
from experiments.harness.start import run_command
from experiments.outline_sites.held_out import check_networks, held_out
from experiments.outline_sites.networks import SiteRun, check_scene, open_run, probability_of, read_scene
from experiments.outline_sites.options import OutlineOptions
from experiments.outline_sites.page import amount, left_out, write_found_page
from experiments.outline_sites.places import sites_in, smallest_site, write_sites
from experiments.outline_sites.shipped import ShippedSites, open_shipped
from segjax.data.ground.geofiles import check_geo
from segjax.data.ground.scene import open_scene
from segjax.files import replacing


def main() -> None:
    """Read, look, write; all files at once, in a folder that takes its place when they are whole.

    Raises:
        InputError: an option, a run or a scene that cannot be used, networks that failed, or a missing extra.
    """
    program = "python -m experiments.outline_sites"
    options = tyro.cli(OutlineOptions, prog=program, description=experiments.outline_sites.__doc__)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    check_geo()
    options.check()
    scene = open_scene(options.scene)
    run: SiteRun | ShippedSites
    if options.run is None:
        run = open_shipped(options.weights)
        past = run.held_out
    else:
        run = open_run(options.run, options.learnt)
        past = held_out(run)
    metres = check_scene(scene, run)
    if isinstance(run, SiteRun) and not options.force:
        check_networks(run, past)
    for caution in past.cautions:
        console.print(f"caution: {caution}")
    smallest = smallest_site(run, options.smallest_hectares, metres)
    image = read_scene(scene, run)
    with replacing(options.out.resolve()) as folder:
        folder.mkdir()  # a place that cannot be written is refused before the networks look
        probability = probability_of(run, image, options, console.print)
        found = sites_in(probability, scene, run.point(options.threshold), smallest, metres)
        write_sites(folder, found, scene)
        write_found_page(folder / "found.html", options, scene, image, run, past, smallest, found)
    console.print(f"{amount(found)}: {options.out / 'sites.gpkg'}")
    console.print(left_out(smallest, run.point(options.threshold), found))
    announce(options.out / "found.html", console)


if __name__ == "__main__":
    run_command(main)
