"""Access control: ACL files for Redis and Valkey."""
