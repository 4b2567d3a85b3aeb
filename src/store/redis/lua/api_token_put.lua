-- A new or changed API token. `ah`: hash to id; `at`: id to `<hash>|<record>`; `ai`: ids in order. All in one
-- partition: they are few, and belong to the router.
-- ARGV: id (16 bytes), hash, record
-- Returns {'ok'}, or {'exists'} when the hash belongs to another.
local kept = first_answer()
if kept then
  return kept
end
local id, hash, record = take(), take(), take()
local holder = redis.call('HGET', key('ah'), hash)
if holder and holder ~= id then
  return { 'exists' }
end
local old = redis.call('HGET', key('at'), id)
redis.call('HSET', key('at'), id, hash .. '|' .. record)
if old then
  redis.call('HDEL', key('ah'), string.match(old, '^[^|]*'))
end
redis.call('HSET', key('ah'), hash, id)
redis.call('ZADD', key('ai'), 0, id)
return remember({ 'ok' })
