"""What the benchmarks share: cases, trainings, clocks, turns. May import `scripts.lib`, which never imports anything from here."""
