"""Brat files against the texts that they speak of."""


def offsets_hold(folder):
    """How many annotations of a folder there are, each of which covers what it says."""
    count = 0
    for path in folder.glob("*.ann"):
        with path.with_suffix(".txt").open(encoding="utf-8", newline="") as file:
            text = file.read()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            name, place, covered = line.split("\t")
            kind, _, places = place.partition(" ")
            assert name == f"T{number}"
            assert kind
            parts = [tuple(map(int, p.split())) for p in places.split(";")]
            assert " ".join(text[a:b] for a, b in parts) == covered
            assert "\n" not in covered
            count += 1
    return count
