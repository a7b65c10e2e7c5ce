"""What every process needs: clocks, signals, logging, seeds, atomic files."""
