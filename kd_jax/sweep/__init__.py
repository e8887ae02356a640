"""An experiment as groups of lanes: planned, trained, scored, published."""
