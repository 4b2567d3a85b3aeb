-- Proves that a write is kept: `n` (counters) notes when.
-- Returns the time, Unix milliseconds.
redis.call('HSET', key('n'), 'ready', whole(now))
return now
