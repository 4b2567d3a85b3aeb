-- Ends an API token.
-- ARGV: id (16 bytes)
-- Returns 1 when there was one, else 0.
local kept = first_answer()
if kept then
  return kept
end
local id = take()
local record = redis.call('HGET', key('at'), id)
if not record then
  return 0
end
redis.call('HDEL', key('at'), id)
redis.call('HDEL', key('ah'), string.match(record, '^[^|]*'))
redis.call('ZREM', key('ai'), id)
return remember(1)
