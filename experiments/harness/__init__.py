"""How any study runs: contract, options, trainings kept on disk, pages, publishing, provenance. Knows no study."""
