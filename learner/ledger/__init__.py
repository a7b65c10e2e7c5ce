"""The records that each commit writes: ledger entry, head, counters, consumed ids. The audit reads them too."""
