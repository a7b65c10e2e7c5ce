"""What a commit says it did: the head, counters, consumed ids; read by the audit too."""
