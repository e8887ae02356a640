"""Entity scores, results on disk, tests of significance."""
