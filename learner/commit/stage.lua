#!lua flags=allow-oom
-- Stage a blob on a server that is at its memory limit. For large blobs a script is slower
-- than SET, so it is used only then.
-- KEYS: the staged key.  ARGV: blob, ttl in ms.
return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
